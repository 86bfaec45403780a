package aperturewire

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every prefix of every example is refused, with an offset within the prefix: the
// header says how many events follow. The exception is inherent: what is left of
// the only event without its symbols is a message of the legacy schema.
func TestDecodeTruncated(t *testing.T) {
	legacyLength := map[string]int{"cpu": 95, "cpu_symbols": 95, "lock": 91, "lock_symbols": 91}
	for name, payload := range examples(t) {
		for n := range payload {
			m, err := Decode(payload[:n:n])
			if n == legacyLength[name] && n > 0 {
				require.NoError(t, err, "%s[:%d]", name, n)
				assert.True(t, m.Legacy)
				continue
			}
			var de *DecodeError
			require.ErrorAs(t, err, &de, "%s[:%d]", name, n)
			assert.LessOrEqual(t, de.Offset, n, "%s[:%d]", name, n)
			assert.NotEmpty(t, err.Error())
		}
	}
}

func TestDecodeTrailingBytes(t *testing.T) {
	for name, payload := range examples(t) {
		_, want := events(t, payload)
		payload = append(bytes.Clone(payload), "garbage after the message"...)
		if name == "legacy" {
			_, err := Decode(payload)
			var de *DecodeError
			require.ErrorAs(t, err, &de)
			assert.Equal(t, &DecodeError{Offset: 150, Event: -1, Field: "end", Err: ErrTrailing, Value: 25}, de.Legacy)
			continue
		}
		_, got := events(t, payload)
		assert.Equal(t, want, got, name)
	}
}

// patch returns a copy of an example with bytes overwritten at an offset.
func patch(tb testing.TB, name string, offset int, b ...byte) []byte {
	p := bytes.Clone(examples(tb)[name])
	copy(p[offset:], b)
	return p
}

func u64(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }

func TestDecodeErrors(t *testing.T) {
	f := func(name string, payload []byte, want DecodeError, text string) {
		t.Helper()
		_, err := Decode(payload)
		var de *DecodeError
		require.ErrorAs(t, err, &de, name)
		assert.ErrorIs(t, err, want.Err, name)
		assert.EqualError(t, err, text, name)
		want.Legacy = de.Legacy // told by the text
		assert.Equal(t, want, *de, name)
	}
	f("nothing", nil, DecodeError{Offset: 0, Event: -1, Field: "header", Err: ErrTruncated, Value: 20},
		"decode payload: header at offset 0: payload ends too early: 20 bytes needed, 0 left")
	f("20 times 0xff", bytes.Repeat([]byte{0xff}, 20), DecodeError{Offset: 0, Event: -1, Field: "version", Err: ErrInvalid, Value: math.MaxUint32, Limit: 1},
		"decode payload: version at offset 0: invalid value: found 4294967295, the limit is 1")
	f("version 2", patch(t, "cpu", 0, 2), DecodeError{Offset: 0, Event: -1, Field: "version", Err: ErrInvalid, Value: 2, Limit: 1},
		"decode payload: version at offset 0: invalid value: found 2, the limit is 1")
	f("version 0", patch(t, "cpu", 0, 0), DecodeError{Offset: 0, Event: -1, Field: "version", Err: ErrInvalid, Value: 0, Limit: 1},
		"decode payload: version at offset 0: invalid value: found 0, the limit is 1")
	f("too many events", patch(t, "cpu", 12, u64(1<<40)...), DecodeError{Offset: 12, Event: -1, Field: "events", Err: ErrTooLong, Value: 1 << 40, Limit: 1},
		"decode payload: events at offset 12: length exceeds the rest of the payload: found 1099511627776, the limit is 1")
	f("kind 4", patch(t, "cpu", 20, 4), DecodeError{Offset: 20, Event: 0, Field: "kind", Err: ErrInvalid, Value: 4, Limit: 3},
		"decode payload: event 0 kind at offset 20: invalid value: found 4, the limit is 3")
	f("kind 4 of the second event", patch(t, "mixed", 147, 4), DecodeError{Offset: 147, Event: 1, Field: "kind", Err: ErrInvalid, Value: 4, Limit: 3},
		"decode payload: event 1 kind at offset 147: invalid value: found 4, the limit is 3"+
			" (as legacy schema: event 1 comm at offset 135: length exceeds the rest of the payload: found 6876825107180814336, the limit is 210)")
	f("stack too long", patch(t, "cpu", 44, u64(math.MaxUint64)...), DecodeError{Offset: 44, Event: 0, Field: "user_stack", Err: ErrTooLong, Value: math.MaxUint64, Limit: 7},
		"decode payload: event 0 user_stack at offset 44: length exceeds the rest of the payload: found 18446744073709551615, the limit is 7")
	f("comm too long", patch(t, "cpu", 84, u64(20)...), DecodeError{Offset: 84, Event: 0, Field: "comm", Err: ErrTooLong, Value: 20, Limit: 19},
		"decode payload: event 0 comm at offset 84: length exceeds the rest of the payload: found 20, the limit is 19")
	f("comm not UTF-8", patch(t, "syscall", 68, 0xff), DecodeError{Offset: 68, Event: 0, Field: "comm", Err: ErrNotUTF8},
		"decode payload: event 0 comm at offset 68: string is not valid UTF-8")
	f("symbols too long", patch(t, "lock", 91, u64(1)...), DecodeError{Offset: 91, Event: 0, Field: "stack_symbols", Err: ErrTooLong, Value: 1, Limit: 0},
		"decode payload: event 0 stack_symbols at offset 91: length exceeds the rest of the payload: found 1, the limit is 0"+
			" (as legacy schema: end at offset 91: bytes after the message: found 8, the limit is 0)")
}

// The error tells about both schemas where they differ.
func TestDecodeErrorOfBothSchemas(t *testing.T) {
	f := func(name string, payload []byte, text string) {
		t.Helper()
		_, err := Decode(payload)
		assert.EqualError(t, err, text, name)
	}
	f("bad symbol in the only event", patch(t, "cpu_symbols", 103, 2),
		"decode payload: event 0 user_stack_symbols at offset 103: invalid value: found 2, the limit is 1"+
			" (as legacy schema: end at offset 95: bytes after the message: found 52, the limit is 0)")
	legacy := examples(t)["legacy"]
	f("legacy, last byte missing", legacy[:len(legacy)-1],
		"decode payload: event 0 user_stack_symbols at offset 79: length exceeds the rest of the payload: found 25769803776001, the limit is 62"+
			" (as legacy schema: event 1 comm at offset 139: length exceeds the rest of the payload: found 3, the limit is 2)")
}

func TestRoundTripExtremes(t *testing.T) {
	enc := Encoder{}
	payload := enc.AppendHeader(nil, math.MaxUint64, 4)
	payload = enc.AppendCPU(payload, &CPUSample{
		Timestamp: math.MaxUint64, PID: math.MinInt32, TID: -1, CPU: math.MaxUint32,
		User: []uint64{0, math.MaxUint64, 1}, UserSymbols: []Symbol{Some("größe ∑")},
		Kernel: []uint64{1}, KernelSymbols: []Symbol{{}, Some("beyond the last address")},
	})
	payload = enc.AppendLock(payload, &LockWait{LockAddress: math.MaxUint64, HoldTime: math.MaxUint64, WaitTime: math.MaxUint64, Symbols: []Symbol{Some("")}})
	payload = enc.AppendSyscall(payload, &Syscall{Number: math.MaxUint32, Duration: math.MaxUint64, ReturnValue: math.MinInt64, Comm: "\x00"})
	payload = enc.AppendGPU(payload, &GPUKernel{Duration: math.MaxUint64, Grid: [3]uint32{math.MaxUint32}})

	m, got := events(t, payload)
	assert.Equal(t, uint64(math.MaxUint64), m.Sequence)
	assert.Equal(t, []event{
		{
			Event:  Event{Kind: KindCPU, Timestamp: math.MaxUint64, PID: math.MinInt32, TID: -1, CPU: math.MaxUint32},
			User:   []Frame{{Symbol: "größe ∑", Resolved: true}, {Address: math.MaxUint64}, {Address: 1}},
			Kernel: []Frame{{Address: 1}},
		},
		{Event: Event{Kind: KindLock, LockAddress: math.MaxUint64, HoldTime: math.MaxUint64, WaitTime: math.MaxUint64}},
		{Event: Event{Kind: KindSyscall, SyscallNumber: math.MaxUint32, Duration: math.MaxUint64, ReturnValue: math.MinInt64, Comm: "\x00"}},
		{Event: Event{Kind: KindGPU, Duration: math.MaxUint64, Grid: [3]uint32{math.MaxUint32}}},
	}, got)
}

func TestTailIdentifiesStackAndName(t *testing.T) {
	tail := func(s CPUSample) string {
		m, err := Decode(Encoder{}.AppendCPU(Encoder{}.AppendHeader(nil, 1, 1), &s))
		require.NoError(t, err)
		it := m.Events()
		var ev Event
		require.True(t, it.Next(&ev))
		return ev.Tail
	}
	base := CPUSample{User: []uint64{1, 2}, Comm: "app", UserSymbols: []Symbol{Some("a"), Some("b")}}
	same := base
	same.Timestamp, same.PID, same.TID, same.CPU = 1, 2, 3, 4
	assert.Equal(t, tail(base), tail(same))
	for _, other := range []CPUSample{
		{User: []uint64{1, 3}, Comm: base.Comm, UserSymbols: base.UserSymbols},
		{User: []uint64{1}, Kernel: []uint64{2}, Comm: base.Comm, UserSymbols: base.UserSymbols},
		{User: base.User, Comm: "other", UserSymbols: base.UserSymbols},
		{User: base.User, Comm: base.Comm, UserSymbols: []Symbol{Some("a"), Some("c")}},
		{User: base.User, Comm: base.Comm, UserSymbols: []Symbol{Some("a")}},
	} {
		assert.NotEqual(t, tail(base), tail(other))
	}
}

func TestNextPanicsOnChangedPayload(t *testing.T) {
	payload := examples(t)["cpu"]
	m, err := Decode(payload)
	require.NoError(t, err)
	payload[20] = 9
	it := m.Events()
	assert.Panics(t, func() { it.Next(&Event{}) })
}

func TestKindString(t *testing.T) {
	assert.Equal(t, "cpu", KindCPU.String())
	assert.Equal(t, "lock", KindLock.String())
	assert.Equal(t, "syscall", KindSyscall.String())
	assert.Equal(t, "gpu_kernel", KindGPU.String())
	assert.Equal(t, "kind(9)", Kind(9).String())
}
