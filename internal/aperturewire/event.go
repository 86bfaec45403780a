package aperturewire

import "fmt"

// Version is the only version of the message there is.
const Version = 1

// KernelStart is the lowest address that upstream takes for one of the kernel
// in stacks that mix both.
const KernelStart = 0xffff_0000_0000_0000

// Kind tells the kinds of events apart. The values are those of the encoding.
type Kind uint32

// The kinds of events.
const (
	KindCPU Kind = iota
	KindLock
	KindSyscall
	KindGPU
)

// String returns the name of k.
func (k Kind) String() string {
	switch k {
	case KindCPU:
		return "cpu"
	case KindLock:
		return "lock"
	case KindSyscall:
		return "syscall"
	case KindGPU:
		return "gpu_kernel"
	}
	return fmt.Sprintf("kind(%d)", uint32(k))
}

// Event is one event of any kind; fields of other kinds are zero. Strings and
// stacks alias the payload.
type Event struct {
	Kind Kind
	// Timestamp is in Unix nanoseconds: when the sample was taken, or when the
	// wait, the call or the kernel began.
	Timestamp uint64
	// PID is the process and TID the thread, both in the root PID namespace.
	PID, TID int32
	// Comm is the name of the thread.
	Comm string

	// CPU is the processor of a CPU sample.
	CPU uint32
	// User and Kernel are the stacks of a CPU sample. The stack of a lock wait,
	// which may end in kernel frames, is in User.
	User, Kernel Stack

	// LockAddress, HoldTime and WaitTime (nanoseconds) belong to a lock wait.
	LockAddress, HoldTime, WaitTime uint64

	// SyscallNumber and ReturnValue belong to a system call.
	SyscallNumber uint32
	ReturnValue   int64

	// Duration of a system call or GPU kernel in nanoseconds.
	Duration uint64

	// KernelName, Grid and Block belong to a GPU kernel.
	KernelName  string
	Grid, Block [3]uint32

	// Tail is the encoded part of the event that the stacks, their symbols and
	// Comm come from (of a GPU kernel: KernelName). Two events of one message and
	// kind with equal tails have equal stacks and names, so it can serve as the
	// key of a map without being decoded.
	Tail string
}

// Stack is an encoded list of addresses, innermost first, and what is known of
// their symbols. The zero Stack is empty.
type Stack struct {
	addresses string // 8 bytes each
	symbols   string // encoded optional strings
	nsymbols  int
}

// Len returns the number of frames.
func (s Stack) Len() int { return len(s.addresses) / 8 }

// Frames returns an iterator over the frames, innermost first. Frames without a
// symbol of their own come out as unresolved; symbols beyond the last address
// are left out.
func (s Stack) Frames() Frames { return Frames{rest: s} }

// Frame is one frame of a stack.
type Frame struct {
	// Address is the instruction pointer.
	Address uint64
	// Symbol is what the agent resolved it to, see [SplitSymbol]. It is
	// meaningful if Resolved is true.
	Symbol   string
	Resolved bool
}

// Frames iterates over the frames of a stack.
type Frames struct {
	rest Stack
}

// Next stores the next frame in f and reports whether there was one.
func (it *Frames) Next(f *Frame) bool {
	s := &it.rest
	if len(s.addresses) < 8 {
		return false
	}
	f.Address = load64(s.addresses)
	s.addresses = s.addresses[8:]
	f.Symbol, f.Resolved = "", false
	if s.nsymbols == 0 {
		return true
	}
	s.nsymbols--
	if s.symbols[0] == 0 {
		s.symbols = s.symbols[1:]
		return true
	}
	end := 9 + int(load64(s.symbols[1:]))
	f.Symbol, f.Resolved = s.symbols[9:end], true
	s.symbols = s.symbols[end:]
	return true
}

// load64 and load32 read the little-endian number at the start of s; the compiler
// makes one load of it.
func load64(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

func load32(s string) uint32 {
	_ = s[3]
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
}
