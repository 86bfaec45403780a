package bpf_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/bpf"
	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
)

// stackSet keeps copies of all stacks that were sent.
type stackSet struct {
	mu    sync.Mutex
	byKey map[uint64]bpf.Stack
	sent  int
}

func (s *stackSet) add(st *bpf.Stack) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cp := *st
	cp.Kernel = append([]uint64(nil), st.Kernel...)
	cp.User = append([]uint64(nil), st.User...)
	s.byKey[st.Hash] = cp
	s.sent++
}

func (s *stackSet) get(h uint64) (bpf.Stack, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, ok := s.byKey[h]
	return st, ok
}

func open(t *testing.T, opts bpf.CPUOptions) (*bpf.CPU, *stackSet) {
	t.Helper()
	set := &stackSet{byKey: map[uint64]bpf.Stack{}}
	opts.OnStack = set.add
	c, err := bpf.OpenCPU(opts)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Close()) })
	return c, set
}

func total(counts []bpf.Count) (n uint64) {
	for _, c := range counts {
		n += c.Count
	}
	return n
}

// TestCPUSwapLosesNothing swaps the maps as often as it can at the highest
// frequency and finds every sample that the program counted.
func TestCPUSwapLosesNothing(t *testing.T) {
	ebpftest.Require(t)
	ebpftest.StartBusy(t, 2)
	c, set := open(t, bpf.CPUOptions{Frequency: 1000, MaxEntries: 65536})
	var sum uint64
	var counts []bpf.Count
	collect := func() {
		var err error
		counts, err = c.Collect(counts[:0])
		require.NoError(t, err)
		for _, n := range counts {
			_, ok := set.get(n.Hash)
			assert.True(t, ok, "every counted stack was sent before Collect returned")
		}
		sum += total(counts)
	}
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
		collect()
	}
	c.Stop()
	collect()
	collect() // what the last swap left in the other map
	s, err := c.Stats()
	require.NoError(t, err)
	require.Positive(t, sum)
	assert.Equal(t, s[bpf.CPUSamples], sum)
	assertRunsAddUp(t, s)
	assert.Zero(t, s[bpf.CPURingFull])
}

func assertRunsAddUp(t *testing.T, s bpf.CPUStats) {
	t.Helper()
	assert.Equal(t, s[bpf.CPURuns], s[bpf.CPUIdle]+s[bpf.CPUSkipped]+s[bpf.CPUForeignPIDNS]+
		s[bpf.CPUNested]+s[bpf.CPUHashFull]+s[bpf.CPUSamples])
}

// TestCPUCountsBusyTime compares the samples of a process with the CPU time
// that the kernel charged it.
func TestCPUCountsBusyTime(t *testing.T) {
	ebpftest.Require(t)
	const hz = 499
	c, set := open(t, bpf.CPUOptions{Frequency: hz, MaxEntries: 65536})
	busy := ebpftest.StartBusy(t, 2)
	time.Sleep(3 * time.Second)
	report := busy.Stop()
	c.Stop()
	counts, err := c.Collect(nil)
	require.NoError(t, err)
	var samples float64
	for _, n := range counts {
		if st, ok := set.get(n.Hash); ok && int(st.PID) == busy.PID() {
			samples += float64(n.Count)
		}
	}
	assert.InEpsilon(t, report.CPUSeconds*hz, samples, 0.05)
}

func TestCPUExcludesPID(t *testing.T) {
	ebpftest.Require(t)
	busy := ebpftest.StartBusy(t, 1)
	c, set := open(t, bpf.CPUOptions{Frequency: 499, MaxEntries: 1024, ExcludePID: busy.PID()})
	time.Sleep(500 * time.Millisecond)
	_, err := c.Collect(nil)
	require.NoError(t, err)
	s, err := c.Stats()
	require.NoError(t, err)
	assert.Positive(t, s[bpf.CPUSkipped])
	set.mu.Lock() // stacks still arrive
	defer set.mu.Unlock()
	for _, st := range set.byKey {
		assert.NotEqual(t, busy.PID(), int(st.PID))
	}
}

// TestCPUOverload counts exactly what does not fit a map of two entries.
func TestCPUOverload(t *testing.T) {
	ebpftest.Require(t)
	ebpftest.StartBusy(t, 4)
	c, _ := open(t, bpf.CPUOptions{Frequency: 999, MaxEntries: 2})
	time.Sleep(time.Second)
	c.Stop()
	counts, err := c.Collect(nil)
	require.NoError(t, err)
	s, err := c.Stats()
	require.NoError(t, err)
	assert.LessOrEqual(t, len(counts), 2)
	assert.Positive(t, s[bpf.CPUHashFull])
	assert.Equal(t, s[bpf.CPUSamples], total(counts))
	assertRunsAddUp(t, s)
}

// TestCPUSendsStacksOnce checks that stacks survive intervals without being
// sent again, and that Forget has them sent again.
func TestCPUSendsStacksOnce(t *testing.T) {
	ebpftest.Require(t)
	ebpftest.StartBusy(t, 2)
	c, set := open(t, bpf.CPUOptions{Frequency: 999, MaxEntries: 65536})
	for range 3 {
		time.Sleep(300 * time.Millisecond)
		_, err := c.Collect(nil)
		require.NoError(t, err)
	}
	set.mu.Lock()
	// Two processors that see a stack for the first time at once both send it.
	assert.LessOrEqual(t, set.sent, len(set.byKey)+2, "each stack is sent once")
	set.byKey, set.sent = map[uint64]bpf.Stack{}, 0
	set.mu.Unlock()

	require.NoError(t, c.Forget())
	_, err := c.Collect(nil) // may hold stacks from before Forget
	require.NoError(t, err)
	time.Sleep(300 * time.Millisecond)
	counts, err := c.Collect(nil)
	require.NoError(t, err)
	for _, n := range counts {
		_, ok := set.get(n.Hash)
		assert.True(t, ok, "stacks are sent again after Forget")
	}
}
