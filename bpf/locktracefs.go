package bpf

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// tracefsDirs are where tracefs is mounted (Documentation/trace/ftrace.rst of the
// kernel).
var tracefsDirs = []string{"/sys/kernel/tracing", "/sys/kernel/debug/tracing"}

// openTracefs opens the root of tracefs, even where it is not mounted: then it is
// mounted for the caller alone, at no place in the file system. Close it.
func openTracefs() (*os.File, error) {
	for _, dir := range tracefsDirs {
		f, err := os.Open(dir)
		if err != nil {
			continue
		}
		var st unix.Statfs_t
		if unix.Fstatfs(int(f.Fd()), &st) == nil && st.Type == unix.TRACEFS_MAGIC {
			return f, nil
		}
		_ = f.Close()
	}
	fsfd, err := unix.Fsopen("tracefs", unix.FSOPEN_CLOEXEC) // since 5.2, needs CAP_SYS_ADMIN
	if err != nil {
		return nil, fmt.Errorf("open tracefs: %w", err)
	}
	defer func() { _ = unix.Close(fsfd) }()
	if err := unix.FsconfigCreate(fsfd); err != nil {
		return nil, fmt.Errorf("create tracefs: %w", err)
	}
	fd, err := unix.Fsmount(fsfd, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_RDONLY)
	if err != nil {
		return nil, fmt.Errorf("mount tracefs: %w", err)
	}
	return os.NewFile(uintptr(fd), "tracefs"), nil
}

// tracepointID reads the number of a tracepoint. The error is [fs.ErrNotExist] if
// the kernel does not have it.
func tracepointID(trace *os.File, group, name string) (uint64, error) {
	fd, err := unix.Openat(int(trace.Fd()), "events/"+group+"/"+name+"/id", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("find tracepoint %s: %w", name, err)
	}
	f := os.NewFile(uintptr(fd), name)
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, 32))
	if err != nil {
		return 0, fmt.Errorf("read id of tracepoint %s: %w", name, err)
	}
	id, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32)
	if err != nil {
		return 0, fmt.Errorf("parse id of tracepoint %s: %w", name, err)
	}
	return id, nil
}
