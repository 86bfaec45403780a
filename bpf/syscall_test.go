package bpf_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/aperture-collector/aperture-collector/bpf"
	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

func openSyscall(t *testing.T, opts bpf.Options, sys bpf.SyscallOptions) (*bpf.Host, *bpf.Syscall, *stackSet) {
	t.Helper()
	if opts.MaxEntries == 0 {
		opts.MaxEntries = 4096
	}
	h, set := open(t, opts)
	s, err := h.StartSyscall(sys)
	require.NoError(t, err)
	return h, s, set
}

// calls sums up the calls of a process with a number. Before it runs its
// program, a process is a copy of the test and has its name.
func calls(counts []bpf.SyscallCount, pid, number int, failed bool) (n uint64) {
	for _, c := range counts {
		if int(c.PID) == pid && int(c.Number) == number && c.Error == failed && c.Comm != "bpf.test" {
			n += c.Count
		}
	}
	return n
}

// assertPlausible checks what must hold for every count.
func assertPlausible(t *testing.T, counts []bpf.SyscallCount) {
	t.Helper()
	for _, c := range counts {
		assert.Equal(t, int(c.Bucket), profile.LatencyBucket(c.Min), "%+v", c)
		assert.Equal(t, int(c.Bucket), profile.LatencyBucket(c.Max), "%+v", c)
		assert.LessOrEqual(t, c.Count*c.Min, c.Sum, "%+v", c)
		assert.GreaterOrEqual(t, c.Count*c.Max, c.Sum, "%+v", c)
		assert.Equal(t, c.Number == unix.SYS_EXECVE && !c.Error, c.Comm == "", "%+v", c)
		assert.NotZero(t, c.CgroupID)
	}
}

// TestSyscallCountsExactly finds as many calls and errors as the program made,
// and those that were slow with their stacks and nowhere else.
func TestSyscallCountsExactly(t *testing.T) {
	ebpftest.Require(t)
	const slowest = 15 * time.Millisecond
	h, s, set := openSyscall(t, bpf.Options{}, bpf.SyscallOptions{SlowThreshold: slowest})
	p := ebpftest.Start(t, ebpftest.BuildC(t, "syscalls.c", "-O2", "-fno-omit-frame-pointer"), "100000", "1000", "5", "30")
	p.Wait()
	counts, err := s.Collect(nil)
	require.NoError(t, err)
	assert.EqualValues(t, 100000, calls(counts, p.PID(), unix.SYS_GETPPID, false))
	assert.Zero(t, calls(counts, p.PID(), unix.SYS_GETPPID, true))
	assert.EqualValues(t, 1000, calls(counts, p.PID(), unix.SYS_CLOSE, true))
	assertPlausible(t, counts)
	seen := map[bpf.SyscallKey]bool{}
	for _, c := range counts {
		assert.False(t, seen[c.SyscallKey], "a key comes once: %+v", c)
		seen[c.SyscallKey] = true
		assert.Less(t, c.Max, uint64(slowest), "slow calls are not among the counts: %+v", c)
	}

	stacks, err := h.Collect(nil)
	require.NoError(t, err)
	var slow uint64
	for _, n := range stacks {
		st, ok := set.get(n.Hash)
		require.True(t, ok)
		require.Equal(t, bpf.KindSyscall, st.Kind)
		assert.GreaterOrEqual(t, n.Min, uint64(slowest))
		bucket, failed := bpf.SyscallDetail(st.Detail)
		assert.Equal(t, int(bucket), profile.LatencyBucket(n.Min))
		if int(st.PID) == p.PID() && st.Object == unix.SYS_READ {
			slow += n.Count
			assert.False(t, failed)
			assert.Equal(t, p.PID(), int(st.TID))
			assert.NotEmpty(t, st.User)
			assert.Empty(t, st.Kernel)
		}
	}
	assert.EqualValues(t, 5, slow)
	st, err := s.Stats()
	require.NoError(t, err)
	assertRunsAddUp(t, st)
	assert.Positive(t, st[bpf.RunNanos])
	assert.Zero(t, st[bpf.HashFull])
}

// TestSyscallWithoutThreshold counts slow calls like others.
func TestSyscallWithoutThreshold(t *testing.T) {
	ebpftest.Require(t)
	h, s, _ := openSyscall(t, bpf.Options{}, bpf.SyscallOptions{})
	p := ebpftest.Start(t, ebpftest.BuildC(t, "syscalls.c"), "10", "10", "5", "30")
	p.Wait()
	counts, err := s.Collect(nil)
	require.NoError(t, err)
	assertPlausible(t, counts)
	var slow uint64
	for _, c := range counts {
		if int(c.PID) == p.PID() && c.Number == unix.SYS_READ && c.Min >= uint64(20*time.Millisecond) {
			slow += c.Count
		}
	}
	assert.EqualValues(t, 5, slow)
	stacks, err := h.Collect(nil)
	require.NoError(t, err)
	assert.Empty(t, stacks)
}

// TestSyscallSwapLosesNothing collects as often as it can while programs make
// as many calls as they can.
func TestSyscallSwapLosesNothing(t *testing.T) {
	ebpftest.Require(t)
	_, s, _ := openSyscall(t, bpf.Options{}, bpf.SyscallOptions{})
	fixture := ebpftest.BuildC(t, "syscalls.c")
	const each = 1_000_000
	done := make(chan int, 2)
	for range cap(done) {
		p := ebpftest.Start(t, fixture, strconv.Itoa(each), "10", "1", "1")
		go func() {
			p.Wait()
			done <- p.PID()
		}()
	}
	var sum uint64
	of := map[int]uint64{}
	var counts []bpf.SyscallCount
	collect := func() {
		var err error
		counts, err = s.Collect(counts[:0])
		require.NoError(t, err)
		for _, c := range counts {
			sum += c.Count
			if c.Comm == "syscalls" && c.Number == unix.SYS_GETPPID {
				of[int(c.PID)] += c.Count
			}
		}
	}
	collects, late := 0, time.Now().Add(2*time.Minute)
	for range cap(done) {
		for pid := 0; pid == 0; collects++ {
			require.True(t, time.Now().Before(late), "the programs end: %v", of)
			select {
			case pid = <-done:
			default:
			}
			collect()
			if pid != 0 {
				assert.EqualValues(t, each, of[pid])
			}
		}
	}
	assert.Greater(t, collects, 10)
	require.NoError(t, s.Stop())
	collect()
	collect() // what the last swap left in the other table
	st, err := s.Stats()
	require.NoError(t, err)
	assert.Equal(t, st[bpf.Samples], sum)
	assertRunsAddUp(t, st)
	assert.Zero(t, st[bpf.HashFull])
}

// TestSyscallOverload counts exactly what does not fit.
func TestSyscallOverload(t *testing.T) {
	ebpftest.Require(t)
	_, s, _ := openSyscall(t, bpf.Options{}, bpf.SyscallOptions{MaxEntries: 3})
	p := ebpftest.Start(t, ebpftest.BuildC(t, "syscalls.c"), "20000", "20000", "1", "1")
	p.Wait()
	require.NoError(t, s.Stop())
	counts, err := s.Collect(nil)
	require.NoError(t, err)
	var sum uint64
	for _, c := range counts {
		sum += c.Count
	}
	// Each processor may take one more before it sees that another did.
	assert.LessOrEqual(t, len(counts), 3+runtime.NumCPU())
	st, err := s.Stats()
	require.NoError(t, err)
	assert.Equal(t, st[bpf.Samples], sum)
	assert.Positive(t, st[bpf.HashFull])
	assert.Greater(t, st[bpf.HashFull]+sum, uint64(40000))
	assertRunsAddUp(t, st)
	again, err := s.Collect(nil)
	require.NoError(t, err)
	assert.Empty(t, again, "the other table was not used")
}

// TestSyscallExec gives an exec to the program that made it, and what follows to
// the other.
func TestSyscallExec(t *testing.T) {
	ebpftest.Require(t)
	h, s, set := openSyscall(t, bpf.Options{}, bpf.SyscallOptions{SlowThreshold: 1})
	cmd := exec.Command("/bin/sh", "-c", "exec /bin/true")
	require.NoError(t, cmd.Run())
	counts, err := s.Collect(nil)
	require.NoError(t, err)
	// Every call is slow, but an exec has no stack when it returns.
	var images []uint64
	for _, c := range counts {
		if int(c.PID) == cmd.Process.Pid {
			assert.EqualValues(t, unix.SYS_EXECVE, c.Number)
			assert.EqualValues(t, 1, c.Count)
			images = append(images, c.Image)
		}
	}
	require.Len(t, images, 2, "of the test to the shell, and from there to true")
	assert.EqualValues(t, 1, max(images[0], images[1])-min(images[0], images[1]))
	stacks, err := h.Collect(nil)
	require.NoError(t, err)
	last := uint64(0)
	for _, n := range stacks {
		if st, _ := set.get(n.Hash); int(st.PID) == cmd.Process.Pid {
			assert.NotEqualValues(t, unix.SYS_EXECVE, st.Object)
			assert.NotEqualValues(t, unix.SYS_EXIT_GROUP, st.Object)
			last = max(last, st.Image())
		}
	}
	assert.Equal(t, max(images[0], images[1])+1, last)
}

// TestSyscallPIDReuse tells processes apart that had the same pid.
func TestSyscallPIDReuse(t *testing.T) {
	ebpftest.Require(t)
	_, s, _ := openSyscall(t, bpf.Options{}, bpf.SyscallOptions{})
	run := func() int {
		cmd := exec.Command("/bin/true")
		require.NoError(t, cmd.Run())
		return cmd.Process.Pid
	}
	pid, times := run(), 1
	for try := 0; times < 2; try++ {
		if try == 200 {
			t.Skip("no pid could be used twice")
		}
		// The Go runtime starts threads, too, which take numbers.
		err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(pid-1)), 0)
		if err != nil {
			t.Skip(err)
		}
		if run() == pid {
			times++
		}
	}
	counts, err := s.Collect(nil)
	require.NoError(t, err)
	exits := map[uint64]bool{}
	for _, c := range counts {
		if int(c.PID) == pid && c.Number == unix.SYS_EXECVE && !c.Error {
			assert.EqualValues(t, 1, c.Count)
			exits[c.Image] = true
		}
	}
	assert.Len(t, exits, times)
}

// TestSyscallTargets counts the calls of the process that is marked, and makes
// the others known.
func TestSyscallTargets(t *testing.T) {
	ebpftest.Require(t)
	fixture := ebpftest.BuildC(t, "cost.c")
	target := ebpftest.Start(t, fixture, "getppid", "1000000", "1000")
	other := ebpftest.Start(t, fixture, "getppid", "1000000", "1000")
	notices := make(chan bpf.Notice, 65536)
	h, s, _ := openSyscall(t, bpf.Options{Targeted: true, ExcludePID: other.PID(), OnNotice: func(n bpf.Notice) { notices <- n }}, bpf.SyscallOptions{})
	for late, found := time.After(time.Minute), false; !found; {
		select {
		case n := <-notices:
			if found = n.Kind == bpf.NoticeUnknownProcess && int(n.PID) == target.PID(); found {
				require.NoError(t, h.SetProcess(n.PID, n.Image, true, nil))
			}
		case <-late:
			st, err := s.Stats()
			require.NoError(t, err)
			require.Fail(t, "the process was not announced", "%d notices lost", st[bpf.NoticesLost])
		}
	}
	var counts []bpf.SyscallCount
	for deadline := time.Now().Add(time.Minute); len(counts) == 0 && time.Now().Before(deadline); {
		time.Sleep(100 * time.Millisecond)
		var err error
		counts, err = s.Collect(nil)
		require.NoError(t, err)
	}
	require.NotEmpty(t, counts)
	for _, c := range counts {
		assert.EqualValues(t, target.PID(), c.PID)
	}
	st, err := s.Stats()
	require.NoError(t, err)
	assert.Positive(t, st[bpf.Filtered])
	assert.Positive(t, st[bpf.Skipped])
}

// TestSyscallOdd counts calls of numbers that do not exist together, leaves
// those of other tables out, and does not take what a signal handler returns to
// for an error.
func TestSyscallOdd(t *testing.T) {
	ebpftest.Require(t)
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip(err)
	}
	program := filepath.Join(t.TempDir(), "oddcalls")
	out, err := exec.Command(gcc, "-O2", "-Wall", "-Werror", "-o", program, "testdata/oddcalls.c").CombinedOutput()
	require.NoError(t, err, "%s", out)
	_, s, _ := openSyscall(t, bpf.Options{}, bpf.SyscallOptions{})
	const n = 100
	cmd := exec.Command(program, strconv.Itoa(n))
	require.NoError(t, cmd.Run())
	counts, err := s.Collect(nil)
	require.NoError(t, err)
	var unknown, returned uint64
	for _, c := range counts {
		if int(c.PID) != cmd.Process.Pid {
			continue
		}
		switch c.Number {
		case bpf.NoSyscall:
			assert.True(t, c.Error)
			unknown += c.Count
		case unix.SYS_RT_SIGRETURN:
			assert.False(t, c.Error)
			returned += c.Count
		}
	}
	assert.EqualValues(t, 2*n, unknown)
	assert.EqualValues(t, n, returned)
	st, err := s.Stats()
	require.NoError(t, err)
	if runtime.GOARCH == "amd64" {
		assert.GreaterOrEqual(t, st[bpf.ForeignABI], uint64(n))
		assert.Zero(t, calls(counts, cmd.Process.Pid, unix.SYS_SEMGET, false)+calls(counts, cmd.Process.Pid, unix.SYS_SEMGET, true))
	}
	assertRunsAddUp(t, st)
}
