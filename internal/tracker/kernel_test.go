package tracker

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/bpf"
	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
	"github.com/aperture-collector/aperture-collector/internal/procinfo"
	"github.com/aperture-collector/aperture-collector/internal/symbol"
	"github.com/aperture-collector/aperture-collector/internal/unwind"
)

// modelKernel does what the BPF programs do with what the tracker writes.
type modelKernel struct {
	mu          sync.Mutex
	processes   map[uint32]modelProcess
	executables map[uint16]bpf.Executable
	refuse      error // what SetProcess returns
	tried       int   // calls of SetProcess
	deleted     int
}

type modelProcess struct {
	image    uint64
	target   bool
	mappings []bpf.Mapping
}

func (k *modelKernel) SetProcess(pid uint32, image uint64, target bool, m []bpf.Mapping) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tried++
	if k.refuse != nil {
		return k.refuse
	}
	if len(m) > bpf.MaxMappings {
		return errors.New("too many mappings")
	}
	for i := 1; i < len(m); i++ {
		if m[i].Start < m[i-1].End {
			return errors.New("not sorted")
		}
	}
	k.processes[pid] = modelProcess{image, target, slices.Clone(m)}
	return nil
}

func (k *modelKernel) DeleteProcess(pid uint32) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.processes, pid)
	k.deleted++
	return nil
}

func (k *modelKernel) SetExecutable(id uint16, x bpf.Executable) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if id == 0 || id >= bpf.MaxExecutables {
		return errors.New("no such executable")
	}
	k.executables[id] = x
	return nil
}

// frame makes a frame of an address as the unwinder does; ok is false if it is
// in no mapping that the kernel knows.
func (k *modelKernel) frame(pid uint32, image, addr uint64, exact bool) (f bpf.Frame, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p, known := k.processes[pid]
	if !known || p.image != image {
		return bpf.Frame(addr), false
	}
	for _, m := range p.mappings {
		if addr >= m.Start && addr < m.End {
			f = bpf.Frame((addr-m.Bias)&(1<<48-1) | uint64(m.Executable)<<48)
			if exact {
				f |= 1 << 63
			}
			return f, true
		}
	}
	return bpf.Frame(addr), false
}

func (k *modelKernel) process(pid uint32) (modelProcess, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p, ok := k.processes[pid]
	return p, ok
}

func (k *modelKernel) state(id uint16) bpf.ExecState {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.executables[id].State
}

// harness is a tracker with a model of the kernel.
type harness struct {
	*Tracker
	t      *testing.T
	kernel *modelKernel
	pool   *unwind.Pool
}

func newHarness(t *testing.T, pool unwind.PoolOptions, targets *procinfo.Targets) *harness {
	t.Helper()
	if pool == (unwind.PoolOptions{}) {
		pool = unwind.PoolOptions{MaxChunks: 256, MaxPages: 65536, MaxRules: 65535}
	}
	h := &harness{
		t:      t,
		kernel: &modelKernel{processes: make(map[uint32]modelProcess), executables: make(map[uint16]bpf.Executable)},
		pool:   unwind.NewPool(unwind.NewHeapMemory(pool.MaxChunks, pool.MaxPages, 65536), pool),
	}
	symbols := symbol.NewCache(64 << 20)
	h.Tracker = New(Options{Kernel: h.kernel, Symbols: symbols, Pool: h.pool, Targets: targets, Cgroups: procinfo.NewCgroups()})
	t.Cleanup(func() {
		h.Close()
		symbols.Close()
	})
	return h
}

// settle waits until all notices so far are handled and all tables are built.
func (h *harness) settle() {
	h.t.Helper()
	require.Eventually(h.t, func() bool {
		if h.Stats().Pending > 0 {
			return false
		}
		h.mu.RLock()
		defer h.mu.RUnlock()
		for _, x := range h.executables.byID {
			if x != nil && x.state == tableQueued {
				return false
			}
		}
		return true
	}, ebpftest.Patience, time.Millisecond)
}

func (h *harness) notify(kind bpf.NoticeKind, pid uint32, image uint64) {
	h.Notify(bpf.Notice{Kind: kind, PID: pid, Image: image})
}

// follow has a process published, as its first sample does.
func (h *harness) follow(p *program) {
	h.t.Helper()
	h.notify(bpf.NoticeUnknownProcess, p.pid(), p.image)
	require.Eventually(h.t, func() bool {
		m, ok := h.kernel.process(p.pid())
		return ok && m.image == p.image
	}, ebpftest.Patience, time.Millisecond, "the kernel does not know the process")
}

// executable returns the number of the executable that a process runs.
func (h *harness) executable(p *program) uint16 {
	h.t.Helper()
	addr, _ := textOf(h.t, p.pid(), p.cmd.Path)
	f, ok := h.kernel.frame(p.pid(), p.image, addr, true)
	require.True(h.t, ok, "the executable is not in the mappings")
	require.NotZero(h.t, f.Executable())
	return f.Executable()
}

// want asks for a table as a sample does, and waits for what comes of it.
func (h *harness) want(id uint16) {
	h.t.Helper()
	h.Notify(bpf.Notice{Kind: bpf.NoticeWantTable, Executable: id})
	require.Eventually(h.t, func() bool {
		h.mu.RLock()
		defer h.mu.RUnlock()
		s := h.executables.get(id).state
		return s != tableNone && s != tableQueued
	}, ebpftest.Patience, time.Millisecond, "nobody builds the table")
}

func (h *harness) ticks(n int) {
	for range n {
		h.Tick()
	}
}

// inFile reports whether a frame of a process has a file. (A File is too much
// to be printed by assertions.)
func (h *harness) inFile(p *program, f bpf.Frame) bool {
	h.t.Helper()
	return h.Resolve(p.pid(), p.image, f).File != nil
}
