package bpf

import (
	"encoding/binary"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/unwind"
)

func record(kernel, user int) []byte {
	b := make([]byte, stackHeader+8*(kernel+user))
	le := binary.LittleEndian
	le.PutUint64(b, 1)
	le.PutUint64(b[8:], 2)
	le.PutUint64(b[16:], 3)
	le.PutUint64(b[24:], 7)
	le.PutUint32(b[32:], 4)
	le.PutUint32(b[36:], 5)
	copy(b[40:], "worker")
	le.PutUint16(b[56:], uint16(kernel))
	le.PutUint16(b[58:], uint16(user))
	le.PutUint16(b[60:], uint16(StackKernelTruncated))
	le.PutUint16(b[62:], 6)
	b[64], b[65] = byte(KindLock), byte(EndComplete)
	le.PutUint16(b[66:], 8)
	for i := range kernel + user {
		le.PutUint64(b[stackHeader+8*i:], uint64(100+i))
	}
	return b
}

func TestStackDecode(t *testing.T) {
	var s Stack
	require.NoError(t, s.decode(record(1, 2)))
	assert.Equal(t, Stack{
		Hash: 1, StartTime: 2, CgroupID: 3, PID: 4, TID: 5, ExecID: 6, Status: StackKernelTruncated, Comm: "worker",
		Kind: KindLock, Object: 7, Detail: 8, End: EndComplete,
		Kernel: []uint64{100}, User: []Frame{101, 102},
	}, s)
	assert.EqualValues(t, 8, s.Image())
}

func TestFrame(t *testing.T) {
	f := Frame(1<<63 | 0x7fff<<48 | 0xffff_ffff_ffff)
	assert.True(t, f.Exact())
	assert.EqualValues(t, 0x7fff, f.Executable())
	assert.EqualValues(t, 0xffff_ffff_ffff, f.Addr())
	assert.False(t, Frame(1<<62).Exact())
}

// layout returns the offsets of the members of a C struct, and its size under
// the empty name.
func layout(t *testing.T, name string) map[string]uint32 {
	t.Helper()
	spec, err := loadCpuObj()
	require.NoError(t, err)
	var s *btf.Struct
	require.NoError(t, spec.Types.TypeByName(name, &s))
	at := map[string]uint32{"": s.Size}
	for _, m := range s.Members {
		at[m.Name] = m.Offset.Bytes()
	}
	return at
}

// TestLayout ties what Go reads and writes to the C structs.
func TestLayout(t *testing.T) {
	at := layout(t, "stack_record")
	for name, want := range map[string]uint32{
		"object": 24, "tgid": 32, "comm": 40, "kernel_frames": 56, "status": 60, "exec_id": 62, "profile": 64, "end": 65,
		"detail": 66, "frames": stackHeader,
	} {
		assert.Equal(t, want, at[name], name)
	}
	assert.EqualValues(t, unsafe.Sizeof(countValue{}), layout(t, "count_value")[""])
	assert.EqualValues(t, unsafe.Sizeof(Executable{}), layout(t, "executable")[""])
	assert.EqualValues(t, unsafe.Sizeof(rawMapping{}), layout(t, "mapping")[""])
	assert.EqualValues(t, unsafe.Sizeof(rawProcess{}), layout(t, "process")[""])
	assert.EqualValues(t, unsafe.Offsetof(rawProcess{}.mappings), layout(t, "process")["mappings"])
	assert.EqualValues(t, unsafe.Sizeof(unwind.Rule{}), layout(t, "unwind_rule")[""])
	assert.EqualValues(t, unsafe.Offsetof(unwind.Rule{}.CFAOff), layout(t, "unwind_rule")["cfa_off"])
	assert.EqualValues(t, unsafe.Offsetof(unwind.Rule{}.RAOff), layout(t, "unwind_rule")["ra_off"])
	assert.EqualValues(t, unsafe.Offsetof(unwind.Rule{}.Reg), layout(t, "unwind_rule")["reg"])
}

func TestNoticeDecode(t *testing.T) {
	b := make([]byte, noticeSize)
	b[0], b[8], b[16], b[20], b[22] = 1, 2, 3, 4, byte(NoticeWantTable)
	var n Notice
	require.NoError(t, n.decode(b))
	assert.Equal(t, Notice{Kind: NoticeWantTable, PID: 3, Image: 1, Addr: 2, Executable: 4}, n)
	for size := range b {
		assert.Error(t, n.decode(b[:size]))
	}
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
