package lockkind

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/bpf"
	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
	"github.com/aperture-collector/aperture-collector/internal/symbol"
	"github.com/aperture-collector/aperture-collector/internal/tracker"
	"github.com/aperture-collector/aperture-collector/internal/unwind"
)

type wait struct {
	pid    uint32
	detail uint16
	frames []symbol.Frame
}

// profiler profiles locks as the receiver does.
type profiler struct {
	t       *testing.T
	host    *bpf.Host
	tracker *tracker.Tracker
	symbols *symbol.Cache

	mu    sync.Mutex
	waits map[uint64]wait
}

func profile(t *testing.T) *profiler {
	t.Helper()
	ebpftest.Require(t)
	p := &profiler{t: t, symbols: symbol.NewCache(64 << 20), waits: make(map[uint64]wait)}
	ready := make(chan struct{})
	host, err := bpf.Open(bpf.Options{
		MaxEntries: 16384, MaxChunks: 256,
		OnStack:  func(s *bpf.Stack) { <-ready; p.add(s) },
		OnNotice: func(n bpf.Notice) { <-ready; p.tracker.Notify(n) },
	})
	require.NoError(t, err)
	p.host = host
	p.tracker = tracker.New(tracker.Options{
		Kernel: host, Symbols: p.symbols, Pool: unwind.NewPool(host.Memory(), host.PoolOptions()),
	})
	close(ready)
	t.Cleanup(func() {
		p.tracker.Close()
		assert.NoError(t, host.Close())
		p.symbols.Close()
	})
	_, err = host.StartLock(bpf.LockOptions{MinDuration: 10 * time.Microsecond, User: true})
	require.NoError(t, err)
	return p
}

func (p *profiler) add(s *bpf.Stack) {
	w := wait{pid: s.PID, detail: s.Detail}
	for _, f := range s.User {
		w.frames = append(w.frames, p.tracker.Resolve(s.PID, s.Image(), f))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waits[s.Hash] = w
}

// collect returns how long a process waited by kind, with a stack, since the last
// call.
func (p *profiler) collect(pid int) map[string]uint64 {
	p.t.Helper()
	counts, err := p.host.Collect(nil)
	require.NoError(p.t, err)
	p.tracker.Tick()
	require.NoError(p.t, p.symbols.Wait(p.t.Context()))
	p.mu.Lock()
	defer p.mu.Unlock()
	kinds := map[string]uint64{}
	for _, c := range counts {
		w, ok := p.waits[c.Hash]
		if !ok || int(w.pid) != pid || len(w.frames) == 0 {
			continue
		}
		var functions []string
		for _, f := range w.frames {
			var symbols []symbol.Symbol
			if f.File != nil {
				symbols = f.File.Lookup(f.Addr, nil)
			}
			if len(symbols) == 0 {
				functions = append(functions, "")
			}
			for _, s := range symbols {
				functions = append(functions, s.Name)
			}
		}
		kinds[Kind(w.detail, functions)] += c.Sum
	}
	return kinds
}

// TestKindsOfPrograms finds the kinds of locks that programs are known to wait for.
func TestKindsOfPrograms(t *testing.T) {
	p := profile(t)
	path := ebpftest.BuildC(t, "locks.c")
	for mode, want := range map[string]string{
		"mutex": Mutex, "pi": PIMutex, "rwlock": RWLock, "cond": Condition, "semaphore": Semaphore,
	} {
		t.Run(mode, func(t *testing.T) {
			program := ebpftest.Start(t, path, mode, "4", "200")
			var kinds map[string]uint64
			// At first there are no tables to unwind libc with.
			require.Eventually(t, func() bool {
				kinds = p.collect(program.PID())
				var all uint64
				for _, ns := range kinds {
					all += ns
				}
				return all > 0 && kinds[want] > all*9/10
			}, 30*time.Second, 100*time.Millisecond, "%v", &kinds)
			program.Stop()
			if kinds = p.collect(program.PID()); mode != "cond" && mode != "semaphore" {
				assert.Positive(t, kinds[Join], "the main thread waits for the others: %v", kinds)
			}
		})
	}
}

// TestKindsOfGo tells threads of Go without work.
func TestKindsOfGo(t *testing.T) {
	p := profile(t)
	busy := ebpftest.StartBusy(t, 1)
	require.Eventually(t, func() bool { return p.collect(busy.PID())[Idle] > 0 }, 30*time.Second, 100*time.Millisecond)
}
