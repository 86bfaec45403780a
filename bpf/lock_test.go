package bpf_test

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/bpf"
	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
)

const lockMinDuration = 10 * time.Microsecond

// lockCount is a count with its stack.
type lockCount struct {
	bpf.Count
	bpf.Stack
}

// collectLocks returns what a process waited for.
func collectLocks(t *testing.T, h *bpf.Host, set *stackSet, pid int) []lockCount {
	t.Helper()
	counts, err := h.Collect(nil)
	require.NoError(t, err)
	var of []lockCount
	for _, n := range counts {
		st, ok := set.get(n.Hash)
		if assert.True(t, ok, "the stack of a count was sent") && int(st.PID) == pid && st.Kind == bpf.KindLock {
			of = append(of, lockCount{n, st})
		}
	}
	return of
}

func startLock(t *testing.T, h *bpf.Host, opts bpf.LockOptions) *bpf.Lock {
	t.Helper()
	opts.MinDuration = lockMinDuration
	l, err := h.StartLock(opts)
	require.NoError(t, err)
	require.NoError(t, l.Missing())
	return l
}

func sumOf(counts []lockCount, keep func(lockCount) bool) (n, sum, maximum uint64) {
	for _, c := range counts {
		if keep(c) {
			n, sum, maximum = n+c.Count.Count, sum+c.Sum, max(maximum, c.Max)
		}
	}
	return n, sum, maximum
}

// stop ends the profile and returns its counters, when no program runs any more.
func stop(t *testing.T, h *bpf.Host, p bpf.Profile) bpf.Stats {
	t.Helper()
	require.NoError(t, p.Stop())
	_, err := h.Collect(nil) // waits for programs that run
	require.NoError(t, err)
	s, err := p.Stats()
	require.NoError(t, err)
	assertRunsAddUp(t, s)
	return s
}

func userOp(c lockCount) bpf.LockOp { return bpf.LockOp(c.Detail) }

// TestLockFutexCalls finds every wait of every operation, as long as the program
// says it was.
func TestLockFutexCalls(t *testing.T) {
	ebpftest.Require(t)
	path := ebpftest.BuildC(t, "futex.c")
	for name, start := range map[string]func(*bpf.Host, bpf.LockOptions) (*bpf.Lock, error){
		"tracepoints": (*bpf.Host).StartLock, "raw": (*bpf.Host).StartLockRaw,
	} {
		t.Run(name, func(t *testing.T) {
			h, set := open(t, bpf.Options{MaxEntries: 65536})
			l, err := start(h, bpf.LockOptions{MinDuration: lockMinDuration, User: true})
			require.NoError(t, err)
			p := ebpftest.Start(t, path, "5", "40")
			p.Wait()
			counts := collectLocks(t, h, set, p.PID())
			report := p.Stop()
			for op, functions := range map[bpf.LockOp][]string{
				bpf.LockWait:       {"futex_wait"},
				bpf.LockWaitBitset: {"futex_bitset", "futex_realtime"},
				bpf.LockWaitV:      {"futex_waitv"},
			} {
				var want, total uint64
				for _, f := range functions {
					want, total = want+report.Waits[f].Count, total+report.Waits[f].TotalNS
				}
				n, sum, _ := sumOf(counts, func(c lockCount) bool { return userOp(c) == op && c.Detail&bpf.LockTimedOut != 0 })
				assert.Equal(t, want, n, "%v", functions)
				assert.InEpsilon(t, total+1, sum+1, 0.02, "%v", functions)
			}
			for _, c := range counts {
				if c.Detail&bpf.LockTimedOut != 0 {
					assert.NotZero(t, c.Object)
					assert.NotEmpty(t, c.User)
					assert.GreaterOrEqual(t, c.Min, uint64(5*time.Millisecond))
					assert.LessOrEqual(t, c.Min, c.Max)
				}
			}
			s := stop(t, h, l)
			assert.Zero(t, s[bpf.Nested]+s[bpf.NoStorage]+s[bpf.HashFull])
		})
	}
}

// TestLockContention compares the waits for contended locks with what the program
// measured around the calls that block.
func TestLockContention(t *testing.T) {
	ebpftest.Require(t)
	path := ebpftest.BuildC(t, "locks.c")
	for _, mode := range []struct {
		name string
		op   bpf.LockOp
	}{
		{"mutex", bpf.LockWait},
		{"pi", bpf.LockPI},
		{"rwlock", bpf.LockWaitBitset},
		{"cond", bpf.LockWaitBitset},
		{"semaphore", bpf.LockWaitBitset},
	} {
		t.Run(mode.name, func(t *testing.T) {
			h, set := open(t, bpf.Options{MaxEntries: 65536})
			startLock(t, h, bpf.LockOptions{User: true})
			p := ebpftest.Start(t, path, mode.name, "4", "500")
			time.Sleep(700 * time.Millisecond)
			report := p.Stop()
			want := report.Waits["wait_"+mode.name]
			counts := collectLocks(t, h, set, p.PID())
			n, sum, longest := sumOf(counts, func(c lockCount) bool {
				// The main thread waits for the others.
				return int(c.TID) != p.PID() && (userOp(c) == mode.op || mode.name == "cond")
			})
			t.Logf("%s: program %d waits, %d ns; profile %d, %d ns", mode.name, want.Count, want.TotalNS, n, sum)
			// What the program measures includes its being preempted on the way to and
			// from the kernel.
			assert.InEpsilon(t, want.TotalNS, sum, 0.05)
			assert.LessOrEqual(t, longest, want.MaxNS)
			if mode.name == "pi" { // others may have to wait again in the same call
				assert.Equal(t, want.Count, n)
			}
		})
	}
}

// TestLockShortWaits counts waits below the threshold exactly, in entries without
// a stack.
func TestLockShortWaits(t *testing.T) {
	ebpftest.Require(t)
	path := ebpftest.BuildC(t, "futex.c")
	h, set := open(t, bpf.Options{MaxEntries: 1024})
	l, err := h.StartLock(bpf.LockOptions{MinDuration: time.Second, User: true})
	require.NoError(t, err)
	p := ebpftest.Start(t, path, "1", "100")
	p.Wait()
	counts := collectLocks(t, h, set, p.PID())
	report := p.Stop()
	var want uint64
	for _, w := range report.Waits {
		want += w.TotalNS
	}
	n, sum, _ := sumOf(counts, func(c lockCount) bool { return c.Detail&bpf.LockTimedOut != 0 })
	assert.EqualValues(t, 100*len(report.Waits), n)
	assert.InEpsilon(t, want, sum, 0.05)
	assert.LessOrEqual(t, len(counts), 6, "one entry for each operation and result")
	for _, c := range counts {
		assert.Zero(t, c.Object)
		assert.Empty(t, c.User)
		assert.Equal(t, bpf.EndNone, c.End)
	}
	assert.GreaterOrEqual(t, stop(t, h, l)[bpf.Stackless], n)
}

// TestLockKernel finds the lock of an address space that threads contend for.
func TestLockKernel(t *testing.T) {
	ebpftest.Require(t)
	path := ebpftest.BuildC(t, "mmaplock.c", "-O2", "-fno-omit-frame-pointer")
	h, set := open(t, bpf.Options{MaxEntries: 65536})
	l := startLock(t, h, bpf.LockOptions{Kernel: true})
	p := ebpftest.Start(t, path, "4")
	const read, write = bpf.LockKernel | 2, bpf.LockKernel | 4
	locks := map[uint64]bool{}
	var n, sum uint64
	ebpftest.Await(t, "contention", func() bool {
		n, sum, _ = sumOf(collectLocks(t, h, set, p.PID()), func(c lockCount) bool {
			if c.Detail != read && c.Detail != write || len(c.Kernel) == 0 {
				return false
			}
			assert.NotEmpty(t, c.User, "who called the kernel")
			assert.Positive(t, c.Object>>63, "an address of the kernel")
			locks[c.Object] = true
			return true
		})
		return n > 0
	})
	p.Stop()
	t.Logf("%d waits, %d ns, %d locks; %v", n, sum, len(locks), stop(t, h, l))
	assert.GreaterOrEqual(t, sum, n*uint64(lockMinDuration))
}

// TestLockTargets leaves other processes alone.
func TestLockTargets(t *testing.T) {
	ebpftest.Require(t)
	path := ebpftest.BuildC(t, "futex.c")
	h, set := open(t, bpf.Options{MaxEntries: 1024, Targeted: true})
	l := startLock(t, h, bpf.LockOptions{User: true, Kernel: true})
	p := ebpftest.Start(t, path, "1", "20")
	p.Wait()
	assert.Empty(t, collectLocks(t, h, set, p.PID()))
	assert.GreaterOrEqual(t, stop(t, h, l)[bpf.Filtered], uint64(60))
}

// TestLockOverload counts exactly what does not fit.
func TestLockOverload(t *testing.T) {
	ebpftest.Require(t)
	path := ebpftest.BuildC(t, "futex.c")
	h, _ := open(t, bpf.Options{MaxEntries: 2})
	l := startLock(t, h, bpf.LockOptions{User: true, Kernel: true})
	p := ebpftest.Start(t, path, "1", "20")
	p.Wait()
	require.NoError(t, l.Stop())
	counts, err := h.Collect(nil)
	require.NoError(t, err)
	s := stop(t, h, l)
	assert.Positive(t, s[bpf.HashFull])
	assert.Equal(t, s[bpf.Samples], total(counts))
}

// TestLockHalves runs one half when the other was not asked for, and none that
// was not.
func TestLockHalves(t *testing.T) {
	ebpftest.Require(t)
	h, _ := open(t, bpf.Options{MaxEntries: 1024, ExcludePID: os.Getpid()})
	_, err := h.StartLock(bpf.LockOptions{MinDuration: -1, User: true})
	require.ErrorContains(t, err, "-1ns, must not be negative")
	for _, opts := range []bpf.LockOptions{{User: true}, {Kernel: true}} {
		l := startLock(t, h, opts)
		require.NoError(t, l.Close())
		require.NoError(t, l.Close())
	}
}

// TestLockAllProfiles contends for the locks of the profiler's own maps, too: two
// processors count new stacks in all profiles.
func TestLockAllProfiles(t *testing.T) {
	ebpftest.Require(t)
	h, _, _ := openCPU(t, 999, bpf.Options{MaxEntries: 65536})
	l, err := h.StartLock(bpf.LockOptions{User: true, Kernel: true})
	require.NoError(t, err)
	require.NoError(t, l.Missing())
	programs := []*ebpftest.Program{
		ebpftest.Start(t, ebpftest.BuildC(t, "mmaplock.c"), "8"),
		ebpftest.Start(t, ebpftest.BuildC(t, "locks.c"), "mutex", "8", "20"),
		ebpftest.Start(t, ebpftest.BuildC(t, "burn.c"), "4"),
	}
	var counts []bpf.Count
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); {
		require.NoError(t, h.Forget()) // send all stacks again
		counts, err = h.Collect(counts[:0])
		require.NoError(t, err)
	}
	for _, p := range slices.Backward(programs) {
		p.Stop()
	}
	assert.Positive(t, stop(t, h, l)[bpf.Samples])
}
