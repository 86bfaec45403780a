package ebpfprofilingreceiver

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/bpf"
	"github.com/aperture-collector/aperture-collector/internal/procinfo"
	"github.com/aperture-collector/aperture-collector/internal/symbol"
	"github.com/aperture-collector/aperture-collector/internal/tracker"
	"github.com/aperture-collector/aperture-collector/internal/unwind"
)

// noKernel takes what a tracker says about processes.
type noKernel struct{}

func (noKernel) SetProcess(uint32, uint64, bool, []bpf.Mapping) error { return nil }
func (noKernel) DeleteProcess(uint32) error                           { return nil }
func (noKernel) SetExecutable(uint16, bpf.Executable) error           { return nil }

func newTestTable(t *testing.T) *stackTable {
	c := symbol.NewCache(16 << 20)
	t.Cleanup(c.Close)
	opts := unwind.PoolOptions{MaxChunks: 1, MaxPages: 16, MaxRules: 16}
	tr := tracker.New(tracker.Options{
		Kernel: noKernel{}, Symbols: c, Pool: unwind.NewPool(unwind.NewHeapMemory(1, 16, 16), opts),
	})
	t.Cleanup(tr.Close)
	return newStackTable(tr)
}

// ownStack is a stack of this process, which lives.
func ownStack(t *testing.T, hash uint64) *bpf.Stack {
	stat, err := procinfo.ReadStat(uint32(os.Getpid()))
	require.NoError(t, err)
	return &bpf.Stack{
		Hash: hash, PID: uint32(os.Getpid()), StartTime: stat.StartTicks * 10_000_000, Comm: "main",
		Kernel: []uint64{1 << 63}, User: []bpf.Frame{1, 2},
	}
}

// entrySize is the size of ownStack in the table.
const entrySize = 200 + 8 + 2*16 + 4

func noForget() error { panic("forget was called") }

func TestStackTableTake(t *testing.T) {
	table := newTestTable(t)
	table.add(ownStack(t, 1))
	table.add(ownStack(t, 1))
	samples, unknown := table.take([]bpf.Count{{Hash: 1, Count: 5}, {Hash: 2, Count: 7}}, nil)
	require.Len(t, samples, 1)
	assert.EqualValues(t, 5, samples[0].count)
	assert.Equal(t, "main", samples[0].comm)
	assert.EqualValues(t, 7, unknown)
	assert.EqualValues(t, 2, table.tracker.Stats().NoMapping)
}

// TestStackTableEvicts follows a stack through the two intervals of an eviction.
func TestStackTableEvicts(t *testing.T) {
	table := newTestTable(t)
	table.limit = entrySize * 3 / 2
	for hash := range uint64(3) {
		table.add(ownStack(t, hash))
	}
	forgot := 0
	forget := func() error { forgot++; return nil }

	table.take([]bpf.Count{{Hash: 0, Count: 1}, {Hash: 1, Count: 1}, {Hash: 2, Count: 1}}, nil)
	require.NoError(t, table.evict(forget, 0))
	assert.Equal(t, 1, forgot)
	assert.Len(t, table.byHash, 3, "nothing is dropped yet")

	table.take([]bpf.Count{{Hash: 0, Count: 1}}, nil) // seen before the kernel forgot it
	table.add(ownStack(t, 1))                         // sent again, counted in the next interval
	require.NoError(t, table.evict(noForget, 0))
	assert.Contains(t, table.byHash, uint64(0))
	assert.Contains(t, table.byHash, uint64(1))
	assert.NotContains(t, table.byHash, uint64(2))
}

func TestStackTableAsksForUnknownStacks(t *testing.T) {
	table := newTestTable(t)
	forgot := 0
	for range 9 {
		require.NoError(t, table.evict(func() error { forgot++; return nil }, 1))
	}
	assert.Equal(t, 2, forgot)
}

func TestStackTableIsBounded(t *testing.T) {
	table := newTestTable(t)
	table.limit = 1000
	for hash := range uint64(100) {
		table.add(ownStack(t, hash))
	}
	assert.LessOrEqual(t, table.bytes, 2*table.limit+entrySize)
}

// TestStackTableDropsProcesses drops stacks of a process that is gone when the
// tracker has forgotten it.
func TestStackTableDropsProcesses(t *testing.T) {
	table := newTestTable(t)
	table.add(ownStack(t, 1))
	ended := ownStack(t, 3)
	ended.PID = 1 << 30
	table.add(ended)
	require.NoError(t, table.evict(noForget, 0))
	assert.Contains(t, table.byHash, uint64(3), "samples of it may still come")
	for range 5 {
		table.tracker.Tick()
	}
	require.NoError(t, table.evict(noForget, 0))
	assert.Contains(t, table.byHash, uint64(1))
	assert.NotContains(t, table.byHash, uint64(3))
}
