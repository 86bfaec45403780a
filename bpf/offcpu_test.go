package bpf_test

import (
	"fmt"
	"math"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/bpf"
	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
	"github.com/aperture-collector/aperture-collector/internal/symbol"
)

// offCPUStarts are the two ways in which the profile runs.
var offCPUStarts = map[string]func(*bpf.Host, bpf.OffCPUOptions) (*bpf.OffCPU, error){
	"task-work": (*bpf.Host).StartOffCPU, "sampled": (*bpf.Host).StartOffCPUSampled,
}

// wait is a count with its stack.
type wait struct {
	bpf.Count
	bpf.Stack
	kernel []string // names of the kernel frames
}

var kernelNames = sync.OnceValues(symbol.NewKernel)

// collectWaits returns the waits of a process.
func collectWaits(t *testing.T, h *bpf.Host, set *stackSet, pid int) []wait {
	t.Helper()
	names, err := kernelNames()
	require.NoError(t, err)
	counts, err := h.Collect(nil)
	require.NoError(t, err)
	var waits []wait
	for _, n := range counts {
		st, ok := set.get(n.Hash)
		if !assert.True(t, ok, "the stack of a count was sent") || int(st.PID) != pid || st.Kind != bpf.KindOffCPU {
			continue
		}
		w := wait{Count: n, Stack: st}
		for _, addr := range st.Kernel {
			name, _, _ := names.Lookup(addr)
			w.kernel = append(w.kernel, name)
		}
		waits = append(waits, w)
	}
	return waits
}

// in tells whether the wait was in one of the kernel's functions.
func (w *wait) in(functions ...string) bool {
	return slices.ContainsFunc(functions, func(f string) bool { return slices.Contains(w.kernel, f) })
}

func (w *wait) state() string { return bpf.OffCPUState(w.Object) }

// busiest returns the thread that waited most often in one of the functions.
func busiest(waits []wait, functions []string) (tid uint32) {
	n := make(map[uint32]uint64)
	for _, w := range waits {
		if !w.in(functions...) {
			continue
		}
		if n[w.TID] += w.Count.Count; n[w.TID] > n[tid] {
			tid = w.TID
		}
	}
	return tid
}

func sumWaits(waits []wait, keep func(*wait) bool) (n, sum uint64) {
	for i := range waits {
		if keep(&waits[i]) {
			n, sum = n+waits[i].Count.Count, sum+waits[i].Sum
		}
	}
	return n, sum
}

func startOffCPU(t *testing.T, h *bpf.Host, minDuration time.Duration) *bpf.OffCPU {
	t.Helper()
	c, err := h.StartOffCPU(bpf.OffCPUOptions{MinDuration: minDuration})
	require.NoError(t, err)
	return c
}

// requireTaskWork skips the test where the kernel has no task work for BPF.
func requireTaskWork(t *testing.T, c *bpf.OffCPU) {
	t.Helper()
	if err := c.Sampled(); err != nil {
		t.Skipf("only an estimate here: %v", err)
	}
}

// TestOffCPUMeasuresWaits compares the waits of a program with what it measured.
func TestOffCPUMeasuresWaits(t *testing.T) {
	ebpftest.Require(t)
	path := ebpftest.BuildC(t, "blocked.c", "-O2", "-fno-omit-frame-pointer")
	for name, start := range offCPUStarts {
		for mode, functions := range map[string][]string{
			"sleep": {"hrtimer_nanosleep"},
			"poll":  {"do_sys_poll"},
			"read":  {"pipe_read", "anon_pipe_read"},
		} {
			t.Run(name+"/"+mode, func(t *testing.T) {
				h, set := open(t, bpf.Options{MaxEntries: 16384})
				c, err := start(h, bpf.OffCPUOptions{MinDuration: time.Millisecond})
				require.NoError(t, err)
				p := ebpftest.Start(t, path, mode, "5")
				time.Sleep(time.Second)
				report := p.Stop()
				waits := collectWaits(t, h, set, p.PID())
				// A sleep may end before the thread that was preempted gets to it.
				thread := busiest(waits, functions)
				blocker := func(w *wait) bool { return w.TID == thread && w.in(functions...) }
				n, sum := sumWaits(waits, blocker)
				var want, total uint64
				for _, w := range report.Waits {
					want, total = want+w.Count, total+w.TotalNS
				}
				require.Positive(t, want)
				if c.Sampled() == nil && name == "task-work" {
					assert.InEpsilon(t, want, n, 0.05)
					assert.InEpsilon(t, total, sum, 0.05)
				} else { // the first waits may be missed or count for many
					assert.InEpsilon(t, want, n, 0.7)
				}
				for _, w := range waits {
					if !blocker(&w) {
						continue
					}
					assert.GreaterOrEqual(t, w.Min, uint64(time.Millisecond))
					assert.LessOrEqual(t, w.Min, w.Max)
					assert.LessOrEqual(t, w.Count.Count*w.Min, w.Sum)
				}
				s := stopOffCPU(t, h, c)
				assert.Zero(t, s[bpf.NoStorage]+s[bpf.HashFull]+s[bpf.Nested])
				assert.Positive(t, s[bpf.RunNanos])
			})
		}
	}
}

// TestOffCPUSampledIsUnbiased compares the estimate with the measurement of the
// same waits, when long waits follow short ones and so are rarely looked at.
func TestOffCPUSampledIsUnbiased(t *testing.T) {
	ebpftest.Require(t)
	path := ebpftest.BuildC(t, "blocked.c")
	const threshold = 6 * time.Millisecond
	exactHost, exactSet := open(t, bpf.Options{MaxEntries: 16384})
	exact := startOffCPU(t, exactHost, threshold)
	requireTaskWork(t, exact)
	host, set := open(t, bpf.Options{MaxEntries: 16384})
	_, err := host.StartOffCPUSampled(bpf.OffCPUOptions{MinDuration: threshold})
	require.NoError(t, err)
	var programs []*ebpftest.Program
	for range 48 { // waits of 3 and 9 ms by turns
		programs = append(programs, ebpftest.Start(t, path, "sleep", "3"))
	}
	time.Sleep(3 * time.Second)
	var want, waits, got uint64
	long := func(w *wait) bool { return w.in("hrtimer_nanosleep") }
	for _, p := range programs {
		p.Stop()
	}
	wantCounts, gotCounts := collectAll(t, exactHost, exactSet), collectAll(t, host, set)
	for _, p := range programs {
		n, sum := sumWaits(wantCounts[p.PID()], long)
		want, waits = want+sum, waits+n
		_, sum = sumWaits(gotCounts[p.PID()], long)
		got += sum
	}
	// One of 64 waits is looked at, 188 of 48 programs * 3 s / 12 ms, fewer on a busy
	// machine: six standard deviations of their number.
	looked := float64(waits) / 64
	t.Logf("%d waits of %d ns, estimated %d ns", waits, want, got)
	require.Greater(t, looked, 36.0)
	assert.InEpsilon(t, want, got, 6/math.Sqrt(looked))
}

// stopOffCPU ends the profile and returns its counters, when no program runs any
// more.
func stopOffCPU(t *testing.T, h *bpf.Host, c *bpf.OffCPU) bpf.Stats {
	t.Helper()
	require.NoError(t, c.Stop())
	_, err := h.Collect(nil) // waits for programs that run
	require.NoError(t, err)
	s, err := c.Stats()
	require.NoError(t, err)
	assertWaitsAddUp(t, s)
	return s
}

// assertWaitsAddUp checks that every event is accounted for once.
func assertWaitsAddUp(t *testing.T, s bpf.Stats) {
	t.Helper()
	var sum uint64
	for c := bpf.Idle; c <= bpf.Samples; c++ {
		sum += s[c]
	}
	assert.Equal(t, s[bpf.Runs], sum)
}

// collectAll returns the waits of all processes.
func collectAll(t *testing.T, h *bpf.Host, set *stackSet) map[int][]wait {
	t.Helper()
	names, err := kernelNames()
	require.NoError(t, err)
	counts, err := h.Collect(nil)
	require.NoError(t, err)
	all := make(map[int][]wait)
	for _, n := range counts {
		st, _ := set.get(n.Hash)
		w := wait{Count: n, Stack: st}
		for _, addr := range st.Kernel {
			name, _, _ := names.Lookup(addr)
			w.kernel = append(w.kernel, name)
		}
		all[int(st.PID)] = append(all[int(st.PID)], w)
	}
	return all
}

// TestOffCPULosesNothing counts every wait, however short, while the maps are
// swapped as often as possible.
func TestOffCPULosesNothing(t *testing.T) {
	ebpftest.Require(t)
	path := ebpftest.BuildC(t, "cost.c")
	for name, start := range offCPUStarts {
		t.Run(name, func(t *testing.T) {
			h, set := open(t, bpf.Options{MaxEntries: 65536, ExcludePID: os.Getpid()})
			c, err := start(h, bpf.OffCPUOptions{})
			require.NoError(t, err)
			p := ebpftest.Start(t, path, "pingpong", "1000", "5000")
			var sum, ofProgram, unknown uint64
			var counts []bpf.Count
			collect := func() {
				counts, err = h.Collect(counts[:0])
				require.NoError(t, err)
				for _, n := range counts {
					st, ok := set.get(n.Hash)
					if !ok {
						unknown += n.Count
					}
					sum += n.Count
					if int(st.PID) == p.PID() {
						ofProgram += n.Count
					}
				}
			}
			begin := time.Now()
			ebpftest.Await(t, "waits for a second", func() bool {
				for range 100 {
					collect()
				}
				return ofProgram > 1000 && time.Since(begin) > time.Second
			})
			p.Stop()
			require.NoError(t, c.Stop())
			collect()
			collect() // what the last swap left in the other map
			s, err := c.Stats()
			require.NoError(t, err)
			assert.Equal(t, s[bpf.Samples], sum)
			if s[bpf.RingFull] == 0 { // which it is when nobody has a processor to read it
				assert.Zero(t, unknown, "every counted stack was sent before Collect returned")
			}
			assertWaitsAddUp(t, s)
		})
	}
}

// TestOffCPUOverload counts exactly what does not fit a map of two entries.
func TestOffCPUOverload(t *testing.T) {
	ebpftest.Require(t)
	ebpftest.StartBusy(t, 4)
	for name, start := range offCPUStarts {
		t.Run(name, func(t *testing.T) {
			h, _ := open(t, bpf.Options{MaxEntries: 2, ExcludePID: os.Getpid()})
			c, err := start(h, bpf.OffCPUOptions{})
			require.NoError(t, err)
			awaitStats(t, c, func(s bpf.Stats) bool { return s[bpf.HashFull] > 0 })
			require.NoError(t, c.Stop())
			counts, err := h.Collect(nil)
			require.NoError(t, err)
			s, err := c.Stats()
			require.NoError(t, err)
			assert.LessOrEqual(t, len(counts), 2)
			assert.Equal(t, s[bpf.Samples], total(counts))
			assertWaitsAddUp(t, s)
		})
	}
}

// TestOffCPUThreadsThatEnd: threads that end while a wait is not counted yet leave nothing behind.
func TestOffCPUThreadsThatEnd(t *testing.T) {
	ebpftest.Require(t)
	path := ebpftest.BuildC(t, "storm.c")
	h, _ := open(t, bpf.Options{MaxEntries: 65536})
	c := startOffCPU(t, h, 0)
	requireTaskWork(t, c)
	p := ebpftest.Start(t, path, "50", "1", "8")
	p.Wait()
	p.Stop()
	require.NoError(t, c.Stop())
	require.EventuallyWithT(t, func(t *assert.CollectT) {
		threads, err := c.Pending()
		require.NoError(t, err)
		for _, tid := range threads {
			_, err := os.Stat(fmt.Sprintf("/proc/%d", tid))
			assert.NoError(t, err, "of a thread that is gone")
		}
	}, ebpftest.Patience, 50*time.Millisecond)
}

func TestOffCPUExcludesPID(t *testing.T) {
	ebpftest.Require(t)
	path := ebpftest.BuildC(t, "blocked.c")
	for name, start := range offCPUStarts {
		t.Run(name, func(t *testing.T) {
			out, in := ebpftest.Start(t, path, "sleep", "2"), ebpftest.Start(t, path, "sleep", "2")
			h, set := open(t, bpf.Options{MaxEntries: 16384, ExcludePID: out.PID()})
			_, err := start(h, bpf.OffCPUOptions{MinDuration: time.Millisecond})
			require.NoError(t, err)
			time.Sleep(100 * time.Millisecond)
			ebpftest.Await(t, "wait of the other process", func() bool {
				all := collectAll(t, h, set)
				assert.Empty(t, all[out.PID()])
				return len(all[in.PID()]) > 0
			})
		})
	}
}

// TestOffCPUTargets profiles only the process that is marked.
func TestOffCPUTargets(t *testing.T) {
	ebpftest.Require(t)
	path := ebpftest.BuildC(t, "blocked.c")
	for name, start := range offCPUStarts {
		t.Run(name, func(t *testing.T) {
			notices := make(chan bpf.Notice, 4096)
			h, set := open(t, bpf.Options{MaxEntries: 1024, Targeted: true, OnNotice: func(n bpf.Notice) {
				select {
				case notices <- n:
				default:
				}
			}})
			c, err := start(h, bpf.OffCPUOptions{MinDuration: time.Millisecond})
			require.NoError(t, err)
			target := ebpftest.Start(t, path, "sleep", "2")
			ebpftest.Start(t, path, "sleep", "2")
			for n := range notices {
				// The first program of the process is a copy of the test.
				if int(n.PID) == target.PID() && n.Kind == bpf.NoticeExec {
					require.NoError(t, h.SetProcess(n.PID, n.Image, true, nil))
					break
				}
			}
			awaitStats(t, c, func(s bpf.Stats) bool { return s[bpf.Samples] > 0 && s[bpf.Filtered] > 0 })
			counts, err := h.Collect(nil)
			require.NoError(t, err)
			assert.NotEmpty(t, counts)
			for _, n := range counts {
				st, _ := set.get(n.Hash)
				assert.EqualValues(t, target.PID(), st.PID)
			}
			stopOffCPU(t, h, c)
		})
	}
}

// TestOffCPUSetMinDuration raises the threshold above all waits of a program.
func TestOffCPUSetMinDuration(t *testing.T) {
	ebpftest.Require(t)
	h, set := open(t, bpf.Options{MaxEntries: 16384})
	c := startOffCPU(t, h, time.Millisecond)
	p := ebpftest.Start(t, ebpftest.BuildC(t, "blocked.c"), "sleep", "2")
	sleeps := func() uint64 {
		time.Sleep(300 * time.Millisecond)
		n, _ := sumWaits(collectWaits(t, h, set, p.PID()), func(w *wait) bool { return w.in("hrtimer_nanosleep") })
		return n
	}
	ebpftest.Await(t, "wait", func() bool { return sleeps() > 0 })
	require.NoError(t, c.SetMinDuration(time.Hour))
	sleeps()
	assert.Zero(t, sleeps())
	assert.Error(t, c.SetMinDuration(-1))
	_, err := h.StartOffCPU(bpf.OffCPUOptions{MinDuration: -1})
	assert.ErrorContains(t, err, "-1ns is negative")
}

// TestOffCPUFallsBack measures where the exact programs cannot be attached.
func TestOffCPUFallsBack(t *testing.T) {
	ebpftest.Require(t)
	h, _ := open(t, bpf.Options{MaxEntries: 1024})
	c, err := h.StartOffCPUUnattachable(bpf.OffCPUOptions{MinDuration: time.Millisecond})
	require.NoError(t, err)
	defer func() { assert.NoError(t, c.Close()) }()
	require.ErrorContains(t, c.Sampled(), "attach")
	_, err = h.Collect(nil)
	require.NoError(t, err, "nothing is left of the others")
}
