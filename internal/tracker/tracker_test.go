package tracker

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/aperture-collector/aperture-collector/bpf"
	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
	"github.com/aperture-collector/aperture-collector/internal/procinfo"
	"github.com/aperture-collector/aperture-collector/internal/unwind"
)

func TestFramesOfAProcess(t *testing.T) {
	h := newHarness(t, unwind.PoolOptions{}, nil)
	p := start(t, self(t))
	h.follow(p)
	m, _ := h.kernel.process(p.pid())
	assert.True(t, m.target)

	addr, off := textOf(t, p.pid(), self(t))
	exact, ok := h.kernel.frame(p.pid(), p.image, addr, true)
	require.True(t, ok)
	called, _ := h.kernel.frame(p.pid(), p.image, addr, false)
	raw := bpf.Frame(addr | 1<<63)
	got := h.Resolve(p.pid(), p.image, exact)
	require.True(t, got.File != nil)
	assert.Equal(t, self(t), got.File.Path)
	assert.Equal(t, linkedAddress(t, self(t), off), got.Addr)
	assert.True(t, got == h.Resolve(p.pid(), p.image, raw), "an address of the process, before its mappings were known")
	before := h.Resolve(p.pid(), p.image, called)
	assert.True(t, got.File == before.File)
	assert.Equal(t, got.Addr-1, before.Addr, "of a return address it is the call")

	// The vdso has a number like any other executable.
	vdso, _ := textOf(t, p.pid(), "[vdso]")
	f, ok := h.kernel.frame(p.pid(), p.image, vdso, true)
	require.True(t, ok)
	assert.NotZero(t, f.Executable())
	assert.Equal(t, "[vdso]", h.Resolve(p.pid(), p.image, f).File.Path)

	info := h.Process(p.pid(), p.image).Info("thread", 0)
	assert.Equal(t, filepath.Base(self(t)), info.Name)
	assert.Equal(t, "tracked", info.Service)
	assert.EqualValues(t, os.Getpid(), info.PPID)

	// Frames that make no sense stay what they are.
	assert.False(t, h.inFile(p, bpf.Frame(1<<63|12345)))
	assert.False(t, h.inFile(p, bpf.Frame(30000<<48|12345)))
	s := h.Stats()
	assert.EqualValues(t, 1, s.NoMapping)
	assert.EqualValues(t, 1, s.NoExecutable)
	assert.Zero(t, s.NoProcess)
	assert.Zero(t, s.KernelErrors)
}

func TestTablesAreBuiltOnDemandAndShared(t *testing.T) {
	h := newHarness(t, unwind.PoolOptions{}, nil)
	a, b := start(t, self(t)), start(t, self(t))
	h.follow(a)
	h.follow(b)
	id := h.executable(a)
	assert.Equal(t, id, h.executable(b))
	assert.Equal(t, bpf.ExecUnknown, h.kernel.state(id))
	assert.Zero(t, h.Stats().Builds, "nobody asked")
	h.want(id)
	require.Equal(t, bpf.ExecTable, h.kernel.state(id))

	h.mu.RLock()
	table := h.executables.get(id).table
	h.mu.RUnlock()
	addr, _ := textOf(t, a.pid(), self(t))
	frame, _ := h.kernel.frame(a.pid(), a.image, addr, true)
	_, ok := h.pool.Lookup(table, frame.Addr())
	assert.True(t, ok, "the table has the addresses of frames")
	x := h.kernel.executables[id]
	assert.Equal(t, []uint32{table.PageBase, table.PageCount, table.FirstPage}, []uint32{x.PageBase, x.PageCount, x.FirstPage})
	s := h.Stats()
	assert.EqualValues(t, 1, s.Builds)
	assert.Equal(t, table.Rows, s.Rows)
	assert.Positive(t, s.Bytes)

	// Asked for once more, as the notice was on its way, it is the same.
	h.Notify(bpf.Notice{Kind: bpf.NoticeWantTable, Executable: id})
	h.Notify(bpf.Notice{Kind: bpf.NoticeWantTable, Executable: 30000})
	h.settle()
	assert.Equal(t, x, h.kernel.executables[id])
	assert.EqualValues(t, 1, h.Stats().Builds)
}

func TestMappingsAfterTheStart(t *testing.T) {
	h := newHarness(t, unwind.PoolOptions{}, nil)
	p := start(t, self(t))
	h.follow(p)
	library := copyOf(t, 1)
	addr, err := strconv.ParseUint(p.tell("map "+library), 0, 64)
	require.NoError(t, err)
	_, ok := h.kernel.frame(p.pid(), p.image, addr, true)
	require.False(t, ok)
	miss := bpf.Notice{Kind: bpf.NoticeUnknownMapping, PID: p.pid(), Image: p.image, Addr: addr}
	h.Notify(miss)
	require.Eventually(t, func() bool {
		_, ok := h.kernel.frame(p.pid(), p.image, addr, true)
		return ok
	}, ebpftest.Patience, time.Millisecond)
	f, _ := h.kernel.frame(p.pid(), p.image, addr, true)
	assert.Equal(t, library, h.Resolve(p.pid(), p.image, f).File.Path)
	assert.EqualValues(t, 1, h.Stats().Rescans)
	h.Notify(miss)
	h.settle()
	assert.EqualValues(t, 1, h.Stats().Rescans, "it is known meanwhile")

	anonymous, err := strconv.ParseUint(p.tell("anonymous"), 0, 64)
	require.NoError(t, err)
	miss.Addr = anonymous
	h.Notify(miss)
	require.Eventually(t, func() bool {
		_, ok := h.kernel.frame(p.pid(), p.image, anonymous, true)
		return ok
	}, ebpftest.Patience, time.Millisecond)
	f, _ = h.kernel.frame(p.pid(), p.image, anonymous, true)
	assert.Zero(t, f.Executable(), "code without a file is followed by frame pointers")
	assert.Equal(t, anonymous, f.Addr())
	assert.True(t, h.inFile(p, f))
}

func TestAddressesThatAreNowhereDoNotKeepUsBusy(t *testing.T) {
	h := newHarness(t, unwind.PoolOptions{}, nil)
	p := start(t, self(t))
	h.follow(p)
	const n = 1000
	for i := range uint64(n) {
		h.Notify(bpf.Notice{Kind: bpf.NoticeUnknownMapping, PID: p.pid(), Image: p.image, Addr: 0x1000 + i})
	}
	require.Eventually(t, func() bool {
		s := h.Stats()
		return s.Rescans+s.RescansDeferred == n
	}, ebpftest.Patience, time.Millisecond)
	assert.GreaterOrEqual(t, h.Stats().Rescans, int64(rescanBurst))
	assert.Less(t, h.Stats().Rescans, int64(n/2))
}

func TestTargets(t *testing.T) {
	targets, err := procinfo.Compile(procinfo.TargetsConfig{Executables: []string{"copy*"}})
	require.NoError(t, err)
	h := newHarness(t, unwind.PoolOptions{}, targets)
	a, b := start(t, self(t)), start(t, copyOf(t, 7))
	h.follow(a)
	h.follow(b)
	m, _ := h.kernel.process(a.pid())
	assert.False(t, m.target)
	m, _ = h.kernel.process(b.pid())
	assert.True(t, m.target)
}

// The container of a process that was gone at once is known by its cgroup.
func TestContainerOfAProcessThatIsGone(t *testing.T) {
	root := ""
	for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err == nil {
			root = dir
		}
	}
	id := strings.Repeat("0d", 32)
	dir := filepath.Join(root, "docker-"+id+".scope")
	if root == "" || os.Mkdir(dir, 0o755) != nil {
		t.Skip("cannot make a cgroup v2")
	}
	t.Cleanup(func() { _ = os.Remove(dir) })
	var st unix.Stat_t
	require.NoError(t, unix.Stat(dir, &st))
	h := newHarness(t, unwind.PoolOptions{}, nil)
	info := h.Process(1<<30, 1).Info("short", st.Ino)
	assert.Equal(t, procinfo.Container{ID: id, Runtime: "docker"}, info.Container)
	assert.Equal(t, "short", info.Service)
}

func TestTheKernelRefuses(t *testing.T) {
	h := newHarness(t, unwind.PoolOptions{}, nil)
	h.kernel.refuse = errors.New("refused")
	p := start(t, self(t))
	h.notify(bpf.NoticeUnknownProcess, p.pid(), p.image)
	require.Eventually(t, func() bool { return h.Stats().KernelErrors > 0 }, ebpftest.Patience, time.Millisecond)
	h.kernel.mu.Lock()
	h.kernel.refuse = nil
	h.kernel.mu.Unlock()
	h.Tick()
	_, ok := h.kernel.process(p.pid())
	assert.True(t, ok, "it is tried again")
}

// A kernel whose map is full is not asked to take every process in every tick.
func TestTheKernelIsFull(t *testing.T) {
	h := newHarness(t, unwind.PoolOptions{}, nil)
	h.kernel.refuse = fmt.Errorf("set process: %w", unix.E2BIG)
	programs := []*program{start(t, self(t)), start(t, self(t)), start(t, self(t))}
	for _, p := range programs {
		h.notify(bpf.NoticeUnknownProcess, p.pid(), p.image)
	}
	h.settle()
	ask := func(refuse error) (tried int) {
		h.kernel.mu.Lock()
		h.kernel.refuse, h.kernel.tried = refuse, 0
		h.kernel.mu.Unlock()
		h.Tick()
		h.kernel.mu.Lock()
		defer h.kernel.mu.Unlock()
		return h.kernel.tried
	}
	assert.Equal(t, 1, ask(fmt.Errorf("set process: %w", unix.E2BIG)))
	assert.Equal(t, len(programs), ask(errors.New("refused")), "the next may be taken")
	assert.Equal(t, len(programs), ask(nil))
	assert.Zero(t, ask(nil))
	for _, p := range programs {
		_, ok := h.kernel.process(p.pid())
		assert.True(t, ok)
	}
}

// Programs that live for 30 ms are known, by name and mappings, when they have
// gone.
func TestStorm(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	require.NoError(t, err)
	h := newHarness(t, unwind.PoolOptions{}, nil)
	const n, parallel = 200, 4
	type run struct {
		k       key
		service string
	}
	runs := make(chan run, n)
	slots := make(chan struct{}, parallel)
	for i := range n {
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			service := fmt.Sprintf("storm%d", i)
			cmd := exec.Command(sleep, "0.03")
			cmd.Env = []string{"OTEL_SERVICE_NAME=" + service}
			if !assert.NoError(t, cmd.Start()) { // it has called exec
				return
			}
			k := key{pid: uint32(cmd.Process.Pid)}
			if s, err := procinfo.ReadStat(k.pid); assert.NoError(t, err) {
				k.image = s.StartTicks * 10_000_000
				h.notify(bpf.NoticeExec, k.pid, k.image)
			}
			assert.NoError(t, cmd.Wait())
			h.notify(bpf.NoticeExit, k.pid, k.image)
			runs <- run{k, service}
		}()
	}
	for range parallel {
		slots <- struct{}{}
	}
	close(runs)
	h.settle()
	named, mapped := 0, 0
	for r := range runs {
		p := h.Process(r.k.pid, r.k.image)
		if p.Info("x", 0).Service == r.service {
			named++
		}
		if p.space.Load() != nil {
			mapped++
		}
	}
	// How many are missed on a busy machine says TestStormOfTheKernel, whose
	// processes do not run by the clock.
	assert.GreaterOrEqual(t, named, n*3/4)
	assert.GreaterOrEqual(t, mapped, n*3/4)
	h.kernel.mu.Lock()
	assert.Empty(t, h.kernel.processes, "the kernel's map does not fill up with the dead")
	h.kernel.mu.Unlock()
	h.ticks(keepEnded)
	assert.Zero(t, h.Stats().Processes)
}
