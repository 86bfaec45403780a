package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// command is a program that is profiled. It runs in a cgroup of its own, so that
// what it starts is profiled, too.
type command struct {
	cmd    *exec.Cmd
	dir    string // of the cgroup
	path   string // of the cgroup within the hierarchy
	parent string // dir of the cgroup that ours is in
	ended  chan struct{}
	err    error // of the command, once it has ended
}

// killAfter is how long a command that was told to end may take.
const killAfter = 10 * time.Second

// prepareCommand finds the program, whose standard output is out, and makes the
// cgroup.
func (a *app) prepareCommand(args []string, out io.Writer) (*command, error) {
	c := &command{cmd: exec.Command(args[0], args[1:]...), ended: make(chan struct{})}
	if c.cmd.Err != nil {
		return nil, failf("cannot find %s: check the name of the command", args[0])
	}
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = a.in, out, a.err
	root, own, err := ownCgroup()
	if err == nil {
		c.path = path.Join(own, fmt.Sprintf("aperturectl-%d", os.Getpid()))
		c.dir, c.parent = filepath.Join(root, c.path), filepath.Join(root, own)
		err = unwrapPath(os.Mkdir(c.dir, 0o755))
	}
	if err != nil {
		return nil, failf("cannot make a cgroup for the command (%s): start it yourself and use --pid", err)
	}
	return c, nil
}

// ownCgroup returns where the cgroup v2 hierarchy is, and the path of our cgroup in it.
func ownCgroup() (root, own string, err error) {
	for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var st unix.Statfs_t
		if unix.Statfs(dir, &st) == nil && int64(st.Type) == unix.CGROUP2_SUPER_MAGIC {
			root = dir
			break
		}
	}
	if root == "" {
		return "", "", errors.New("there is no cgroup v2")
	}
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", "", err
	}
	for line := range strings.Lines(string(text)) {
		if p, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			return root, path.Clean("/" + p), nil
		}
	}
	return "", "", errors.New("this process is in no cgroup v2")
}

// cgroupPattern returns a pattern of path.Match for the cgroup.
func (c *command) cgroupPattern() string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(c.path)
}

// start runs the program.
func (c *command) start() error {
	dir, err := os.Open(c.dir)
	if err != nil {
		return unwrapPath(err)
	}
	defer dir.Close()
	c.cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	if err := c.cmd.Start(); err != nil {
		return unwrapPath(err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.ended)
	}()
	return nil
}

// commandStatus is the exit status of a command that was profiled, where it is not 0.
// That of aperturectl is the same then.
type commandStatus int

func (s commandStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// statusOf returns the status of a command that ended with err, as shells have it.
func statusOf(err error) commandStatus {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return exitFailure // its input or output broke off
	}
	if w, ok := exit.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return commandStatus(128 + int(w.Signal()))
	}
	return commandStatus(exit.ExitCode())
}

// wait waits for the end of the program, which it asks for if ctx is over. It returns
// the [commandStatus] of a program that failed, but not of one that was interrupted. A
// nil command has ended.
func (c *command) wait(ctx context.Context, a *app) error {
	if c == nil {
		return nil
	}
	select {
	case <-c.ended:
	case <-ctx.Done():
		c.end()
	}
	if c.err != nil && ctx.Err() == nil {
		fmt.Fprintf(a.err, "the command ended with %s\n", c.err)
		return statusOf(c.err)
	}
	return nil
}

// end ends the program.
func (c *command) end() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended meanwhile
	select {
	case <-c.ended:
	case <-time.After(killAfter):
		_ = c.cmd.Process.Kill()
		<-c.ended
	}
}

// close ends the program if it runs and removes the cgroup. What the program left
// running goes on in ours.
func (c *command) close() {
	if c.cmd.Process != nil {
		select {
		case <-c.ended:
		default:
			c.end()
		}
	}
	pids, _ := os.ReadFile(filepath.Join(c.dir, "cgroup.procs"))
	for _, pid := range strings.Fields(string(pids)) {
		_ = os.WriteFile(filepath.Join(c.parent, "cgroup.procs"), []byte(pid), 0)
	}
	_ = os.Remove(c.dir) // an empty cgroup does no harm
}
