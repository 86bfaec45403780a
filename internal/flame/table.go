package flame

import (
	"math/bits"
	"unsafe"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// frameTable numbers frames by identity. It is an open hash table with linear
// probing: every frame of every stack is looked up, and a Go map takes several
// times as long.
type frameTable struct {
	entries []frameEntry
	shift   uint
	used    int
}

type frameEntry struct {
	frame  *profile.Frame // nil if the entry is free
	number int32
}

func newFrameTable() frameTable {
	const size = 1024
	return frameTable{entries: make([]frameEntry, size), shift: uint(64 - bits.TrailingZeros(size))}
}

// slot is multiplicative hashing (Knuth, TAOCP 6.4): the upper bits of a product
// with an odd constant. Go does not move heap objects and the merge keeps the
// frame alive, so its address is its identity.
func (t *frameTable) slot(f *profile.Frame) int {
	return int((uint64(uintptr(unsafe.Pointer(f))) * 0x9e3779b97f4a7c15) >> t.shift)
}

func (t *frameTable) get(f *profile.Frame) (int32, bool) {
	mask := len(t.entries) - 1
	for i := t.slot(f); ; i = (i + 1) & mask {
		e := &t.entries[i]
		if e.frame == f {
			return e.number, true
		}
		if e.frame == nil {
			return 0, false
		}
	}
}

// put adds a frame that is not there.
func (t *frameTable) put(f *profile.Frame, number int32) {
	if 2*(t.used+1) > len(t.entries) {
		old := t.entries
		*t = frameTable{entries: make([]frameEntry, 2*len(old)), shift: t.shift - 1, used: t.used}
		for _, e := range old {
			if e.frame != nil {
				t.place(e)
			}
		}
	}
	t.place(frameEntry{frame: f, number: number})
	t.used++
}

func (t *frameTable) place(e frameEntry) {
	mask := len(t.entries) - 1
	i := t.slot(e.frame)
	for t.entries[i].frame != nil {
		i = (i + 1) & mask
	}
	t.entries[i] = e
}
