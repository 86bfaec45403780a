package ebpfprofilingreceiver

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/ebpftest/fixtures"
)

// find returns the path of a program, or skips the test.
func find(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skip(name, "is not installed")
	}
	return path
}

// compile runs a compiler, or skips the test if there is none. It returns the
// path of the program.
func compile(t *testing.T, compiler string, args ...string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "program")
	cmd := exec.Command(find(t, compiler), append([]string{"-o", bin}, args...)...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return bin
}

// buildGo builds the Go program in testdata, stripped as releases are.
func buildGo(t *testing.T, flags ...string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "gofixture")
	args := append([]string{"build", "-ldflags=-s -w", "-o", bin}, flags...)
	out, err := exec.Command(find(t, "go"), append(args, "./testdata/gofixture")...).CombinedOutput()
	require.NoError(t, err, string(out))
	return bin
}

// command is a program that is killed to stop it.
type command struct {
	t    *testing.T
	cmd  *exec.Cmd
	once sync.Once
	end  chan struct{}
}

// startCommand runs a program in a session and a temporary directory of its own
// until it is stopped, with the test at the latest.
func startCommand(t *testing.T, name string, args ...string) *command {
	t.Helper()
	c := &command{t: t, cmd: exec.Command(name, args...), end: make(chan struct{})}
	c.cmd.Dir = t.TempDir()
	c.cmd.Stderr = os.Stderr
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		// The kernel sends the death signal when the thread ends that started it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		started <- c.cmd.Start()
		<-c.end
	}()
	err := <-started
	t.Cleanup(func() { c.Stop() })
	require.NoError(t, err)
	return c
}

// PID implements program.
func (c *command) PID() int { return c.cmd.Process.Pid }

// Stop implements program. The report has the CPU time alone.
func (c *command) Stop() fixtures.Report {
	c.once.Do(func() {
		if c.cmd.Process != nil {
			_ = c.cmd.Process.Kill()
			_ = c.cmd.Wait()
		}
		close(c.end)
	})
	st := c.cmd.ProcessState
	if st == nil {
		return fixtures.Report{}
	}
	return fixtures.Report{CPUSeconds: (st.UserTime() + st.SystemTime()).Seconds()}
}
