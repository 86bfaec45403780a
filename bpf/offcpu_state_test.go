package bpf_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf/features"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/aperture-collector/aperture-collector/bpf"
	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
)

func TestOffCPUStateNames(t *testing.T) {
	assert.Equal(t, "runnable", bpf.OffCPUState(0))
	assert.Equal(t, "idle", bpf.OffCPUState(5))
	assert.Equal(t, "other", bpf.OffCPUState(6))
	assert.Equal(t, "other", bpf.OffCPUState(1<<63))
}

// TestOffCPUPrevState checks that the program knows the state from the tracepoint
// where that tells it.
func TestOffCPUPrevState(t *testing.T) {
	v, err := features.LinuxVersionCode()
	require.NoError(t, err)
	if v < 5<<16|19<<8 {
		t.Skip("the tracepoint has it since 5.18")
	}
	ebpftest.Require(t)
	assert.True(t, bpf.HasPrevState())
}

// TestOffCPUStates puts processes in the states that a program can bring about.
func TestOffCPUStates(t *testing.T) {
	ebpftest.Require(t)
	h, set := open(t, bpf.Options{MaxEntries: 65536})
	c := startOffCPU(t, h, 0)
	requireTaskWork(t, c)
	const long = 50 * time.Millisecond

	p := ebpftest.Start(t, ebpftest.BuildC(t, "blocked.c"), "sleep", "5")
	busy := ebpftest.StartBusy(t, 4*runtime.NumCPU())
	require.NoError(t, unix.Kill(p.PID(), unix.SIGSTOP))
	ebpftest.Await(t, "process that is stopped", func() bool { return state(t, p.PID()) == 'T' })
	time.Sleep(long)
	require.NoError(t, unix.Kill(p.PID(), unix.SIGCONT))
	traced := traceFor(t, long)
	// A parent waits for what it started with vfork to run another program.
	require.NoError(t, exec.Command("/bin/true").Run())

	all := make(map[int][]wait)
	longest := func(pid int, state string, functions ...string) time.Duration {
		var d uint64
		for _, w := range all[pid] {
			if w.state() == state && (len(functions) == 0 || w.in(functions...)) {
				d = max(d, w.Max)
			}
		}
		return time.Duration(d)
	}
	ebpftest.Await(t, "wait in each state", func() bool { // they count when they are over
		for pid, waits := range collectAll(t, h, set) {
			all[pid] = append(all[pid], waits...)
		}
		return longest(p.PID(), "interruptible", "hrtimer_nanosleep") >= 5*time.Millisecond &&
			longest(p.PID(), "stopped") >= long && longest(traced, "traced") >= long &&
			longest(busy.PID(), "runnable") > 0 && longest(unix.Getpid(), "uninterruptible", "kernel_clone") > 0
	})
}

// state returns the state of a process as in proc_pid_stat(5).
func state(t *testing.T, pid int) byte {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(t, err)
	return b[bytes.LastIndexByte(b, ')')+2]
}

// traceFor stops a program by tracing it, and returns its pid after that time.
func traceFor(t *testing.T, d time.Duration) int {
	t.Helper()
	runtime.LockOSThread() // the tracer is a thread
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/bin/true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	require.NoError(t, cmd.Start())
	var status unix.WaitStatus
	_, err := unix.Wait4(cmd.Process.Pid, &status, 0, nil)
	require.NoError(t, err)
	require.True(t, status.Stopped())
	time.Sleep(d)
	require.NoError(t, unix.PtraceDetach(cmd.Process.Pid))
	require.NoError(t, cmd.Wait())
	return cmd.Process.Pid
}
