package aperturereceiver

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/aperturewire"
	"github.com/aperture-collector/aperture-collector/internal/syscallname"
)

// What a payload turns into is bounded by the payload, also where every event is
// as short as can be and unlike all others. max_inflight_size counts on it. The
// tables of the converter, which are kept for the next push, count too.
func TestConvertMemory(t *testing.T) {
	const events, maxProcesses = 40_000, 16384
	f := func(name string, add func(enc aperturewire.Encoder, dst []byte, i int) []byte, maxFactor float64) {
		t.Helper()
		var enc aperturewire.Encoder
		payload := enc.AppendHeader(nil, 1, events)
		for i := range events {
			payload = add(enc, payload, i)
		}
		m, err := aperturewire.Decode(payload)
		require.NoError(t, err)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		pd, _, _, err := convert(&m, testBatch, syscallname.X8664, maxProcesses)
		require.NoError(t, err)
		runtime.GC()
		runtime.ReadMemStats(&after)
		factor := float64(int64(after.HeapAlloc)-int64(before.HeapAlloc)) / float64(len(payload))
		t.Logf("%s: %d bytes, %.1f times as much as profiles", name, len(payload), factor)
		assert.Less(t, factor, maxFactor, name)
		runtime.KeepAlive(pd)
	}
	f("system calls", func(enc aperturewire.Encoder, dst []byte, i int) []byte {
		return enc.AppendSyscall(dst, &aperturewire.Syscall{Number: uint32(i)})
	}, 12)
	f("processes", func(enc aperturewire.Encoder, dst []byte, i int) []byte {
		return enc.AppendSyscall(dst, &aperturewire.Syscall{PID: int32(i % maxProcesses)})
	}, 12)
	f("locks", func(enc aperturewire.Encoder, dst []byte, i int) []byte {
		return enc.AppendLock(dst, &aperturewire.LockWait{LockAddress: uint64(i), Stack: []uint64{uint64(i)}})
	}, 12)
	f("stacks", func(enc aperturewire.Encoder, dst []byte, i int) []byte {
		s := aperturewire.CPUSample{}
		for d := range 20 {
			s.User = append(s.User, uint64(i*100+d))
			s.UserSymbols = append(s.UserSymbols, aperturewire.Some("f"))
		}
		return enc.AppendCPU(dst, &s)
	}, 12)
}
