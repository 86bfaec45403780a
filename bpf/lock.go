package bpf

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf/features"
)

// LockOp tells how a user lock was waited for: the operation of the futex system
// call, in the low 8 bits of the Detail of a [Stack] of [KindLock].
type LockOp uint8

// Operations, as enum lock_op in lockuser.bpf.c.
const (
	LockWait LockOp = iota
	LockWaitBitset
	LockPI
	LockWaitRequeuePI
	LockWaitV
	LockFutexWait
)

// Bits of the Detail of a [Stack] of [KindLock], as enum lock_detail in lock.h.
const (
	// LockTimedOut: the wait for a user lock ended by its timeout.
	LockTimedOut = 0x100
	// LockShared: the user lock may be of several processes (the futex call came
	// without FUTEX_PRIVATE_FLAG).
	LockShared = 0x200
	// LockRealtime: the timeout, if any, is of the wall clock
	// (FUTEX_CLOCK_REALTIME).
	LockRealtime = 0x400
	// LockKernel: the lock is one of the kernel. The other bits are the flags of
	// the kernel's lock:contention_begin tracepoint (LCB_F_*).
	LockKernel = 0x8000
)

// LockOptions says which waits for locks are profiled.
type LockOptions struct {
	// MinDuration is how long a wait must be to have a stack and the address of
	// its lock. Shorter waits are counted by process, thread name and operation,
	// except those of kernel spin locks, which are in Below.
	MinDuration time.Duration
	// User profiles locks of programs: all that end in a futex system call.
	User bool
	// Kernel profiles locks of the kernel, since Linux 5.19.
	Kernel bool
}

// Lock is a running profile of waits for locks. The Object of its stacks is the
// address of the lock, 0 for those without a stack; [LockOp], [LockKernel] and
// the like are in their Detail.
//
// Not seen are the user locks of 32-bit programs. A wait that a signal stops and
// continues is several waits.
type Lock struct {
	running
	missing error
}

// StartLock starts the profile of locks. If only one half of what opts asks for
// can run here, it runs, and Missing tells why the other does not.
func (h *Host) StartLock(opts LockOptions) (*Lock, error) {
	return h.startLock(opts, attachFutex)
}

func (h *Host) startLock(opts LockOptions, attach func(*Host, map[string]any) (*object, error)) (*Lock, error) {
	if !h.Unwinds() {
		return nil, tooOld("the lock profile", 5, 17)
	}
	if opts.MinDuration < 0 {
		return nil, fmt.Errorf("start lock profile: minimal duration is %s, must not be negative", opts.MinDuration)
	}
	settings := map[string]any{"min_duration": uint64(opts.MinDuration)}
	l := &Lock{running: running{host: h}}
	if opts.User {
		l.take(attach(h, settings))
	}
	if opts.Kernel {
		l.take(h.loadKernelLocks(settings))
	}
	if len(l.objects) == 0 {
		return nil, l.missing
	}
	return l, nil
}

// take makes o a part of the profile unless it could not be started.
func (l *Lock) take(o *object, err error) {
	if err != nil {
		l.missing = errors.Join(l.missing, err)
		return
	}
	l.objects = append(l.objects, o)
	l.host.add(o)
}

// Missing tells why a half of the profile that was asked for does not run, nil if
// all of it does.
func (l *Lock) Missing() error { return l.missing }

func (h *Host) loadKernelLocks(settings map[string]any) (*object, error) {
	if v, err := features.LinuxVersionCode(); err == nil && v < 5<<16|19<<8 {
		return nil, tooOld("the profile of kernel locks", 5, 19)
	}
	spec, err := loadLockkernelObj()
	if err != nil {
		return nil, err
	}
	o, err := h.load(spec, 4, settings)
	if err != nil {
		return nil, explain("loading the profile of kernel locks", err)
	}
	if err := o.attachTracing(); err != nil {
		_ = o.close()
		return nil, explain("starting the profile of kernel locks", err)
	}
	return o, nil
}

// tooOld refuses a kernel that does not have what a profile needs.
func tooOld(what string, major, minor int) error {
	return &UnavailableError{
		Reason: ReasonKernelTooOld,
		Detail: fmt.Sprintf("%s needs Linux %d.%d or later", what, major, minor),
	}
}

// SetMinDuration changes how long a wait must be to have a stack, from the next
// wait on.
func (l *Lock) SetMinDuration(d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("set minimum duration of waits for locks: %s is negative", d)
	}
	for _, o := range l.objects {
		if err := o.coll.Variables["min_duration"].Set(uint64(d)); err != nil {
			return fmt.Errorf("set minimum duration of waits for locks to %s: %w", d, err)
		}
	}
	return nil
}
