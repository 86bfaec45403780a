package bpf

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// MaxFrames is the largest number of frames of one half of a stack, the default
// of kernel.perf_event_max_stack.
const MaxFrames = 127

// StackStatus tells what is missing from a stack.
type StackStatus uint16

// Bits of StackStatus, as enum status in sample.h.
const (
	StackKernelError StackStatus = 1 << iota
	StackKernelTruncated
	StackKthread
)

// Kind tells profiles apart.
type Kind uint8

// Kinds of profiles, as enum profile in sample.h.
const (
	KindCPU Kind = iota
	KindOffCPU
	KindLock
	KindSyscall
)

// Frame is a frame of a user stack.
type Frame uint64

// Addr returns the address: as linked if there is an executable, otherwise in
// the process.
func (f Frame) Addr() uint64 { return uint64(f) & (1<<48 - 1) }

// Executable returns the number of the executable, 0 for none.
func (f Frame) Executable() uint16 { return uint16(f>>48) & (MaxExecutables - 1) }

// Exact tells that the address is of the instruction that was running, not a
// return address.
func (f Frame) Exact() bool { return f>>63 == 1 }

// Stack is a stack as the kernel saw it, with all that tells its samples apart.
type Stack struct {
	// Hash identifies the stack in the counts.
	Hash uint64
	// StartTime is when the process started, in nanoseconds since boot. With PID
	// it identifies a process for as long as the machine is up.
	StartTime uint64
	// CgroupID is the id of the cgroup v2 of the task, 1 for the root.
	CgroupID uint64
	// PID and TID are as the collector's pid namespace numbers them.
	PID, TID uint32
	// ExecID changes (it grows, modulo 2^16) when the process runs another
	// program.
	ExecID uint16
	Status StackStatus
	Kind   Kind
	// Object is what the profile is about: the address of a lock, the number of a
	// system call, the wait state of a thread. Detail tells more (see the
	// profiles).
	Object uint64
	Detail uint16
	// End tells how the user stack ended.
	End End
	// Comm is the name of the thread.
	Comm string
	// Kernel has instruction pointers, leaf first; all but the first are return
	// addresses.
	Kernel []uint64
	// User has frames, leaf first.
	User []Frame
}

// Image identifies the program of the stack's process.
func (s *Stack) Image() uint64 { return Image(s.StartTime, s.ExecID) }

// stackHeader is the offset of the frames in struct stack_record.
const stackHeader = 72

// decode fills s from a record of the stacks ring (struct stack_record in
// sample.h). s does not alias b; the frames of s are reused.
func (s *Stack) decode(b []byte) error {
	if len(b) < stackHeader {
		return fmt.Errorf("decode stack record: %d bytes, header needs %d", len(b), stackHeader)
	}
	le := binary.LittleEndian
	kernel, user := int(le.Uint16(b[56:])), int(le.Uint16(b[58:]))
	if kernel > MaxFrames || user > MaxFrames {
		return fmt.Errorf("decode stack record: %d kernel and %d user frames, limit %d", kernel, user, MaxFrames)
	}
	// The ring rounds records up to 8 bytes, so the end may be padded.
	if need := stackHeader + 8*(kernel+user); len(b) < need {
		return fmt.Errorf("decode stack record: %d bytes, %d frames need %d", len(b), kernel+user, need)
	}
	s.Hash, s.StartTime, s.CgroupID, s.Object = le.Uint64(b), le.Uint64(b[8:]), le.Uint64(b[16:]), le.Uint64(b[24:])
	s.PID, s.TID = le.Uint32(b[32:]), le.Uint32(b[36:])
	comm := b[40:56]
	if i := bytes.IndexByte(comm, 0); i >= 0 {
		comm = comm[:i]
	}
	if s.Comm != string(comm) {
		s.Comm = string(comm)
	}
	s.Status, s.ExecID = StackStatus(le.Uint16(b[60:])), le.Uint16(b[62:])
	s.Kind, s.End, s.Detail = Kind(b[64]), End(b[65]), le.Uint16(b[66:])
	s.Kernel, s.User = s.Kernel[:0], s.User[:0]
	for i := range kernel {
		s.Kernel = append(s.Kernel, le.Uint64(b[stackHeader+8*i:]))
	}
	for i := range user {
		s.User = append(s.User, Frame(le.Uint64(b[stackHeader+8*(kernel+i):])))
	}
	return nil
}
