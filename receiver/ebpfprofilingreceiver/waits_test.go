package ebpfprofilingreceiver

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
	"github.com/aperture-collector/aperture-collector/internal/ebpftest/fixtures"
	"github.com/aperture-collector/aperture-collector/internal/lockkind"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// TestWaits profiles programs that wait and that call the kernel, and know how
// often and how long.
func TestWaits(t *testing.T) {
	ebpftest.Require(t)
	s := profileHost(t, testConfig(func(c *Config) {
		c.Profiles = []string{profile.KindOffCPU, profile.KindLock, profile.KindSyscall}
	}))
	t.Run("programs", func(t *testing.T) {
		for _, mode := range []string{"sleep", "poll", "read"} {
			t.Run(mode, func(t *testing.T) { t.Parallel(); testBlocked(t, s, mode) })
		}
		t.Run("futex", func(t *testing.T) { t.Parallel(); testFutex(t, s) })
		for mode, kind := range map[string]string{
			"mutex": lockkind.Mutex, "pi": lockkind.PIMutex, "rwlock": lockkind.RWLock,
			"cond": lockkind.Condition, "semaphore": lockkind.Semaphore,
		} {
			t.Run(mode, func(t *testing.T) { t.Parallel(); testLocks(t, s, mode, kind) })
		}
		t.Run("kernel lock", func(t *testing.T) { t.Parallel(); testKernelLock(t, s) })
		t.Run("system calls", func(t *testing.T) { t.Parallel(); testSyscalls(t, s) })
	})
	checkTimed(t, s.stop())
	for _, kind := range s.receiver.cfg.Profiles {
		for _, reason := range []string{"hash_full", "no_storage", "stack_unknown"} {
			assert.Zero(t, s.counter("lost_samples", "profile", kind, "reason", reason), "%s %s", kind, reason)
		}
	}
}

// testBlocked finds the sleeps of a program at the end of a chain of calls.
func testBlocked(t *testing.T, s *session, mode string) {
	p := ebpftest.Start(t, ebpftest.BuildC(t, "blocked.c", append(fixtures.NoFramePointers, "-fno-optimize-sibling-calls")...), mode)
	chain := []string{
		"timed", "block", "recurse", "recurse", "recurse", "recurse", "recurse", "blocker", "?", "?",
	}
	samples, report := s.measure(t, p, func(s *flatSample) bool { return s.kind == profile.KindOffCPU && s.has("timed") && s.has("blocker") }, 700*time.Millisecond)
	samples = slices.DeleteFunc(samples, func(s flatSample) bool { return s.kind != profile.KindOffCPU })
	for function, want := range report.Waits {
		whole := matches(func(s *flatSample) bool {
			return s.endsLike(append([]string{"?", "?", function}, chain...)...)
		})
		checkWaits(t, samples, profile.KindOffCPU, want, in(function))
		asleep := slices.DeleteFunc(ofType(samples, "off_cpu"), func(s flatSample) bool {
			return !in(function).with(profile.AttrWaitState, "interruptible")(&s)
		})
		for _, x := range asleep {
			assert.Equal(t, profile.FrameKernel, x.frames[0].kind)
			assert.NotEmpty(t, x.frames[0].name)
			assert.Equal(t, "blocked", x.attrs[profile.AttrThreadName])
		}
		checkMost(t, 0.99, asleep, whole)
	}
}

// testFutex finds each wait of each operation.
func testFutex(t *testing.T, s *session) {
	p := ebpftest.StartEnv(t, []string{fixtures.WarmUp}, ebpftest.BuildC(t, "futex.c"), "5", "40")
	samples, report := s.measure(t, p, func(s *flatSample) bool { return s.kind == profile.KindLock && s.has("repeat") && s.has("main") }, 0)
	samples = slices.DeleteFunc(samples, func(s flatSample) bool { return s.kind != profile.KindLock })
	require.GreaterOrEqual(t, len(report.Waits), 3)
	for function, want := range report.Waits {
		checkWaits(t, samples, profile.KindLock, want, in(function).with(profile.AttrLockKind, lockkind.Futex))
	}
	addresses := map[string]bool{}
	for _, x := range samples {
		if x.has("repeat") && x.attrs[profile.AttrLockKind] == lockkind.Futex {
			addresses[x.attrs[profile.AttrLockAddress]] = true
		}
	}
	assert.Len(t, addresses, 1, "all wait for one word")
}

// testLocks finds the waits for locks of the C library, and of what kind they are.
func testLocks(t *testing.T, s *session, mode, kind string) {
	p := ebpftest.Start(t, ebpftest.BuildC(t, "locks.c"), mode, "4", "500")
	known := func(s *flatSample) bool {
		return (s.kind == profile.KindLock || s.kind == profile.KindLockIdle) && s.has("wait_"+mode) && s.has(mode+"_worker")
	}
	samples, report := s.measure(t, p, known, 500*time.Millisecond)
	delays := slices.DeleteFunc(ofType(samples, "delay"), func(s flatSample) bool { return !s.has("wait_" + mode) })
	want := report.Waits["wait_"+mode]
	require.Positive(t, want.Count)
	right, sum := sumOf(delays, matches(func(*flatSample) bool { return true }).with(profile.AttrLockKind, kind))
	// The program measures its way to and from the kernel, too, and waits that
	// are too short to have a stack.
	assert.InEpsilon(t, want.TotalNS, sum, 0.1)
	if mode == "cond" { // the mutex of the condition is waited for as well
		assert.GreaterOrEqual(t, right/sum, 0.5)
	} else {
		assert.InEpsilon(t, sum, right, 0.001, "kind")
	}
	for _, x := range delays {
		if x.attrs[profile.AttrLockKind] == lockkind.Condition {
			assert.Equal(t, profile.KindLockIdle, x.kind)
			assert.NotContains(t, x.attrs, profile.AttrLockAddress)
			continue
		}
		assert.Equal(t, profile.KindLock, x.kind)
		assert.NotContains(t, []string{"", "0"}, x.attrs[profile.AttrLockAddress])
	}
	t.Logf("program %d waits, %d ns; profile %g ns (%.4f), of the kind %.4f", want.Count, want.TotalNS, sum, sum/float64(want.TotalNS), right/sum)
}

// testKernelLock finds the lock of an address space.
func testKernelLock(t *testing.T, s *session) {
	p := ebpftest.Start(t, ebpftest.BuildC(t, "mmaplock.c", append(fixtures.NoFramePointers, "-fno-optimize-sibling-calls")...), "4")
	known := func(s *flatSample) bool { return s.kind == profile.KindLock && s.has("map_once") }
	samples, report := s.measure(t, p, known, 500*time.Millisecond)
	require.Positive(t, report.Counts["rounds"])
	waits := slices.DeleteFunc(ofType(samples, "delay"), func(s flatSample) bool {
		return !strings.HasPrefix(s.attrs[profile.AttrLockKind], "rwsem_")
	})
	require.NotEmpty(t, waits)
	checkMost(t, 0.9, waits, func(s *flatSample) bool {
		return strings.Contains(folded(s.frames), "map_once;") && strings.Contains(folded(s.frames), "rwsem_down_")
	})
	for _, x := range waits {
		if x.has("map_once") {
			assert.Equal(t, profile.FrameKernel, x.frames[0].kind)
			assert.NotContains(t, x.frames[0].name, "bpf_", "what profiles is left out")
		}
	}
}

// testSyscalls counts exactly, and knows who made the slow calls.
func testSyscalls(t *testing.T, s *session) {
	p := ebpftest.StartEnv(t, []string{fixtures.WarmUp}, ebpftest.BuildC(t, "syscalls.c"), "20000", "500", "5", "30")
	chain := mainChain("?", "slow_read")
	samples, report := s.measure(t, p, func(s *flatSample) bool {
		return s.kind == profile.KindSyscall && s.has("slow_read") && s.endsLike(chain...)
	}, 0)
	samples = slices.DeleteFunc(samples, func(s flatSample) bool { return s.kind != profile.KindSyscall })
	calls := ofType(samples, "calls")
	of := func(name, failed string) float64 {
		n, _ := sumOf(calls, func(s *flatSample) bool {
			return s.attrs[profile.AttrSyscallName] == name && s.attrs[profile.AttrError] == failed
		})
		return n
	}
	assert.InDelta(t, report.Counts["getppid"], of("getppid", ""), 0)
	assert.Zero(t, of("getppid", "true"))
	assert.InDelta(t, report.Counts["close"], of("close", "true"), 0)
	checkBuckets(t, samples)
	slow := matches(func(s *flatSample) bool { return len(s.frames) > 0 && !s.has("watch_stdin") }).with(profile.AttrSyscallName, "read")
	checkWaits(t, samples, profile.KindSyscall, report.Waits["slow_read"], slow)
	named, _ := sumOf(calls, func(s *flatSample) bool { return slow(s) && s.endsLike(chain...) })
	assert.InDelta(t, report.Counts["slow"], named, 0)
	for _, x := range calls {
		if x.attrs[profile.AttrSyscallName] == "getppid" {
			assert.Empty(t, x.frames)
		}
	}
}
