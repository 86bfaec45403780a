package tracker

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/bpf"
	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
	"github.com/aperture-collector/aperture-collector/internal/symbol"
	"github.com/aperture-collector/aperture-collector/internal/unwind"
)

// sampled is a stack as the tracker resolved it when it came.
type sampled struct {
	pid    uint32
	comm   string
	end    bpf.End
	frames []symbol.Frame
}

// profiler is the real thing: programs of the kernel that read what the tracker
// writes.
type profiler struct {
	*Tracker
	t       *testing.T
	host    *bpf.Host
	symbols *symbol.Cache

	mu     sync.Mutex
	stacks map[uint64]sampled
	counts map[uint64]uint64
}

func profile(t *testing.T, frequency int) *profiler {
	t.Helper()
	ebpftest.Require(t)
	p := &profiler{t: t, symbols: symbol.NewCache(64 << 20), stacks: make(map[uint64]sampled), counts: make(map[uint64]uint64)}
	ready := make(chan struct{})
	host, err := bpf.Open(bpf.Options{
		MaxEntries: 16384, MaxChunks: 256,
		OnStack:  func(s *bpf.Stack) { <-ready; p.add(s) },
		OnNotice: func(n bpf.Notice) { <-ready; p.Notify(n) },
	})
	require.NoError(t, err)
	p.host = host
	p.Tracker = New(Options{
		Kernel: host, Symbols: p.symbols, Pool: unwind.NewPool(host.Memory(), host.PoolOptions()),
	})
	close(ready)
	t.Cleanup(func() {
		p.Close()
		assert.NoError(t, host.Close())
		p.symbols.Close()
	})
	_, err = host.StartCPU(frequency)
	require.NoError(t, err)
	return p
}

func (p *profiler) add(s *bpf.Stack) {
	frames := make([]symbol.Frame, len(s.User))
	for i, f := range s.User {
		frames[i] = p.Resolve(s.PID, s.Image(), f)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stacks[s.Hash] = sampled{s.PID, s.Comm, s.End, frames}
}

// collect adds what was sampled since the last call.
func (p *profiler) collect() {
	p.t.Helper()
	counts, err := p.host.Collect(nil)
	require.NoError(p.t, err)
	p.mu.Lock()
	for _, c := range counts {
		p.counts[c.Hash] += c.Count
	}
	p.mu.Unlock()
	p.Tick()
}

// samples returns the number of samples with at least one user frame that match.
func (p *profiler) samples(match func(s sampled, functions []string) bool) (n uint64) {
	p.t.Helper()
	require.NoError(p.t, p.symbols.Wait(p.t.Context()))
	p.mu.Lock()
	defer p.mu.Unlock()
	for hash, count := range p.counts {
		s, ok := p.stacks[hash]
		if !ok || len(s.frames) == 0 {
			continue
		}
		var names []string
		for _, f := range s.frames {
			var symbols []symbol.Symbol
			if f.File != nil {
				symbols = f.File.Lookup(f.Addr, nil)
			}
			if len(symbols) == 0 {
				names = append(names, "")
			}
			for _, sym := range symbols {
				names = append(names, sym.Name)
			}
		}
		if match(s, names) {
			n += count
		}
	}
	return n
}

func TestStacksOfABinaryWithoutFramePointers(t *testing.T) {
	p := profile(t, 499)
	burn := ebpftest.Start(t, ebpftest.BuildC(t, "burn.c"), "2")
	pid := uint32(burn.PID())
	ofBurn := func(s sampled, _ []string) bool { return s.pid == pid }
	complete := func(s sampled, names []string) bool {
		return s.pid == pid && s.end == bpf.EndComplete && slices.Contains(names, "mid") && slices.Contains(names, "worker")
	}
	// How soon tables are there depends on what else runs on this machine.
	require.Eventually(t, func() bool {
		p.collect()
		return p.samples(complete) > 0
	}, ebpftest.Patience, 50*time.Millisecond)
	clear(p.counts)
	require.Eventually(t, func() bool {
		p.collect()
		return p.samples(ofBurn) > 400
	}, ebpftest.Patience, 50*time.Millisecond)
	burn.Stop()
	all, good := p.samples(ofBurn), p.samples(complete)
	t.Logf("%d of %d stacks complete, %+v", good, all, p.Stats())
	assert.GreaterOrEqual(t, good, all*95/100)
	assert.Zero(t, p.Stats().KernelErrors)
	assert.Positive(t, p.Stats().Tables)
}

func TestStormOfTheKernel(t *testing.T) {
	bin := ebpftest.BuildC(t, "storm.c")
	var located, burn, all uint64
	// How soon mappings are read depends on who else wants a processor: one storm
	// of ten must be seen well.
	for range 10 {
		p := profile(t, 99)
		storm := ebpftest.Start(t, bin, "60", "30", "2")
		storm.Wait()
		p.collect()
		child := func(s sampled) bool { return s.comm == "exe" || s.comm == "storm" }
		all = p.samples(func(s sampled, _ []string) bool { return child(s) })
		// Not all functions of the dynamic linker have names.
		located = p.samples(func(s sampled, _ []string) bool { return child(s) && s.frames[0].File != nil })
		burn = p.samples(func(s sampled, names []string) bool { return child(s) && slices.Contains(names, "storm_burn") })
		complete := p.samples(func(s sampled, _ []string) bool { return child(s) && s.end == bpf.EndComplete })
		t.Logf("%d samples, %d located, %d in storm_burn, %d complete, %+v", all, located, burn, complete, p.Stats())
		require.Greater(t, all, uint64(60))
		if located >= all*95/100 && burn >= all*80/100 {
			return // the rest is the start and the end of processes
		}
		storm.Stop()
	}
	t.Errorf("of %d samples %d were located and %d are in storm_burn, want 95 and 80 %%", all, located, burn)
}
