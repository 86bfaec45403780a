package aperturewire

import (
	"encoding/hex"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// examples returns the payloads of testdata/examples.txt by name, and "mixed":
// one event of each kind in one message.
func examples(tb testing.TB) map[string][]byte {
	tb.Helper()
	text, err := os.ReadFile("testdata/examples.txt")
	require.NoError(tb, err)
	all := make(map[string][]byte)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Fields(line)
		payload, err := hex.DecodeString(strings.Join(f[2:], ""))
		require.NoError(tb, err, f[0])
		require.Equal(tb, f[1], strconv.Itoa(len(payload)), f[0])
		all[f[0]] = payload
	}
	mixed := Encoder{}.AppendHeader(nil, 5, 4)
	for _, name := range []string{"cpu_symbols", "lock_symbols", "syscall", "gpu"} {
		mixed = append(mixed, all[name][headerSize:]...)
	}
	require.Len(tb, mixed, 353)
	all["mixed"] = mixed
	return all
}

// event is an [Event] with its stacks read.
type event struct {
	Event
	User, Kernel []Frame
}

// events decodes payload and reads all of it.
func events(tb testing.TB, payload []byte) (Message, []event) {
	tb.Helper()
	m, err := Decode(payload)
	require.NoError(tb, err)
	return m, readAll(&m)
}

func readAll(m *Message) []event {
	var out []event
	it := m.Events()
	for ev := (Event{}); it.Next(&ev); {
		e := event{Event: ev, User: readFrames(ev.User), Kernel: readFrames(ev.Kernel)}
		e.Event.User, e.Event.Kernel, e.Tail = Stack{}, Stack{}, ""
		out = append(out, e)
	}
	return out
}

func readFrames(s Stack) []Frame {
	var out []Frame
	it := s.Frames()
	for f := (Frame{}); it.Next(&f); {
		out = append(out, f)
	}
	return out
}

const ts = 1700000000000000000

func exampleCPU(symbols bool) event {
	e := event{
		Event:  Event{Kind: KindCPU, Timestamp: ts + 1, PID: 1234, TID: 1235, CPU: 3, Comm: "app"},
		User:   []Frame{{Address: 0x401000}, {Address: 0x402000}},
		Kernel: []Frame{{Address: 0xffffffff81000010}},
	}
	if symbols {
		e.User[0].Symbol, e.User[0].Resolved = "leaf [app]", true
		e.Kernel[0].Symbol, e.Kernel[0].Resolved = "do_idle", true
	}
	return e
}

func exampleLock(symbols bool) event {
	e := event{
		Event: Event{Kind: KindLock, Timestamp: ts + 2, PID: 1234, TID: 1236, LockAddress: 0x7f00deadbeef, WaitTime: 1500, Comm: "app"},
		User:  []Frame{{Address: 0x403000}},
	}
	if symbols {
		e.User[0].Symbol, e.User[0].Resolved = "lock_it", true
	}
	return e
}

func exampleSyscall() event {
	return event{Event: Event{
		Kind: KindSyscall, Timestamp: ts + 3, PID: 1234, TID: 1234, SyscallNumber: 202, Duration: 2048, ReturnValue: -11, Comm: "app",
	}}
}

func exampleGPU() event {
	return event{Event: Event{
		Kind: KindGPU, Timestamp: ts + 4, PID: 1234, KernelName: "gemm", Duration: 5000, Grid: [3]uint32{1, 2, 3}, Block: [3]uint32{32, 4, 1},
	}}
}

func TestDecodeExamples(t *testing.T) {
	payloads := examples(t)
	f := func(name string, sequence uint64, legacy bool, want ...event) {
		t.Helper()
		m, got := events(t, payloads[name])
		assert.Equal(t, sequence, m.Sequence, name)
		assert.Equal(t, legacy, m.Legacy, name)
		assert.Equal(t, len(want), m.Len(), name)
		assert.Equal(t, want, got, name)
	}
	f("empty", 42, false)
	f("cpu", 1, false, exampleCPU(false))
	f("cpu_symbols", 1, false, exampleCPU(true))
	f("lock", 2, false, exampleLock(false))
	f("lock_symbols", 2, false, exampleLock(true))
	f("syscall", 3, false, exampleSyscall())
	f("gpu", 4, false, exampleGPU())
	f("mixed", 5, false, exampleCPU(true), exampleLock(true), exampleSyscall(), exampleGPU())
	f("legacy", 6, true,
		event{Event: Event{Kind: KindCPU, Timestamp: 5000, PID: 10, TID: 11, Comm: "old"}, User: []Frame{{Address: 0x1000}}},
		event{
			Event: Event{Kind: KindLock, Timestamp: 6000, PID: 10, TID: 11, LockAddress: 0xabcd, WaitTime: 300, Comm: "old"},
			User:  []Frame{{Address: 0x3000}},
		})
}

// Encoding what was decoded gives the bytes that were decoded.
func TestEncodeExamples(t *testing.T) {
	for name, payload := range examples(t) {
		m, evs := events(t, payload)
		assert.Equal(t, hex.EncodeToString(payload), hex.EncodeToString(encode(m, evs, name != "cpu" && name != "lock")), name)
	}
}

// encode encodes events with one symbol per address or, as an agent that could
// not symbolise does, none at all.
func encode(m Message, evs []event, symbols bool) []byte {
	addresses := func(frames []Frame) (a []uint64, s []Symbol) {
		for _, f := range frames {
			a = append(a, f.Address)
			if symbols {
				s = append(s, Symbol{Text: f.Symbol, Known: f.Resolved})
			}
		}
		return a, s
	}
	enc := Encoder{Legacy: m.Legacy}
	out := enc.AppendHeader(nil, m.Sequence, len(evs))
	for _, e := range evs {
		user, userSymbols := addresses(e.User)
		kernel, kernelSymbols := addresses(e.Kernel)
		switch e.Kind {
		case KindCPU:
			out = enc.AppendCPU(out, &CPUSample{
				Timestamp: e.Timestamp, PID: e.PID, TID: e.TID, CPU: e.Event.CPU, User: user, Kernel: kernel,
				Comm: e.Comm, UserSymbols: userSymbols, KernelSymbols: kernelSymbols,
			})
		case KindLock:
			out = enc.AppendLock(out, &LockWait{
				Timestamp: e.Timestamp, PID: e.PID, TID: e.TID, LockAddress: e.LockAddress, HoldTime: e.HoldTime,
				WaitTime: e.WaitTime, Stack: user, Comm: e.Comm, Symbols: userSymbols,
			})
		case KindSyscall:
			out = enc.AppendSyscall(out, &Syscall{
				Timestamp: e.Timestamp, PID: e.PID, TID: e.TID, Number: e.SyscallNumber, Duration: e.Duration,
				ReturnValue: e.ReturnValue, Comm: e.Comm,
			})
		case KindGPU:
			out = enc.AppendGPU(out, &GPUKernel{
				Timestamp: e.Timestamp, PID: e.PID, Name: e.KernelName, Duration: e.Duration, Grid: e.Grid, Block: e.Block,
			})
		}
	}
	return out
}
