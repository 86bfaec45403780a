package tracker

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/bpf"
	"github.com/aperture-collector/aperture-collector/internal/unwind"
)

// oneTable limits a pool so that it has room for one table of the test binary
// and not for two.
func oneTable(t *testing.T) unwind.PoolOptions {
	t.Helper()
	opts := unwind.PoolOptions{MaxChunks: 256, MaxPages: 65536, MaxRules: 65535}
	pool := unwind.NewPool(unwind.NewHeapMemory(opts.MaxChunks, opts.MaxPages, 65536), opts)
	b, err := os.ReadFile(self(t))
	require.NoError(t, err)
	table, err := pool.Build(b)
	require.NoError(t, err)
	opts.MaxPages = int(table.PageCount) + int(table.PageCount)/2
	return opts
}

func TestATableMakesRoomWhenItsProgramsAreGone(t *testing.T) {
	h := newHarness(t, oneTable(t), nil)
	a, b := start(t, self(t)), start(t, copyOf(t, 1))
	h.follow(a)
	h.follow(b)
	idA, idB := h.executable(a), h.executable(b)
	require.NotEqual(t, idA, idB)
	h.want(idA)
	require.Equal(t, bpf.ExecTable, h.kernel.state(idA))
	a.stop()
	h.ticks(keepEnded)
	require.Equal(t, bpf.ExecTable, h.kernel.state(idA), "programs come back")

	h.want(idB)
	assert.Equal(t, bpf.ExecUnknown, h.kernel.state(idA))
	assert.NotEqual(t, bpf.ExecTable, h.kernel.state(idB), "programs of the kernel may still read the old rows")
	h.Tick()
	h.settle()
	assert.NotEqual(t, bpf.ExecTable, h.kernel.state(idB))
	h.Tick()
	h.settle()
	assert.Equal(t, bpf.ExecTable, h.kernel.state(idB))
	s := h.Stats()
	assert.EqualValues(t, 1, s.Evicted)
	assert.EqualValues(t, 2, s.Builds)
	assert.Equal(t, 1, s.Tables)
	assert.Zero(t, s.TablesRefused)
	assert.Empty(t, s.BuildErrors, "it only had to wait")
}

func TestTablesInUseDoNotTakeTurns(t *testing.T) {
	h := newHarness(t, oneTable(t), nil)
	a, b := start(t, self(t)), start(t, copyOf(t, 1))
	h.follow(a)
	h.follow(b)
	idA, idB := h.executable(a), h.executable(b)
	h.want(idA)
	h.want(idB)
	assert.Equal(t, bpf.ExecTable, h.kernel.state(idA))
	assert.Equal(t, bpf.ExecFramePointers, h.kernel.state(idB))
	assert.EqualValues(t, 1, h.Stats().TablesRefused)
	for range retryRefused {
		h.Touch(idA)
		h.Tick()
	}
	// The next sample tries again; the other one is in use still.
	require.Equal(t, bpf.ExecUnknown, h.kernel.state(idB))
	h.want(idB)
	assert.Equal(t, bpf.ExecFramePointers, h.kernel.state(idB))
	assert.EqualValues(t, 1, h.Stats().TablesRefused, "it is the same table")
	assert.Equal(t, map[string]int64{ErrorPoolFull: 1}, h.Stats().BuildErrors)
	assert.Zero(t, h.Stats().Evicted)

	// The one that was not used for longest gives way.
	h.ticks(retryRefused)
	h.want(idB)
	h.ticks(unusedFor)
	h.settle()
	assert.Equal(t, bpf.ExecTable, h.kernel.state(idB))
	assert.Equal(t, bpf.ExecUnknown, h.kernel.state(idA))
	assert.EqualValues(t, 1, h.Stats().Evicted)
}

func TestNumbersRestBeforeTheyAreUsedAgain(t *testing.T) {
	h := newHarness(t, unwind.PoolOptions{}, nil)
	h.mu.Lock()
	h.executables.limit = 3 // the program and the vdso
	h.mu.Unlock()
	a := start(t, self(t))
	h.follow(a)
	id := h.executable(a)
	h.want(id)
	addr, _ := textOf(t, a.pid(), self(t))
	frame, _ := h.kernel.frame(a.pid(), a.image, addr, true)
	a.stop()
	h.ticks(keepEnded + keepIdle)
	require.True(t, h.inFile(a, frame), "frames of it are on their way")
	assert.Equal(t, bpf.ExecUnknown, h.kernel.state(id))

	// All numbers are taken by those that rest.
	b := start(t, copyOf(t, 1))
	h.follow(b)
	addrB, _ := textOf(t, b.pid(), b.cmd.Path)
	f, ok := h.kernel.frame(b.pid(), b.image, addrB, true)
	require.True(t, ok)
	assert.Zero(t, f.Executable())
	assert.Equal(t, addrB, f.Addr())
	assert.Equal(t, b.cmd.Path, h.Resolve(b.pid(), b.image, f).File.Path)
	assert.Positive(t, h.Stats().ExecutablesRefused)

	h.ticks(quarantine)
	assert.False(t, h.inFile(a, frame))
	h.ticks(2) // the memory of its table
	assert.Zero(t, h.Stats().Tables)
	c := start(t, copyOf(t, 2))
	h.follow(c)
	assert.Equal(t, id, h.executable(c), "it is free again")
	h.want(id)
	assert.Equal(t, bpf.ExecTable, h.kernel.state(id))
}

func TestAnExecutableComesBackFromQuarantine(t *testing.T) {
	h := newHarness(t, unwind.PoolOptions{}, nil)
	a := start(t, self(t))
	h.follow(a)
	id := h.executable(a)
	h.want(id)
	a.stop()
	h.ticks(keepEnded + keepIdle + 1)
	require.Equal(t, bpf.ExecUnknown, h.kernel.state(id))
	b := start(t, self(t))
	h.follow(b)
	assert.Equal(t, id, h.executable(b))
	h.want(id)
	h.ticks(2 * quarantine)
	assert.Equal(t, bpf.ExecTable, h.kernel.state(id))
	assert.Equal(t, id, h.executable(b))
	assert.Equal(t, 1, h.Stats().Tables)
}

func TestOrderOfBuilds(t *testing.T) {
	h := newHarness(t, unwind.PoolOptions{}, nil)
	a, b := start(t, self(t)), start(t, copyOf(t, 1))
	h.follow(a)
	h.follow(b)
	idA, idB := h.executable(a), h.executable(b)
	addr, _ := textOf(t, a.pid(), "[vdso]")
	f, ok := h.kernel.frame(a.pid(), a.image, addr, true)
	require.True(t, ok)
	h.mu.Lock()
	for id, q := range map[uint16]*[]request{idA: &h.building.early, idB: &h.building.wanted, f.Executable(): &h.building.wanted} {
		x := h.executables.get(id)
		x.state = tableQueued
		*q = append(*q, x.request(id))
	}
	h.mu.Unlock()
	for i, want := range []uint16{f.Executable(), idB, idA, 0} {
		id, file := h.next() // nobody woke the builder
		assert.Equal(t, want, id, i)
		if file != nil {
			file.Release()
		}
	}

	// A sample asks for what was only going to be built some time.
	h.mu.Lock()
	h.building.early = append(h.building.early, request{id: idA})
	h.mu.Unlock()
	h.want(idA)
	assert.Equal(t, bpf.ExecTable, h.kernel.state(idA))
	assert.EqualValues(t, 1, h.Stats().Builds)
}

func TestNothingIsBuiltForWhatIsGivenUp(t *testing.T) {
	h := newHarness(t, unwind.PoolOptions{}, nil)
	a := start(t, self(t))
	h.follow(a)
	id := h.executable(a)
	a.stop()
	h.ticks(keepEnded + keepIdle)
	h.Notify(bpf.Notice{Kind: bpf.NoticeWantTable, Executable: id})
	h.settle()
	h.ticks(quarantine)
	h.Notify(bpf.Notice{Kind: bpf.NoticeWantTable, Executable: id})
	h.settle()
	assert.Zero(t, h.Stats().Executables)
	assert.Zero(t, h.pool.Stats().Tables)
	assert.Zero(t, h.Stats().Builds)
}
