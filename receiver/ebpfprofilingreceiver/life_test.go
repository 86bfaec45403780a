package ebpfprofilingreceiver

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
	"github.com/aperture-collector/aperture-collector/internal/ebpftest/fixtures"
)

// TestLife follows processes that change while they are profiled.
func TestLife(t *testing.T) {
	ebpftest.Require(t)
	s := profileHost(t, testConfig(func(c *Config) { c.SamplingFrequency = 997 }))
	t.Run("programs", func(t *testing.T) {
		for _, c := range []struct {
			name string
			test func(*testing.T, *session)
		}{
			{"storm", testStorm},
			{"dlopen", testDlopen},
			{"fork", testFork},
			{"exec", testExec},
			{"deleted", testDeleted},
			{"mount namespace", testMountNamespace},
			{"pid namespace", testPIDNamespace},
			{"pid again", testPIDAgain},
			{"container", testContainer},
		} {
			t.Run(c.name, func(t *testing.T) { t.Parallel(); c.test(t, s) })
		}
	})
}

// testDlopen finds a library that was loaded after the program was known: the program
// loads it when it is told to go on.
func testDlopen(t *testing.T, s *session) {
	lib := ebpftest.BuildC(t, "libspin.c", "-O2", "-fomit-frame-pointer", "-shared", "-fPIC")
	p := ebpftest.Start(t, ebpftest.BuildC(t, "dlopen.c"), lib, "3600000")
	before, inLib := mainChain("before"), mainChain("lib_leaf", "lib_spin", "after")
	from := s.await(t, ofPID(p.PID()), whole(before...))
	ebpftest.AwaitCPU(t, p.PID(), 200*time.Millisecond)
	p.Rest()
	until := s.settle(t)
	checkChains(t, 0.99, ofType(flatten(s.sink.AllProfiles()[from:until], ofPID(p.PID())), "samples"), before)
	p.Continue()
	seen := s.observe(t, p, whole(inLib...), 500*time.Millisecond)
	checkChains(t, 0.99, seen.settled, inLib)
	checkAmount(t, s.receiver.cfg.SamplingFrequency, seen.report.CPUSeconds, seen)
	assert.Positive(t, seen.report.Counts["library_seconds"])
}

// child returns the only child of a process.
func child(t *testing.T, pid int) (of int) {
	t.Helper()
	require.Eventually(t, func() bool {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		if err != nil {
			return false
		}
		n, _ := fmt.Sscan(string(b), &of)
		return n == 1
	}, ebpftest.Patience, 5*time.Millisecond)
	return of
}

// parent is a program whose child does the work.
type parent struct {
	*ebpftest.Program
	pid int
}

func (p parent) PID() int { return p.pid }

// testFork profiles a process that never called exec.
func testFork(t *testing.T, s *session) {
	p := ebpftest.Start(t, ebpftest.BuildC(t, "fork.c"))
	pid := child(t, p.PID())
	chain := mainChain("child_burn", "child")
	seen := s.observe(t, parent{p, pid}, whole(chain...), 500*time.Millisecond)
	assert.InDelta(t, pid, seen.report.Counts["child_pid"], 0)
	checkAmount(t, 997, seen.report.ChildrenCPUSeconds, seen)
	checkChains(t, 0.99, seen.settled, chain)
}

// testExec tells the programs apart that one process runs one after the other: a shell
// that is busy until it is known, and is told so by a file.
func testExec(t *testing.T, s *session) {
	bin, file := ebpftest.BuildC(t, "burn.c"), filepath.Join(t.TempDir(), "go on")
	p := ebpftest.Start(t, "/bin/sh", "-c", fmt.Sprintf("while ! [ -e '%s' ]; do :; done; exec %s", file, bin))
	ebpftest.Await(t, "sample of the shell", func() bool { return len(byPath(t, s.sink.AllProfiles(), p.PID(), "/sh")) > 0 })
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	awaitExec(t, p.PID(), bin)
	seen := s.observe(t, p, whole(burnChain...), 500*time.Millisecond)
	checkChains(t, 0.99, seen.settled, burnChain)
	sh, burn := byPath(t, s.sink.AllProfiles(), p.PID(), "/sh"), byPath(t, s.sink.AllProfiles(), p.PID(), bin)
	require.NotEmpty(t, sh)
	for _, x := range sh {
		assert.False(t, x.has("mid"), folded(x.frames))
	}
	_, n := sumOf(burn, func(*flatSample) bool { return true })
	_, all := sumOf(seen.all, func(*flatSample) bool { return true })
	assert.GreaterOrEqual(t, n, 0.5*997)
	assert.Less(t, n, all)
	for _, x := range burn {
		for _, f := range x.user() {
			assert.False(t, strings.HasSuffix(f.mapping, "sh"), folded(x.frames))
		}
	}
}

// awaitExec waits until a process runs a program.
func awaitExec(t *testing.T, pid int, path string) {
	t.Helper()
	require.Eventually(t, func() bool {
		exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		return err == nil && exe == path
	}, ebpftest.Patience, 5*time.Millisecond)
}

// byPath returns the samples of a pid while it ran an executable whose path ends
// like this; /bin/sh may be a link.
func byPath(t *testing.T, all []pprofile.Profiles, pid int, path string) []flatSample {
	t.Helper()
	if target, err := filepath.EvalSymlinks("/bin" + path); err == nil {
		path = target
	}
	return flatten(all, func(m pcommon.Map) bool {
		v, _ := m.Get("process.executable.path")
		return ofPID(pid)(m) && v.Str() == path
	})
}

// testDeleted names the functions of an executable that was deleted.
func testDeleted(t *testing.T, s *session) {
	bin := ebpftest.BuildC(t, "burn.c")
	seen := s.observe(t, ebpftest.Start(t, bin, "1", "6", "unlink"), whole(burnChain...), 500*time.Millisecond)
	assert.NoFileExists(t, bin)
	checkShares(t, burnShares, seen.settled)
	checkChains(t, 0.99, seen.settled, burnChain)
}

// testMountNamespace names functions of an executable that only its own mount
// namespace has.
func testMountNamespace(t *testing.T, s *session) {
	unshare := find(t, "unshare")
	requireRoot(t)
	bin, dir := ebpftest.BuildC(t, "burn.c"), t.TempDir()
	inside := filepath.Join(dir, "inside")
	p := ebpftest.Start(t, unshare, "-m", "/bin/sh", "-c",
		fmt.Sprintf("mount -t tmpfs tmpfs %s && cp %s %s && rm %s && exec %s", dir, bin, inside, bin, inside))
	awaitExec(t, p.PID(), inside)
	assert.NoFileExists(t, inside)
	assert.NoFileExists(t, bin)
	seen := s.observe(t, p, whole(burnChain...), 500*time.Millisecond)
	checkShares(t, burnShares, seen.settled)
	checkChains(t, 0.99, seen.settled, burnChain)
}

// testPIDNamespace knows processes of other pid namespaces by their number in our
// own.
func testPIDNamespace(t *testing.T, s *session) {
	unshare := find(t, "unshare")
	requireRoot(t)
	bin := ebpftest.BuildC(t, "burn.c")
	p := ebpftest.Start(t, unshare, "-pf", "--mount-proc", bin)
	pid := child(t, p.PID())
	awaitExec(t, pid, bin)
	seen := s.observe(t, parent{p, pid}, whole(burnChain...), 500*time.Millisecond)
	checkAmount(t, 997, seen.report.CPUSeconds, seen)
	checkChains(t, 0.99, seen.settled, burnChain)
}

func requireRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}

// testPIDAgain gives a pid to another program as soon as the first has ended.
func testPIDAgain(t *testing.T, s *session) {
	requireRoot(t)
	first, second := ebpftest.BuildC(t, "burn.c", append(fixtures.NoFramePointers, "-no-pie")...), ebpftest.BuildC(t, "mangled.cc")
	var p, q *ebpftest.Program
	// The next process is given the pid unless another one is faster.
	for range 300 {
		if p == nil {
			p = ebpftest.Start(t, first)
			ebpftest.Await(t, "samples of the first program", func() bool {
				_, n := sumOf(byPath(t, s.sink.AllProfiles(), p.PID(), first), func(*flatSample) bool { return true })
				return n >= 100
			})
			p.Stop()
		}
		require.NoError(t, os.WriteFile("/proc/sys/kernel/ns_last_pid", fmt.Append(nil, p.PID()-1), 0o644))
		q = ebpftest.Start(t, second)
		if q.PID() == p.PID() {
			break
		}
		q.Stop()
		q = nil
	}
	if q == nil {
		t.Skip("the pid was not given to another program")
	}
	chain := mainChain("shapes::(anonymous namespace)::leaf", "shapes::Circle<int>::area")
	seen := s.observe(t, q, whole(chain...), 300*time.Millisecond)
	all := s.sink.AllProfiles()
	was, is := byPath(t, all, p.PID(), first), byPath(t, all, p.PID(), second)
	// Its callers may not be known so early.
	burnt, n := sumOf(was, func(s *flatSample) bool {
		return s.has("leaf_a") || s.has("leaf_b") || s.has("leaf_c") || s.has("worker")
	})
	assert.GreaterOrEqual(t, n, 100.0)
	assert.GreaterOrEqual(t, burnt/n, 0.9)
	for _, x := range is {
		assert.False(t, x.has("worker") || x.has("leaf_a"), folded(x.frames))
	}
	checkChains(t, 0.99, seen.settled, chain)
	seen.all = is
	checkAmount(t, 997, seen.report.CPUSeconds, seen)
}

// testContainer tells the container of a process by its cgroup.
func testContainer(t *testing.T, s *session) {
	const id = "5d0c0a5b6bff1f5a6e0a8a5a1b0d7c6c4f3e2d1c0b9a8f7e6d5c4b3a29181706"
	dir := makeCgroup(t, "docker-"+id+".scope")
	p := ebpftest.Start(t, "/bin/sh", "-c", fmt.Sprintf("echo $$ >%s/cgroup.procs; exec %s", dir, ebpftest.BuildC(t, "burn.c")))
	s.observe(t, p, whole(burnChain...), 200*time.Millisecond)
	found := flatten(s.sink.AllProfiles(), func(m pcommon.Map) bool {
		v, _ := m.Get("container.id")
		runtime, _ := m.Get("container.runtime")
		return ofPID(p.PID())(m) && v.Str() == id && runtime.Str() == "docker"
	})
	_, n := sumOf(found, func(*flatSample) bool { return true })
	assert.Greater(t, n, 100.0)
}

// makeCgroup makes a cgroup v2, or skips the test if that cannot be done.
func makeCgroup(t *testing.T, name string) string {
	t.Helper()
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if _, err := os.Stat(root + "/cgroup.procs"); err != nil {
			continue
		}
		dir := filepath.Join(root, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			break
		}
		t.Cleanup(func() { // which must be empty by then
			assert.Eventually(t, func() bool { return os.Remove(dir) == nil }, ebpftest.Patience, 10*time.Millisecond)
		})
		return dir
	}
	t.Skip("no cgroup v2 that can be written to")
	return ""
}
