package tracker

import (
	"sync"
	"sync/atomic"

	"github.com/aperture-collector/aperture-collector/bpf"
	"github.com/aperture-collector/aperture-collector/internal/procinfo"
	"github.com/aperture-collector/aperture-collector/internal/symbol"
	"github.com/aperture-collector/aperture-collector/internal/unwind"
)

// Kernel is what the tracker writes; [bpf.Host] is one. Methods are called
// while programs run that read it.
type Kernel interface {
	// SetProcess makes the mappings of a process known, sorted and at most
	// bpf.MaxMappings.
	SetProcess(pid uint32, image uint64, target bool, m []bpf.Mapping) error
	// DeleteProcess forgets a process.
	DeleteProcess(pid uint32) error
	// SetExecutable publishes how the stacks of an executable are unwound. The
	// zero value means that it is not known yet.
	SetExecutable(id uint16, x bpf.Executable) error
}

// Options are what a Tracker works with. All but Targets and Cgroups are needed.
type Options struct {
	Kernel  Kernel
	Symbols *symbol.Cache
	Pool    *unwind.Pool
	// Targets are the processes that are profiled, nil for all.
	Targets *procinfo.Targets
	// Cgroups tells the containers of processes that were gone at once, nil if
	// nobody does.
	Cgroups *procinfo.Cgroups
}

// key identifies a program that a process runs.
type key struct {
	pid   uint32
	image uint64
}

// Tracker follows processes. It is safe for concurrent use.
type Tracker struct {
	opts Options

	// work is held while a process is looked at or published, which reads files
	// of /proc. It is taken before mu.
	work  sync.Mutex
	execs limiter // guarded by work

	mu          sync.RWMutex
	tick        uint64
	procs       map[key]*Process
	latest      map[uint32]*Process // that runs, by pid
	published   map[uint32]*Process // that the kernel knows, by pid
	executables executables
	building    builds
	stats       Stats

	noProcess, noMapping, noExecutable atomic.Int64

	notices queue
	closing chan struct{}
	wg      sync.WaitGroup
	once    sync.Once
}

// New starts a tracker. Close it before what it works with.
func New(opts Options) *Tracker {
	t := &Tracker{
		opts:        opts,
		execs:       limiter{rate: execsPerSecond, burst: execBurst},
		procs:       make(map[key]*Process),
		latest:      make(map[uint32]*Process),
		published:   make(map[uint32]*Process),
		executables: newExecutables(),
		building:    builds{wake: make(chan struct{}, 1)},
		notices:     queue{wake: make(chan struct{}, 1)},
		closing:     make(chan struct{}),
	}
	t.stats.BuildErrors = make(map[string]int64)
	t.wg.Add(2)
	go t.follow()
	go t.build()
	return t
}

// Close stops the goroutines and gives all processes and executables up. What
// the kernel was told stays.
func (t *Tracker) Close() {
	t.once.Do(func() {
		close(t.closing)
		t.wg.Wait()
		t.work.Lock()
		defer t.work.Unlock()
		t.mu.Lock()
		defer t.mu.Unlock()
		for _, p := range t.procs {
			t.forget(p)
		}
		t.executables.close()
	})
}

// closed reports whether Close was called.
func (t *Tracker) closed() bool {
	select {
	case <-t.closing:
		return true
	default:
		return false
	}
}
