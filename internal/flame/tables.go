package flame

import (
	"math/bits"
	"unsafe"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

const (
	firstTableSize = 1024
	golden         = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio
)

// edgeTable finds the callee of a node by its symbol, as [frameTable] does
// frames.
type edgeTable struct {
	entries []edge
	shift   uint
	used    int
}

// edge is free if its node, which is never the root, is 0.
type edge struct{ parent, symbol, node int32 }

func newEdgeTable() edgeTable {
	return edgeTable{entries: make([]edge, firstTableSize), shift: uint(64 - bits.TrailingZeros(firstTableSize))}
}

func (t *edgeTable) slot(parent, symbol int32) int {
	return int(((uint64(uint32(parent))<<32 | uint64(uint32(symbol))) * golden) >> t.shift)
}

func (t *edgeTable) get(parent, symbol int32) (int32, bool) {
	mask := len(t.entries) - 1
	for i := t.slot(parent, symbol); ; i = (i + 1) & mask {
		e := &t.entries[i]
		if e.node == 0 {
			return 0, false
		}
		if e.parent == parent && e.symbol == symbol {
			return e.node, true
		}
	}
}

// put adds an edge that is not there.
func (t *edgeTable) put(parent, symbol, node int32) {
	if 2*(t.used+1) > len(t.entries) {
		old := t.entries
		*t = edgeTable{entries: make([]edge, 2*len(old)), shift: t.shift - 1, used: t.used}
		for _, e := range old {
			if e.node != 0 {
				t.place(e)
			}
		}
	}
	t.place(edge{parent, symbol, node})
	t.used++
}

func (t *edgeTable) place(e edge) {
	mask := len(t.entries) - 1
	i := t.slot(e.parent, e.symbol)
	for t.entries[i].node != 0 {
		i = (i + 1) & mask
	}
	t.entries[i] = e
}

// leafTable finds the last node of a stack by the identity of its frames.
type leafTable struct {
	entries []leafEntry
	shift   uint
	used    int
}

type leafEntry struct {
	// first keeps the frames alive, so that no other stack can get their place;
	// nil if the entry is free.
	first  **profile.Frame
	length int32
	node   int32
}

func newLeafTable() leafTable {
	return leafTable{entries: make([]leafEntry, firstTableSize), shift: uint(64 - bits.TrailingZeros(firstTableSize))}
}

func (t *leafTable) slot(first **profile.Frame) int {
	return int((uint64(uintptr(unsafe.Pointer(first))) * golden) >> t.shift)
}

// get returns the root for a stack without frames.
func (t *leafTable) get(frames []*profile.Frame) (int32, bool) {
	if len(frames) == 0 {
		return 0, true
	}
	first, length := unsafe.SliceData(frames), int32(len(frames))
	mask := len(t.entries) - 1
	for i := t.slot(first); ; i = (i + 1) & mask {
		e := &t.entries[i]
		if e.first == first && e.length == length {
			return e.node, true
		}
		if e.first == nil {
			return 0, false
		}
	}
}

// put adds a stack that is not there.
func (t *leafTable) put(frames []*profile.Frame, node int32) {
	if 2*(t.used+1) > len(t.entries) {
		old := t.entries
		*t = leafTable{entries: make([]leafEntry, 2*len(old)), shift: t.shift - 1, used: t.used}
		for _, e := range old {
			if e.first != nil {
				t.place(e)
			}
		}
	}
	t.place(leafEntry{first: unsafe.SliceData(frames), length: int32(len(frames)), node: node})
	t.used++
}

func (t *leafTable) place(e leafEntry) {
	mask := len(t.entries) - 1
	i := t.slot(e.first)
	for t.entries[i].first != nil {
		i = (i + 1) & mask
	}
	t.entries[i] = e
}
