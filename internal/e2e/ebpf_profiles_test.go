package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
	"github.com/aperture-collector/aperture-collector/internal/ebpftest/fixtures"
)

// often makes batches frequent, so that tests need not wait long; unlimited keeps
// all profiles on at any cost, as on a busy machine.
const (
	often     = "yaml:receivers::ebpf_profiling::interval: 1s"
	unlimited = "yaml:receivers::ebpf_profiling::max_overhead: 0"
)

var allProfiles = []string{"cpu", "off_cpu", "lock", "syscall"}

// All profiles of the shipped configuration arrive at the API with the names and the
// numbers of programs that know them: native code without frame pointers, Go, and
// code of a just-in-time compiler.
func TestEBPFProfiles(t *testing.T) {
	c := newCollector(t, "all-in-one.yaml", often, unlimited)
	c.startReady()
	c.requireProfiles(allProfiles...)

	c.sub(t, "cpu native", func(t *testing.T) {
		p := ebpftest.Start(t, ebpftest.BuildC(t, "burn.c"), "1", "6")
		c.eventuallySeen("cpu", p.PID(), "leaf_a", "mid", "recurse", "recurse", "recurse", "recurse", "recurse", "recurse", "recurse", "worker")
		c.eventuallySeen("cpu", p.PID(), "leaf_c", "mid", "recurse", "worker")
	})
	c.sub(t, "cpu go", func(t *testing.T) {
		c.eventuallySeen("cpu", startBusy(t), "spin", "busyHalf")
	})
	c.sub(t, "cpu jit", func(t *testing.T) {
		c.eventuallySeen("cpu", startNode(t), "leafJIT", "callerJIT")
	})
	c.sub(t, "cpu shared library", func(t *testing.T) {
		lib := ebpftest.BuildC(t, "libspin.c", append([]string{"-shared", "-fPIC"}, fixtures.NoFramePointers...)...)
		p := ebpftest.Start(t, ebpftest.BuildC(t, "dlopen.c"), lib, "200")
		c.eventuallySeen("cpu", p.PID(), "lib_leaf", "lib_spin", "after", "main")
	})
	c.sub(t, "off_cpu", func(t *testing.T) {
		c.testWaits(t, "off_cpu", "blocked.c", []string{"timed", "blocker"}, "sleep", "5")
	})
	c.sub(t, "lock", func(t *testing.T) {
		c.testWaits(t, "lock", "locks.c", []string{"wait_mutex", "mutex_worker"}, "mutex", "4", "500")
	})
	c.sub(t, "lock of the kernel", func(t *testing.T) {
		p := ebpftest.Start(t, ebpftest.BuildC(t, "mmaplock.c"), "4")
		c.eventuallySeen("lock", p.PID(), "map_once", "mapper")
	})
	c.sub(t, "syscall", c.testSyscalls)
}

// sub runs a subtest to which the failures of c belong.
func (c *collector) sub(t *testing.T, name string, fn func(*testing.T)) {
	t.Run(name, func(sub *testing.T) {
		defer func(tb testing.TB) { c.tb = tb }(c.tb)
		c.tb = sub
		fn(sub)
	})
}

// testWaits compares the waits that a program measured with those of a profile. All
// of them are in the functions.
func (c *collector) testWaits(t *testing.T, kind, name string, functions []string, args ...string) {
	p := ebpftest.Start(t, ebpftest.BuildC(t, name), args...)
	// Until it is known, its callers are not: that is no part of what is compared. A
	// program that rests has no waits; all it had have arrived when they do not change.
	c.eventuallySeen(kind, p.PID(), functions...)
	p.Rest()
	before, same := c.seen(kind, p.PID()), 0
	require.Eventually(t, func() bool {
		now := c.seen(kind, p.PID())
		_, had := waited(before, functions...)
		_, has := waited(now, functions...)
		if same++; has != had {
			before, same = now, 0
		}
		return same == 5
	}, 2*time.Minute, time.Second)
	p.Continue()
	time.Sleep(3 * time.Second) // what is compared
	report := p.Stop()
	require.NotEmpty(t, report.Waits)
	for function, own := range report.Waits {
		var count, ns uint64
		_, earlier := waited(before, function)
		assert.Eventually(t, func() bool {
			count, ns = waited(c.seen(kind, p.PID()), function)
			ns -= min(ns, earlier)
			return float64(ns) > 0.95*float64(own.TotalNS)
		}, 2*time.Minute, time.Second, "waits below %s", function)
		t.Logf("%s: %d waits of %d ns, by its own account %d of %d ns", function, count, ns, own.Count, own.TotalNS)
		assert.Less(t, float64(ns), 1.05*float64(own.TotalNS), function)
	}
}

// testSyscalls counts exactly.
func (c *collector) testSyscalls(t *testing.T) {
	p := ebpftest.Start(t, ebpftest.BuildC(t, "syscalls.c"), "20000", "300", "5", "30")
	p.Wait()
	pid := p.PID()
	var got map[string]syscallStat
	assert.Eventually(t, func() bool {
		got = c.syscallsOf(pid)
		return got["close"].Count >= 300 && got["getppid"].Count >= 20000 && got["read"].Count >= 5
	}, 2*time.Minute, time.Second)
	assert.EqualValues(t, 20000, got["getppid"].Count)
	assert.Zero(t, got["getppid"].ErrorCount)
	assert.EqualValues(t, 300, got["close"].ErrorCount)
	var slow, all uint64
	for i, n := range got["read"].LatencyHistogram {
		if all += n; i >= 24 { // 16.8 ms
			slow += n
		}
	}
	assert.GreaterOrEqual(t, slow, uint64(5))
	assert.Equal(t, got["read"].Count, all)
	assert.GreaterOrEqual(t, got["read"].MaxDurationNS, uint64(30*time.Millisecond))
	p.Stop()
}

// startNode runs a JavaScript program which is busy in leafJIT, called by callerJIT.
func startNode(t *testing.T) int {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed")
	}
	script := filepath.Join(t.TempDir(), "busy.js")
	require.NoError(t, os.WriteFile(script, []byte(`
function leafJIT(n) { let x = 1; for (let i = 0; i < n; i++) x = (x * 31 + i) | 0; return x; }
function callerJIT() { return leafJIT(1e6) + leafJIT(1e6); }
setInterval(() => { for (let i = 0; i < 10; i++) callerJIT(); }, 1);
`), 0o600))
	cmd := exec.Command(node, "--perf-basic-prof", "--interpreted-frames-native-stack", script)
	cmd.Dir = filepath.Dir(script) // where it may leave files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.Remove(fmt.Sprintf("/tmp/perf-%d.map", cmd.Process.Pid))
	})
	return cmd.Process.Pid
}

// An ordinary user with four capabilities gets all profiles with names, those of the
// kernel and of other users' programs too.
func TestEBPFUnprivileged(t *testing.T) {
	setpriv, err := exec.LookPath("setpriv")
	if err != nil || os.Geteuid() != 0 {
		t.Skip("needs root and setpriv")
	}
	const user = 65534
	// The data directory must be the user's, below folders that it may enter. It is
	// made first, so that it is removed after the collector has ended.
	dir := sharedDir(t)
	c := newCollector(t, "all-in-one.yaml", often, unlimited)
	require.NoError(t, os.Chown(dir, user, user))
	c.env = append(c.env, "APERTURE_DATA_DIR="+filepath.Join(dir, "data"), "HOME="+dir)
	const caps = "-all,+bpf,+perfmon,+syslog,+sys_ptrace"
	c.wrap = []string{
		setpriv, fmt.Sprintf("--reuid=%d", user), fmt.Sprintf("--regid=%d", user), "--clear-groups",
		"--inh-caps=" + caps, "--ambient-caps=" + caps, "--bounding-set=" + caps,
	}
	c.startReady()
	c.requireProfiles(allProfiles...)
	// Its file must be one that the user may read; the process is root's.
	path, err := fixtures.Build(sharedDir(t), "burn.c")
	if err != nil {
		t.Skip(err)
	}
	require.NoError(t, os.Chmod(filepath.Dir(path), 0o755))
	require.NoError(t, os.Chmod(path, 0o755))
	burn := ebpftest.Start(t, path, "1", "6")
	locks := ebpftest.Start(t, ebpftest.BuildC(t, "mmaplock.c"), "2")
	c.eventuallySeen("cpu", burn.PID(), "leaf_a", "mid", "recurse", "worker")
	var kernel []seen
	require.Eventually(t, func() bool {
		kernel = c.seen("lock", locks.PID())
		return slices.ContainsFunc(kernel, func(s seen) bool { return s.has("vm_mmap_pgoff") || s.has("__vm_munmap") })
	}, 2*time.Minute, time.Second, "no names of the kernel, but %v", lazyStacks{&kernel})
	require.Eventually(t, func() bool { return c.syscallsOf(locks.PID())["munmap"].Count > 0 }, 2*time.Minute, time.Second)
}

// sharedDir makes a directory that every user may enter.
func sharedDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "aperture-e2e-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir
}
