package ebpftest

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

const workloadEnv = "APERTURE_EBPFTEST_WORKLOAD"

// Share is the part of a workload's CPU time that is spent in a function.
type Share struct {
	Function string
	Part     float64
}

// BusyShares is the truth about the workload of [StartBusy]: equal loops whose
// lengths have these ratios.
var BusyShares = []Share{
	{"github.com/aperture-collector/aperture-collector/internal/ebpftest.busyHalf", 0.5},
	{"github.com/aperture-collector/aperture-collector/internal/ebpftest.busyThird", 0.3},
	{"github.com/aperture-collector/aperture-collector/internal/ebpftest.busyFifth", 0.2},
}

// BusyCaller calls the functions of [BusyShares]; every sample of them has it
// as the next frame.
const BusyCaller = "github.com/aperture-collector/aperture-collector/internal/ebpftest.busyWorker"

const busySteps = 40_000

//go:noinline
func busyHalf(x uint64) uint64 { return spin(x, busySteps*5) + 1 }

//go:noinline
func busyThird(x uint64) uint64 { return spin(x, busySteps*3) + 2 }

//go:noinline
func busyFifth(x uint64) uint64 { return spin(x, busySteps*2) + 3 }

// spin is small enough to be inlined into its callers, which are then the leaf
// functions. The array gives them a frame: a leaf function without one does not
// save the frame pointer, so that a walk along the pointers misses its caller.
func spin(x uint64, n int) uint64 {
	var seen [8]uint64
	for i := range n {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		seen[i&7] = x
	}
	return seen[x&7]
}

//go:noinline
func busyWorker(stop *atomic.Bool, x uint64) uint64 {
	for !stop.Load() {
		x = busyHalf(x)
		x = busyThird(x)
		x = busyFifth(x)
	}
	return x
}

// BusyReport is what the workload says about itself when it ends.
type BusyReport struct {
	// CPUSeconds is the CPU time of the whole process.
	CPUSeconds float64
}

// Busy is a running workload.
type Busy struct {
	tb    testing.TB
	cmd   *exec.Cmd
	stdin io.Closer
	out   *json.Decoder
	once  sync.Once
	rep   BusyReport
}

// StartBusy runs this test binary as a program with the given number of busy
// threads. It ends with the test at the latest.
func StartBusy(tb testing.TB, threads int) *Busy {
	tb.Helper()
	exe, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", workloadEnv, threads), "OTEL_SERVICE_NAME=ebpftest-busy")
	cmd.Stderr = os.Stderr
	// A session of its own is scheduled as a group of its own (autogroup), so
	// that the workload does not starve the test.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	// Pdeathsig follows the thread that started the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	b := &Busy{tb: tb, cmd: cmd, stdin: stdin, out: json.NewDecoder(stdout)}
	tb.Cleanup(func() { b.Stop() })
	return b
}

// PID returns the process id of the workload.
func (b *Busy) PID() int { return b.cmd.Process.Pid }

// Stop ends the workload and returns its report.
func (b *Busy) Stop() BusyReport {
	b.tb.Helper()
	b.once.Do(func() {
		_ = b.stdin.Close()
		if err := b.out.Decode(&b.rep); err != nil {
			b.tb.Errorf("read report of workload: %v", err)
		}
		if err := b.cmd.Wait(); err != nil {
			b.tb.Errorf("wait for workload: %v", err)
		}
	})
	return b.rep
}

// RunWorkload does not return if this process was started by [StartBusy]. [Main]
// calls it; packages with another TestMain call it from an init function.
func RunWorkload() {
	var threads int
	if _, err := fmt.Sscan(os.Getenv(workloadEnv), &threads); err != nil {
		return
	}
	var stop atomic.Bool
	var sink atomic.Uint64
	var wg sync.WaitGroup
	for i := range threads {
		wg.Add(1)
		go func() {
			defer wg.Done()
			sink.Add(busyWorker(&stop, uint64(i)*2+1))
		}()
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until the parent closes it or dies
	stop.Store(true)
	wg.Wait()
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	rep := BusyReport{CPUSeconds: float64(ru.Utime.Nano()+ru.Stime.Nano()) / 1e9}
	if err := json.NewEncoder(os.Stdout).Encode(rep); err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}
