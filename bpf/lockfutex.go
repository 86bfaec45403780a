package bpf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"golang.org/x/sys/unix"
)

// futexCalls are the system calls that wait for futexes, and what runs when they
// begin.
var futexCalls = []struct{ name, program string }{
	{"futex", "aperture_enter_futex"},
	{"futex_waitv", "aperture_enter_waitv"}, // since 5.16
	{"futex_wait", "aperture_enter_wait"},   // since 6.7
}

const exitFutex = "aperture_exit_futex"

// attachFutex starts the profile of user locks at the tracepoints of single
// system calls, or at those of all system calls where the former cannot be found:
// that makes every system call of the host slower by about 40 ns rather than 10.
func attachFutex(h *Host, settings map[string]any) (*object, error) {
	ids, err := futexTracepoints()
	if err != nil {
		return attachRawFutex(h, settings)
	}
	o, err := h.loadUserLocks(settings, exitFutex, futexCalls[0].program, futexCalls[1].program, futexCalls[2].program)
	if err != nil {
		return nil, err
	}
	for _, call := range futexCalls {
		// The end first: a wait that began is always seen to end.
		for _, at := range []struct{ name, program string }{{"sys_exit_" + call.name, exitFutex}, {"sys_enter_" + call.name, call.program}} {
			id, ok := ids[at.name]
			if !ok {
				continue
			}
			l, err := attachTracepoint(id, o.coll.Programs[at.program].FD())
			if err != nil {
				_ = o.close()
				return nil, explain("starting the profile of user locks", fmt.Errorf("attach to %s: %w", at.name, err))
			}
			o.links = append(o.links, l)
		}
	}
	return o, nil
}

// attachRawFutex starts the profile of user locks at the tracepoints of all system
// calls, which do not need tracefs.
func attachRawFutex(h *Host, settings map[string]any) (*object, error) {
	o, err := h.loadUserLocks(settings, "aperture_sys_enter", "aperture_sys_exit")
	if err != nil {
		return nil, err
	}
	if err := o.attachTracing(); err != nil {
		_ = o.close()
		return nil, explain("starting the profile of user locks", err)
	}
	return o, nil
}

func (h *Host) loadUserLocks(settings map[string]any, programs ...string) (*object, error) {
	spec, err := loadLockuserObj()
	if err != nil {
		return nil, err
	}
	o, err := h.load(spec, 2, settings, programs...)
	if err != nil {
		return nil, explain("loading the profile of user locks", err)
	}
	return o, nil
}

// futexTracepoints returns the ids of the tracepoints of futexCalls, by name.
// Calls that the kernel does not have are left out, but futex must be there.
func futexTracepoints() (map[string]uint64, error) {
	trace, err := openTracefs()
	if err != nil {
		return nil, err
	}
	defer func() { _ = trace.Close() }()
	ids := make(map[string]uint64)
	for _, call := range futexCalls {
		for _, name := range []string{"sys_enter_" + call.name, "sys_exit_" + call.name} {
			id, err := tracepointID(trace, "syscalls", name)
			switch {
			case err == nil:
				ids[name] = id
			case call.name == "futex" || !errors.Is(err, fs.ErrNotExist):
				return nil, err
			}
		}
	}
	return ids, nil
}

// attachTracepoint runs a program at a tracepoint by its id, on all processors,
// until it is closed.
func attachTracepoint(id uint64, program int) (io.Closer, error) {
	attr := unix.PerfEventAttr{
		Type: unix.PERF_TYPE_TRACEPOINT, Config: id, Size: unix.PERF_ATTR_SIZE_VER0, Bits: unix.PerfBitDisabled,
	}
	cpus, err := onlineCPUs()
	if err != nil {
		return nil, err
	}
	// The processor is that of the event's own records, of which there are none:
	// the program sees what all processors do.
	fd, err := unix.PerfEventOpen(&attr, -1, cpus[0], -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open tracepoint %d: %w", id, err)
	}
	if err := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_SET_BPF, program); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("attach program to tracepoint %d: %w", id, err)
	}
	if err := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_ENABLE, 0); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("enable tracepoint %d: %w", id, err)
	}
	return tracepointLink(fd), nil
}

// tracepointLink is the event of an attached tracepoint.
type tracepointLink int

func (l tracepointLink) Close() error { return unix.Close(int(l)) }
