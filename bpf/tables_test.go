package bpf

import (
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestSetProcessInAFullMap leaves nothing behind of a process that did not fit.
func TestSetProcessInAFullMap(t *testing.T) {
	processes, err := ebpf.NewMap(&ebpf.MapSpec{
		Type: ebpf.Hash, KeySize: uint32(unsafe.Sizeof(processKey{})), ValueSize: uint32(unsafe.Sizeof(rawProcess{})),
		MaxEntries: 3, Flags: unix.BPF_F_NO_PREALLOC,
	})
	if err != nil {
		t.Skipf("cannot create a map: %v", err)
	}
	h := &Host{tables: &tables{processes: processes, made: []*ebpf.Map{processes}}}
	t.Cleanup(func() { assert.NoError(t, h.tables.close()) })
	keys := func() (keys []processKey) {
		key := make([]byte, processes.KeySize())
		value := make([]byte, processes.ValueSize())
		it := processes.Iterate()
		for it.Next(&key, &value) {
			keys = append(keys, *(*processKey)(unsafe.Pointer(&key[0])))
		}
		require.NoError(t, it.Err())
		return keys
	}
	mappings := make([]Mapping, 4*maxMappings)
	for i := range mappings {
		mappings[i] = Mapping{Start: uint64(i) << 12, End: uint64(i+1) << 12}
	}
	require.NoError(t, h.SetProcess(1, 1, true, mappings[:1]))
	require.ErrorIs(t, h.SetProcess(2, 1, true, mappings), unix.E2BIG)
	assert.Equal(t, []processKey{{tgid: 1}}, keys())
	require.NoError(t, h.SetProcess(2, 1, true, mappings[:maxMappings+1]))
	require.ErrorIs(t, h.SetProcess(2, 2, true, mappings), unix.E2BIG)
	assert.ElementsMatch(t, []processKey{{tgid: 1}, {tgid: 2}, {2, 1}}, keys(), "what was there stays")
	require.NoError(t, h.DeleteProcess(2))
	assert.Equal(t, []processKey{{tgid: 1}}, keys())
}
