package bpf

import (
	"encoding/binary"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func record(kernel, user int) []byte {
	b := make([]byte, stackHeader+8*(kernel+user))
	le := binary.LittleEndian
	le.PutUint64(b, 1)
	le.PutUint64(b[8:], 2)
	le.PutUint64(b[16:], 3)
	le.PutUint32(b[24:], 4)
	le.PutUint32(b[28:], 5)
	copy(b[32:], "worker")
	le.PutUint16(b[48:], uint16(kernel))
	le.PutUint16(b[50:], uint16(user))
	le.PutUint16(b[52:], uint16(StackUserTruncated))
	le.PutUint16(b[54:], 6)
	for i := range kernel + user {
		le.PutUint64(b[stackHeader+8*i:], uint64(100+i))
	}
	return b
}

func TestStackDecode(t *testing.T) {
	var s Stack
	require.NoError(t, s.decode(record(1, 2)))
	assert.Equal(t, Stack{
		Hash: 1, StartTime: 2, CgroupID: 3, PID: 4, TID: 5, ExecID: 6, Status: StackUserTruncated, Comm: "worker",
		Kernel: []uint64{100}, User: []uint64{101, 102},
	}, s)
}

// TestStackLayout ties the decoder to the layout of the C struct.
func TestStackLayout(t *testing.T) {
	var s cpuObjScratch
	assert.EqualValues(t, stackHeader, unsafe.Offsetof(s.Rec.Frames))
	assert.EqualValues(t, 32, unsafe.Offsetof(s.Rec.Comm))
	assert.EqualValues(t, 48, unsafe.Offsetof(s.Rec.KernelFrames))
	assert.EqualValues(t, 52, unsafe.Offsetof(s.Rec.Status))
	assert.EqualValues(t, 54, unsafe.Offsetof(s.Rec.ExecId))
}

func TestStackDecodeTruncated(t *testing.T) {
	b := record(3, 4)
	for n := range len(b) {
		assert.Error(t, new(Stack).decode(b[:n]), "%d of %d bytes", n, len(b))
	}
}

func TestStackDecodeTooManyFrames(t *testing.T) {
	assert.ErrorContains(t, new(Stack).decode(record(128, 0)), "limit 127")
}

func FuzzStackDecode(f *testing.F) {
	f.Add(record(1, 2))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Stack
		if s.decode(b) == nil && len(s.Kernel)+len(s.User) > 2*MaxFrames {
			t.Fatalf("%d frames", len(s.Kernel)+len(s.User))
		}
	})
}

func TestParseCPUList(t *testing.T) {
	cpus, err := parseCPUList("0-2,5,7-8")
	require.NoError(t, err)
	assert.Equal(t, []int{0, 1, 2, 5, 7, 8}, cpus)
	for _, bad := range []string{"", "x", "3-1", "-1", "0-99999999", "1,", "1--2"} {
		_, err := parseCPUList(bad)
		assert.ErrorContains(t, err, "parse processor list", bad)
	}
}
