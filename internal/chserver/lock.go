package chserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// LockedError says that a data directory is in use.
type LockedError struct {
	// Dir is the data directory.
	Dir string
	// PID is the process that took the lock, 0 if unknown.
	PID int
	// Gone is true when that process has ended but a server that it started
	// still has not.
	Gone bool
}

// Error names the directory and, where known, the process.
func (e *LockedError) Error() string {
	switch {
	case e.PID == 0:
		return fmt.Sprintf("data directory %s is in use by another process", e.Dir)
	case e.Gone:
		return fmt.Sprintf("data directory %s is in use by a server that process %d left behind", e.Dir, e.PID)
	default:
		return fmt.Sprintf("data directory %s is in use by process %d", e.Dir, e.PID)
	}
}

// lockDir takes the exclusive lock of dir. The lock belongs to the open file:
// the child inherits it, so that the directory stays locked until both are gone.
// While the lock is held only for the server of a process that has ended, which
// is about to end too, lockDir waits for it until ctx ends.
func lockDir(ctx context.Context, dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := waitLock(ctx, f, dir); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := writeHolder(f); err != nil {
		return nil, errors.Join(fmt.Errorf("write lock: %w", err), f.Close())
	}
	return f, nil
}

func waitLock(ctx context.Context, f *os.File, dir string) error {
	const poll = 50 * time.Millisecond
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		locked := &LockedError{Dir: dir}
		pid, started := readHolder(f)
		locked.PID = pid
		locked.Gone = pid != 0 && processStart(pid) != started
		if !locked.Gone {
			return locked
		}
		select {
		case <-ctx.Done():
			return locked
		case <-time.After(poll):
		}
	}
}

// writeHolder records this process: its id, and its start time because ids are
// used again (in a container the next collector often has the same one).
func writeHolder(f *os.File) error {
	pid := os.Getpid()
	text := fmt.Sprintf("%d %d\n", pid, processStart(pid))
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

// readHolder returns zeros for what is not the text of writeHolder.
func readHolder(f *os.File) (pid int, started uint64) {
	var buf [64]byte
	n, _ := f.ReadAt(buf[:], 0)
	line, _, complete := strings.Cut(string(buf[:n]), "\n")
	if _, err := fmt.Sscanf(line, "%d %d", &pid, &started); err != nil || !complete || pid <= 0 {
		return 0, 0
	}
	return pid, started
}

// processStart returns when a process was started, in clock ticks since boot, or
// 0 if there is no such process. It is field 22 of proc_pid_stat(5); field 2, the
// name in parentheses, may contain anything.
func processStart(pid int) uint64 {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	end := bytes.LastIndexByte(stat, ')')
	fields := strings.Fields(string(stat[end+1:]))
	if len(fields) < 20 {
		return 0
	}
	started, _ := strconv.ParseUint(fields[19], 10, 64)
	return started
}
