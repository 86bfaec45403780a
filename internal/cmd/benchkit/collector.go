package benchkit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Collector is a running collector.
type Collector struct {
	// LogFile has what it wrote to standard output and standard error.
	LogFile string

	cmd  *exec.Cmd
	done chan struct{}
	err  error // valid when done is closed
}

// StartCollector runs a built collector with the arguments and further
// environment variables given.
func StartCollector(binary, logFile string, args, env []string) (*Collector, error) {
	log, err := os.Create(logFile)
	if err != nil {
		return nil, fmt.Errorf("start collector: %w", err)
	}
	defer func() { _ = log.Close() }()
	c := &Collector{LogFile: logFile, cmd: exec.Command(binary, args...), done: make(chan struct{})}
	c.cmd.Stdout, c.cmd.Stderr = log, log
	c.cmd.Env = append(os.Environ(), env...)
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start collector: %w", err)
	}
	go func() {
		defer close(c.done)
		c.err = c.cmd.Wait()
	}()
	return c, nil
}

// PID returns the process id.
func (c *Collector) PID() int { return c.cmd.Process.Pid }

// Signal sends a signal to the collector.
func (c *Collector) Signal(sig os.Signal) error {
	if err := c.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("signal collector: %w", err)
	}
	return nil
}

// Done returns a channel that is closed when the collector has ended.
func (c *Collector) Done() <-chan struct{} { return c.done }

// Stop ends the collector as Ctrl-C does and waits for it.
func (c *Collector) Stop() error {
	if err := c.cmd.Process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop collector: %w", err)
	}
	select {
	case <-c.done:
	case <-time.After(time.Minute):
		_ = c.cmd.Process.Kill()
		<-c.done
		return errors.New("stop collector: it did not end within a minute")
	}
	if c.err != nil {
		return fmt.Errorf("stop collector: %w%s", c.err, c.logTail())
	}
	return nil
}

// WaitHTTP waits until url answers 200.
func (c *Collector) WaitHTTP(ctx context.Context, url string) error {
	return c.wait(ctx, url, func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("status is %s", resp.Status)
		}
		return nil
	})
}

// WaitTCP waits until addr accepts connections.
func (c *Collector) WaitTCP(ctx context.Context, addr string) error {
	return c.wait(ctx, addr, func() error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

func (c *Collector) wait(ctx context.Context, what string, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-c.done:
			return fmt.Errorf("wait for %s: the collector ended%s", what, c.logTail())
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w%s", what, err, c.logTail())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// logTail returns the end of the log for an error message.
func (c *Collector) logTail() string {
	data, err := os.ReadFile(c.LogFile)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return "; end of its log:\n" + strings.Join(lines[max(0, len(lines)-15):], "\n")
}

// FreePorts returns n free loopback ports.
func FreePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer func() { _ = l.Close() }()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}
