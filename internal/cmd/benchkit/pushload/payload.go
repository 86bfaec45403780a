package pushload

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/aperturewire"
	"github.com/aperture-collector/aperture-collector/internal/corpus"
)

// Expect is what a store must say about events that were pushed.
type Expect struct {
	CPU, Locks, Syscalls uint64
	LockWait             uint64 // ns
	SyscallTime          map[uint32]uint64
	SyscallErrors        map[uint32]uint64
}

// NewExpect returns one of nothing.
func NewExpect() Expect {
	return Expect{SyscallTime: make(map[uint32]uint64), SyscallErrors: make(map[uint32]uint64)}
}

// Events is the number of all of them.
func (e *Expect) Events() uint64 { return e.CPU + e.Locks + e.Syscalls }

// Add adds what another one expects.
func (e *Expect) Add(o *Expect) {
	e.CPU, e.Locks, e.Syscalls, e.LockWait = e.CPU+o.CPU, e.Locks+o.Locks, e.Syscalls+o.Syscalls, e.LockWait+o.LockWait
	for k, v := range o.SyscallTime {
		e.SyscallTime[k] += v
	}
	for k, v := range o.SyscallErrors {
		e.SyscallErrors[k] += v
	}
}

// template is an encoded push whose sequence and times are filled in when it is
// sent: encoding anew would cost more than the collector's work on it.
type template struct {
	payload []byte
	times   []int // where the timestamps are
	expect  Expect
}

const (
	sequenceAt = 4 // after the version
	// Spread is how long what is in a push took.
	Spread   = 5 * time.Second
	maxDepth = 25
)

// names are those of the processes' threads; those of a Go program have one name.
var names = [...]string{"server", "sidecar", "worker", "agent"}

// drawProcess returns a process: most of what a host does, its main one does.
func drawProcess(rng *rand.Rand) int {
	switch n := rng.IntN(100); {
	case n < 70:
		return 0
	case n < 85:
		return 1
	case n < 95:
		return 2
	}
	return 3
}

// fill returns the payload with a sequence and with times that end now. The
// result is valid until the next call with the same buffer.
func (t *template) fill(buffer []byte, sequence uint64, now time.Time) []byte {
	buffer = append(buffer[:0], t.payload...)
	binary.LittleEndian.PutUint64(buffer[sequenceAt:], sequence)
	step := Spread.Nanoseconds() / int64(len(t.times))
	first := now.UnixNano() - Spread.Nanoseconds()
	for i, at := range t.times {
		binary.LittleEndian.PutUint64(buffer[at:], uint64(first+int64(i)*step))
	}
	return buffer
}

// newTemplate draws the events of one push, those of different kinds mixed.
func newTemplate(rng *rand.Rand, sampler *corpus.Sampler, left batch, symbols bool) *template {
	t := &template{expect: NewExpect()}
	var enc aperturewire.Encoder
	t.payload = enc.AppendHeader(nil, 0, left.events())
	for left.events() > 0 {
		process := drawProcess(rng)
		pid, tid := int32(1000+process), int32(1000+process*100+rng.IntN(8))
		comm := names[process]
		at := len(t.payload)
		switch draw := rng.IntN(left.events()); {
		case draw < left.cpu:
			left.cpu--
			s := aperturewire.CPUSample{PID: pid, TID: tid, CPU: uint32(rng.IntN(16)), Comm: comm}
			s.User, s.UserSymbols = userStack(sampler.Draw(rng), symbols)
			if rng.IntN(100) < 30 {
				s.Kernel, s.KernelSymbols = kernelStack(rng)
			}
			t.payload = enc.AppendCPU(t.payload, &s)
			t.expect.CPU++
		case draw < left.cpu+left.locks:
			left.locks--
			wait := latency(rng, 11)
			l := aperturewire.LockWait{PID: pid, TID: tid, LockAddress: 0xc000_0000_0000 + uint64(rng.IntN(40))*64, WaitTime: wait, Comm: comm}
			l.Stack, l.Symbols = userStack(sampler.Draw(rng), symbols)
			t.payload = enc.AppendLock(t.payload, &l)
			t.expect.Locks++
			t.expect.LockWait += wait
		default:
			left.syscalls--
			// read, write, close, poll, recvfrom, epoll_wait, futex, openat
			number := []uint32{0, 1, 3, 7, 45, 232, 202, 257}[rng.IntN(8)]
			call := aperturewire.Syscall{PID: pid, TID: tid, Number: number, Duration: latency(rng, 9), ReturnValue: int64(rng.IntN(4096)), Comm: comm}
			if rng.IntN(50) == 0 {
				call.ReturnValue = -11
				t.expect.SyscallErrors[number]++
			}
			t.payload = enc.AppendSyscall(t.payload, &call)
			t.expect.Syscalls++
			t.expect.SyscallTime[number] += call.Duration
		}
		t.times = append(t.times, at+4) // after the variant
	}
	return t
}

// userStack makes addresses and symbols of frames: `func [module]`, or the
// address as text where the agent could not resolve it.
func userStack(frames []corpus.Frame, symbols bool) ([]uint64, []aperturewire.Symbol) {
	addresses, names := make([]uint64, len(frames)), make([]aperturewire.Symbol, len(frames))
	for i, f := range frames {
		// Inlined functions share an address, which agents do not expand.
		addresses[i] = f.Address + uint64(i)
		if symbols {
			names[i] = aperturewire.Some(f.Function + " [" + f.Module + "]")
		} else {
			names[i] = aperturewire.Some("0x" + strconv.FormatUint(addresses[i], 16))
		}
	}
	return addresses, names
}

func kernelStack(rng *rand.Rand) ([]uint64, []aperturewire.Symbol) {
	chain := kernelStacks[rng.IntN(len(kernelStacks))]
	addresses, names := make([]uint64, len(chain)), make([]aperturewire.Symbol, len(chain))
	for i, name := range chain {
		addresses[i] = kernelText + uint64(len(name))*4096 + uint64(bytes.IndexByte([]byte(name), '_')+1)*16
		names[i] = aperturewire.Some(name)
	}
	return addresses, names
}

// latency draws a log-normal time in nanoseconds around e^mu.
func latency(rng *rand.Rand, mu float64) uint64 {
	return uint64(math.Exp(mu + rng.NormFloat64()*2))
}
