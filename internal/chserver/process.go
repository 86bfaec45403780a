package chserver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// endGrace is how long a server may take to end after its pipe was closed,
	// before it is told with a signal, and termGrace how long after SIGTERM.
	endGrace  = 15 * time.Second
	termGrace = 3 * time.Second
)

// process is one child.
type process struct {
	cmd  *exec.Cmd
	pipe *os.File // the write end of its standard input
	done chan struct{}
	err  error // why it ended; valid once done is closed
}

// startProcess starts a child that serves o.DataDir. lock is handed down.
func startProcess(o Options, tcpPort, httpPort int, lock *os.File) (*process, error) {
	stdin, pipe, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start server: %w", err)
	}
	defer stdin.Close() //nolint:errcheck // the child has its own
	var output tailBuffer
	cmd := exec.Command(o.Launcher,
		"-library", o.Library,
		"-config", configPath(o.DataDir),
		"-path", dbPath(o.DataDir),
		"-user", User,
		"-password-file", passwordPath(o.DataDir),
		"-host", loopback,
		"-tcp-port", strconv.Itoa(tcpPort),
		"-http-port", strconv.Itoa(httpPort),
		"-grace", endGrace.String(),
	)
	cmd.Dir = o.DataDir // core dumps and the like go there
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &output, &output
	cmd.ExtraFiles = []*os.File{lock}
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid: true, // Ctrl-C in a terminal is for the collector, which ends its server itself
		// Until the child watches its pipe; the launcher then takes it back.
		Pdeathsig: syscall.SIGKILL,
	}
	p := &process{cmd: cmd, pipe: pipe, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The death signal is sent when the thread that forked ends, so that
		// thread has to stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = exitError(cmd.Wait(), &output)
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, errors.Join(fmt.Errorf("start server: %w", err), pipe.Close())
	}
	return p, nil
}

func exitError(err error, output *tailBuffer) error {
	if err == nil {
		err = errors.New("exit status 0")
	}
	if text := output.text(); text != "" {
		return fmt.Errorf("server ended: %w: %s", err, text)
	}
	return fmt.Errorf("server ended: %w", err)
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop ends the child and returns when it is gone: by closing its pipe, then
// with SIGTERM, then with SIGKILL. When hurry is closed it does not wait.
func (p *process) stop(hurry <-chan struct{}) {
	_ = p.pipe.Close() // a pipe has nothing to flush
	if p.wait(hurry, endGrace) {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails only if it has just ended
	if p.wait(hurry, termGrace) {
		return
	}
	p.kill()
}

// kill ends the child at once and returns when it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // fails only if it has just ended
	<-p.done
	_ = p.pipe.Close() // closed already where stop was tried first
}

func (p *process) wait(hurry <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.done:
		return true
	case <-hurry:
	case <-timer.C:
	}
	return false
}

// tailBuffer keeps the end of what is written to it.
type tailBuffer struct {
	mu  sync.Mutex
	buf []byte
}

// tailSize bounds a tailBuffer; an error of the launcher is a few lines.
const tailSize = 4 << 10

func (t *tailBuffer) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p[max(0, len(p)-tailSize):]...)
	if extra := len(t.buf) - tailSize; extra > 0 {
		t.buf = append(t.buf[:0], t.buf[extra:]...)
	}
	return len(p), nil
}

func (t *tailBuffer) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(strings.ToValidUTF8(string(t.buf), "?"))
}
