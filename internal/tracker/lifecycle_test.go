package tracker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/bpf"
	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
	"github.com/aperture-collector/aperture-collector/internal/procinfo"
	"github.com/aperture-collector/aperture-collector/internal/unwind"
)

func TestExec(t *testing.T) {
	h := newHarness(t, unwind.PoolOptions{}, nil)
	p := start(t, self(t))
	h.follow(p)
	old := h.Process(p.pid(), p.image)
	addr, _ := textOf(t, p.pid(), self(t))

	require.Equal(t, "ready", p.tell("exec"))
	next := p.image + 1
	h.notify(bpf.NoticeExec, p.pid(), next)
	require.Eventually(t, func() bool {
		m, ok := h.kernel.process(p.pid())
		return ok && m.image == next
	}, ebpftest.Patience, time.Millisecond)
	h.settle()
	assert.Positive(t, h.Stats().Builds, "tables of new programs are built before samples ask")

	now := h.Process(p.pid(), next)
	assert.NotSame(t, old, now)
	assert.Equal(t, "again", now.Info("thread", 0).Command)
	assert.Same(t, old, h.Process(p.pid(), p.image))
	assert.True(t, h.inFile(p, bpf.Frame(addr|1<<63)), "stacks of the old program may still come")
	h.ticks(keepEnded)
	assert.True(t, old.Gone())
	assert.False(t, now.Gone())
	m, ok := h.kernel.process(p.pid())
	assert.True(t, ok && m.image == next, "the new program stays known")

	// What the pid ran before can no longer be found out.
	gone := h.Process(p.pid(), p.image)
	assert.NotSame(t, old, gone)
	assert.Equal(t, "thread", gone.Info("thread", 0).Name)
	m, _ = h.kernel.process(p.pid())
	assert.Equal(t, next, m.image)
}

func TestExit(t *testing.T) {
	h := newHarness(t, unwind.PoolOptions{}, nil)
	p := start(t, self(t))
	h.follow(p)
	proc := h.Process(p.pid(), p.image)
	addr, _ := textOf(t, p.pid(), self(t))
	frame, _ := h.kernel.frame(p.pid(), p.image, addr, true)
	require.Equal(t, "tracked", proc.Info("", 0).Service)
	p.stop()
	h.notify(bpf.NoticeExit, p.pid(), p.image)
	require.Eventually(t, func() bool {
		_, ok := h.kernel.process(p.pid())
		return !ok
	}, ebpftest.Patience, time.Millisecond)

	h.Tick()
	for _, f := range []bpf.Frame{frame, bpf.Frame(addr | 1<<63)} {
		assert.True(t, h.inFile(p, f), "%#x", f)
	}
	assert.Same(t, proc, h.Process(p.pid(), p.image))
	h.Tick()
	assert.True(t, proc.Gone())
	assert.True(t, h.inFile(p, frame), "executables outlive processes")
	assert.Equal(t, "tracked", proc.Info("", 0).Service)
	assert.Zero(t, h.Stats().NoProcess)
	h.Resolve(p.pid(), p.image, bpf.Frame(addr|1<<63))
	assert.EqualValues(t, 1, h.Stats().NoProcess)
	assert.Equal(t, 1, h.kernel.deleted)
}

func TestExitWithoutNotice(t *testing.T) {
	h := newHarness(t, unwind.PoolOptions{}, nil)
	p := start(t, self(t))
	h.follow(p)
	proc := h.Process(p.pid(), p.image)
	h.ticks(5)
	require.False(t, proc.Gone())
	p.stop()
	h.ticks(keepEnded)
	assert.True(t, proc.Gone())
	_, ok := h.kernel.process(p.pid())
	assert.False(t, ok)
	assert.Zero(t, h.Stats().Processes)
}

func TestAProcessOutlivesItsMainThread(t *testing.T) {
	h := newHarness(t, unwind.PoolOptions{}, nil)
	p := start(t, self(t))
	h.follow(p)
	proc := h.Process(p.pid(), p.image)
	require.Equal(t, "left", p.tell("leave"))
	h.notify(bpf.NoticeExit, p.pid(), p.image)
	h.settle()
	h.ticks(3 * keepEnded)
	assert.False(t, proc.Gone())
	_, ok := h.kernel.process(p.pid())
	assert.True(t, ok)
	p.stop()
	h.ticks(keepEnded)
	assert.True(t, proc.Gone())
	_, ok = h.kernel.process(p.pid())
	assert.False(t, ok)
}

// A later process, or program, with the same pid is another one.
func TestPIDIsUsedAgain(t *testing.T) {
	h := newHarness(t, unwind.PoolOptions{}, nil)
	p := start(t, self(t))
	h.follow(p)
	proc := h.Process(p.pid(), p.image)
	later := p.image + 3
	h.notify(bpf.NoticeUnknownProcess, p.pid(), later)
	require.Eventually(t, func() bool {
		m, _ := h.kernel.process(p.pid())
		return m.image == later
	}, ebpftest.Patience, time.Millisecond)
	h.ticks(keepEnded)
	assert.True(t, proc.Gone())
	assert.False(t, h.Process(p.pid(), later).Gone())
	m, ok := h.kernel.process(p.pid())
	assert.True(t, ok && m.image == later, "the end of the old one does not take the new one away")

	// One that started at another time has nothing to do with what runs now.
	other := h.Process(p.pid(), 1)
	assert.True(t, h.Resolve(p.pid(), 1, bpf.Frame(0x400000)).File == nil)
	assert.Equal(t, "comm", other.Info("comm", 0).Name)
	h.notify(bpf.NoticeExit, p.pid(), 1)
	h.settle()
	m, ok = h.kernel.process(p.pid())
	assert.True(t, ok && m.image == later)
}

func TestProcessesWithoutNotice(t *testing.T) {
	h := newHarness(t, unwind.PoolOptions{}, nil)
	p := start(t, self(t))
	addr, _ := textOf(t, p.pid(), self(t))
	proc := h.Process(p.pid(), p.image)
	_, ok := h.kernel.process(p.pid())
	assert.False(t, ok, "who it is takes no mappings")
	assert.True(t, h.inFile(p, bpf.Frame(addr|1<<63)))
	_, ok = h.kernel.process(p.pid())
	assert.True(t, ok)
	assert.Same(t, proc, h.Process(p.pid(), p.image))

	kthreadd := h.Process(2, imageOf(t, 2))
	if s, err := procinfo.ReadStat(2); err == nil && s.Kthread {
		assert.Equal(t, procinfo.KernelService, kthreadd.Info("kthreadd", 0).Service)
		assert.True(t, h.Resolve(2, kthreadd.Image, 1).File == nil)
	}
}
