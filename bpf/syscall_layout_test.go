package bpf

import (
	"testing"
	"unsafe"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestSyscallLayout ties the rows that Go reads to the C struct.
func TestSyscallLayout(t *testing.T) {
	spec, err := loadSyscallObj()
	require.NoError(t, err)
	var s *btf.Struct
	require.NoError(t, spec.Types.TypeByName("row", &s))
	at := map[string]uintptr{}
	for _, m := range s.Members {
		at[m.Name] = uintptr(m.Offset.Bytes())
	}
	var r callRow
	assert.Equal(t, map[string]uintptr{
		"tag": unsafe.Offsetof(r.tag), "count": unsafe.Offsetof(r.count), "sum": unsafe.Offsetof(r.sum),
		"min": unsafe.Offsetof(r.min), "max": unsafe.Offsetof(r.max), "image": unsafe.Offsetof(r.image),
		"cgroup_id": unsafe.Offsetof(r.cgroupID), "tgid": unsafe.Offsetof(r.pid), "nr": unsafe.Offsetof(r.number),
		"comm": unsafe.Offsetof(r.comm), "detail": unsafe.Offsetof(r.detail), "claimed": unsafe.Offsetof(r.claimed),
		"pad": unsafe.Sizeof(r) - 40,
	}, at)
	assert.Equal(t, callRowSize, s.Size)
	assert.Equal(t, uint32(32768), spec.Maps["rows_a"].ValueSize/callRowSize)
	assert.NotNil(t, spec.Maps["rows"].InnerMap)
}

// TestResizeRows leaves a quarter of the table free, within bounds.
func TestResizeRows(t *testing.T) {
	for entries, want := range map[int][2]uint32{
		-1: {32768, 24576}, 0: {32768, 24576}, 1: {64, 1}, 48: {64, 48}, 49: {128, 49}, 24576: {32768, 24576},
		24577: {65536, 24577}, 1 << 40: {4 << 16, 3 << 16},
	} {
		spec, err := loadSyscallObj()
		require.NoError(t, err)
		settings := resizeRows(spec, entries)
		assert.Equal(t, map[string]any{"row_mask": want[0] - 1, "max_rows": want[1]}, settings, entries)
		for _, m := range []uint32{spec.Maps["rows_a"].ValueSize, spec.Maps["rows_b"].ValueSize, spec.Maps["rows"].InnerMap.ValueSize} {
			assert.Equal(t, want[0]*callRowSize, m)
		}
	}
}
