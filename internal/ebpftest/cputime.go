package ebpftest

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Patience is how long tests wait for what must happen: the machine may be slow, and
// busy with other work, too. It only matters to tests that fail.
const Patience = 5 * time.Minute

// CPUTime returns the CPU time of a process, of all its threads, to the nanosecond. A
// process that is gone has none.
func CPUTime(pid int) time.Duration {
	var t unix.Timespec
	// As clock_getcpuclockid(3): the pid's complement, and CPUCLOCK_SCHED.
	if unix.ClockGettime(int32(^pid<<3|2), &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// AwaitCPU waits until a process has used so much more CPU time.
func AwaitCPU(tb testing.TB, pid int, d time.Duration) {
	tb.Helper()
	begin := CPUTime(pid)
	Await(tb, "a busy process", func() bool { return CPUTime(pid)-begin >= d })
}

// Await waits until done returns true, in the goroutine of the caller: done may fail
// the test.
func Await(tb testing.TB, what string, done func() bool) {
	tb.Helper()
	for end := time.Now().Add(Patience); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("no %s after %s", what, Patience)
		}
	}
}
