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

// Bits of StackStatus, as enum status in cpu.bpf.c.
const (
	StackKernelError StackStatus = 1 << iota
	StackUserError
	StackKernelTruncated
	StackUserTruncated
	StackKthread
)

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
	// Comm is the name of the thread.
	Comm string
	// Kernel and User hold instruction pointers, leaf first. All but the first
	// of each are return addresses.
	Kernel, User []uint64
}

// stackHeader is the offset of the frames in struct stack_record.
const stackHeader = 56

// decode fills s from a record of the stacks ring (struct stack_record in
// cpu.bpf.c). s does not alias b; the frames of s are reused.
func (s *Stack) decode(b []byte) error {
	if len(b) < stackHeader {
		return fmt.Errorf("decode stack record: %d bytes, header needs %d", len(b), stackHeader)
	}
	le := binary.LittleEndian
	kernel, user := int(le.Uint16(b[48:])), int(le.Uint16(b[50:]))
	if kernel > MaxFrames || user > MaxFrames {
		return fmt.Errorf("decode stack record: %d kernel and %d user frames, limit %d", kernel, user, MaxFrames)
	}
	// The ring rounds records up to 8 bytes, so the end may be padded.
	if need := stackHeader + 8*(kernel+user); len(b) < need {
		return fmt.Errorf("decode stack record: %d bytes, %d frames need %d", len(b), kernel+user, need)
	}
	s.Hash, s.StartTime, s.CgroupID = le.Uint64(b), le.Uint64(b[8:]), le.Uint64(b[16:])
	s.PID, s.TID = le.Uint32(b[24:]), le.Uint32(b[28:])
	comm := b[32:48]
	if i := bytes.IndexByte(comm, 0); i >= 0 {
		comm = comm[:i]
	}
	if s.Comm != string(comm) {
		s.Comm = string(comm)
	}
	s.Status, s.ExecID = StackStatus(le.Uint16(b[52:])), le.Uint16(b[54:])
	frames := append(s.Kernel[:0], make([]uint64, kernel+user)...)
	for i := range frames {
		frames[i] = le.Uint64(b[stackHeader+8*i:])
	}
	s.Kernel, s.User = frames[:kernel], frames[kernel:]
	return nil
}
