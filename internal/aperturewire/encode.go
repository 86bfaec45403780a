package aperturewire

import "encoding/binary"

// Symbol is an optional symbol of a frame to encode. The zero Symbol is "not
// known".
type Symbol struct {
	Text  string
	Known bool
}

// Some returns a known symbol.
func Some(text string) Symbol { return Symbol{Text: text, Known: true} }

// CPUSample is a CPU sample to encode, see [Event] for the fields. The lists of
// symbols are parallel to the stacks, shorter, or empty.
type CPUSample struct {
	Timestamp                  uint64
	PID, TID                   int32
	CPU                        uint32
	User, Kernel               []uint64
	Comm                       string
	UserSymbols, KernelSymbols []Symbol
}

// LockWait is a wait for a lock to encode, see [Event] for the fields.
type LockWait struct {
	Timestamp                       uint64
	PID, TID                        int32
	LockAddress, HoldTime, WaitTime uint64
	Stack                           []uint64
	Comm                            string
	Symbols                         []Symbol
}

// Syscall is a system call to encode, see [Event] for the fields.
type Syscall struct {
	Timestamp   uint64
	PID, TID    int32
	Number      uint32
	Duration    uint64
	ReturnValue int64
	Comm        string
}

// GPUKernel is a run of a GPU kernel to encode, see [Event] for the fields.
type GPUKernel struct {
	Timestamp   uint64
	PID         int32
	Name        string
	Duration    uint64
	Grid, Block [3]uint32
}

// Encoder writes messages: a header and then as many events as it announced.
// The zero value writes the current schema. All methods append to dst and return
// the extended slice.
type Encoder struct {
	// Legacy selects the schema of old agents, which drops all symbols.
	Legacy bool
}

// AppendHeader appends the header of a message with the given number of events.
func (Encoder) AppendHeader(dst []byte, sequence uint64, events int) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, Version)
	dst = binary.LittleEndian.AppendUint64(dst, sequence)
	return binary.LittleEndian.AppendUint64(dst, uint64(events))
}

// AppendCPU appends a CPU sample.
func (e Encoder) AppendCPU(dst []byte, s *CPUSample) []byte {
	dst = appendCommon(dst, KindCPU, s.Timestamp, s.PID)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(s.TID))
	dst = binary.LittleEndian.AppendUint32(dst, s.CPU)
	dst = appendAddresses(dst, s.User)
	dst = appendAddresses(dst, s.Kernel)
	dst = appendString(dst, s.Comm)
	if e.Legacy {
		return dst
	}
	dst = appendSymbols(dst, s.UserSymbols)
	return appendSymbols(dst, s.KernelSymbols)
}

// AppendLock appends a wait for a lock.
func (e Encoder) AppendLock(dst []byte, l *LockWait) []byte {
	dst = appendCommon(dst, KindLock, l.Timestamp, l.PID)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(l.TID))
	dst = binary.LittleEndian.AppendUint64(dst, l.LockAddress)
	dst = binary.LittleEndian.AppendUint64(dst, l.HoldTime)
	dst = binary.LittleEndian.AppendUint64(dst, l.WaitTime)
	dst = appendAddresses(dst, l.Stack)
	dst = appendString(dst, l.Comm)
	if e.Legacy {
		return dst
	}
	return appendSymbols(dst, l.Symbols)
}

// AppendSyscall appends a system call.
func (Encoder) AppendSyscall(dst []byte, s *Syscall) []byte {
	dst = appendCommon(dst, KindSyscall, s.Timestamp, s.PID)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(s.TID))
	dst = binary.LittleEndian.AppendUint32(dst, s.Number)
	dst = binary.LittleEndian.AppendUint64(dst, s.Duration)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(s.ReturnValue))
	return appendString(dst, s.Comm)
}

// AppendGPU appends a run of a GPU kernel.
func (Encoder) AppendGPU(dst []byte, g *GPUKernel) []byte {
	dst = appendCommon(dst, KindGPU, g.Timestamp, g.PID)
	dst = appendString(dst, g.Name)
	dst = binary.LittleEndian.AppendUint64(dst, g.Duration)
	for _, v := range g.Grid {
		dst = binary.LittleEndian.AppendUint32(dst, v)
	}
	for _, v := range g.Block {
		dst = binary.LittleEndian.AppendUint32(dst, v)
	}
	return dst
}

func appendCommon(dst []byte, kind Kind, timestamp uint64, pid int32) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(kind))
	dst = binary.LittleEndian.AppendUint64(dst, timestamp)
	return binary.LittleEndian.AppendUint32(dst, uint32(pid))
}

func appendString(dst []byte, s string) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(len(s)))
	return append(dst, s...)
}

func appendAddresses(dst []byte, addresses []uint64) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(len(addresses)))
	for _, a := range addresses {
		dst = binary.LittleEndian.AppendUint64(dst, a)
	}
	return dst
}

func appendSymbols(dst []byte, symbols []Symbol) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(len(symbols)))
	for _, s := range symbols {
		if !s.Known {
			dst = append(dst, 0)
			continue
		}
		dst = append(dst, 1)
		dst = appendString(dst, s.Text)
	}
	return dst
}
