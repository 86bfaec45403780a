package aperturewire

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
)

// The cases that upstream's own tests check, rebuilt with our encoder.
func TestUpstreamConformance(t *testing.T) {
	t.Run("empty message, sequences 42 and 7", func(t *testing.T) {
		for _, sequence := range []uint64{42, 7} {
			m, evs := events(t, Encoder{}.AppendHeader(nil, sequence, 0))
			assert.Equal(t, sequence, m.Sequence)
			assert.Empty(t, evs)
		}
	})
	t.Run("legacy schema has no symbols", func(t *testing.T) {
		enc := Encoder{Legacy: true}
		payload := enc.AppendHeader(nil, 99, 2)
		payload = enc.AppendCPU(payload, &CPUSample{PID: 1, TID: 2, User: []uint64{1, 2}, Kernel: []uint64{3}, Comm: "cpu", UserSymbols: []Symbol{Some("lost")}})
		payload = enc.AppendLock(payload, &LockWait{PID: 1, TID: 2, LockAddress: 4, WaitTime: 5, Stack: []uint64{6}, Comm: "lock"})
		m, evs := events(t, payload)
		assert.Equal(t, uint64(99), m.Sequence)
		assert.True(t, m.Legacy)
		assert.Equal(t, []Frame{{Address: 1}, {Address: 2}}, evs[0].User)
		assert.Equal(t, []Frame{{Address: 3}}, evs[0].Kernel)
		assert.Equal(t, []Frame{{Address: 6}}, evs[1].User)
	})
	t.Run("current schema keeps symbols", func(t *testing.T) {
		enc := Encoder{}
		payload := enc.AppendCPU(enc.AppendHeader(nil, 1, 1), &CPUSample{User: []uint64{1, 2}, UserSymbols: []Symbol{Some("main [app]"), {}}})
		m, evs := events(t, payload)
		assert.False(t, m.Legacy)
		assert.Equal(t, []Frame{{Address: 1, Symbol: "main [app]", Resolved: true}, {Address: 2}}, evs[0].User)
	})
	t.Run("layout of a system call", func(t *testing.T) {
		body := Encoder{}.AppendSyscall(nil, &Syscall{Number: 0x01020304})
		assert.Equal(t, uint32(2), binary.LittleEndian.Uint32(body[0:4]))
		assert.Equal(t, uint32(0x01020304), binary.LittleEndian.Uint32(body[20:24]))
	})
}
