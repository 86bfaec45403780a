package flame

import "math/bits"

// callTable maps a node and what it called to the node of that call. It is an
// open hash table with linear probing: a look-up per frame of every stack is
// where building a tree spends its time, and a Go map takes several times as
// long.
type callTable struct {
	entries []callEntry
	shift   uint
	used    int
}

type callEntry struct {
	callee      uint64 // 0 if the entry is free
	parent, own int32
}

// newCallTable returns a table; size is a power of two.
func newCallTable(size int) callTable {
	return callTable{
		entries: make([]callEntry, size),
		shift:   uint(64 - bits.TrailingZeros(uint(size))),
	}
}

// slot is multiplicative hashing (Knuth, TAOCP 6.4): the upper bits of a product
// with an odd constant.
func (t *callTable) slot(parent int32, callee uint64) int {
	h := callee*0x9e3779b97f4a7c15 ^ uint64(uint32(parent))*0xc2b2ae3d27d4eb4f
	return int((h * 0x9e3779b97f4a7c15) >> t.shift)
}

// get returns the node of a call; callee is not 0.
func (t *callTable) get(parent int32, callee uint64) (int32, bool) {
	mask := len(t.entries) - 1
	for i := t.slot(parent, callee); ; i = (i + 1) & mask {
		e := &t.entries[i]
		if e.callee == callee && e.parent == parent {
			return e.own, true
		}
		if e.callee == 0 {
			return 0, false
		}
	}
}

// put adds a call that is not there.
func (t *callTable) put(parent int32, callee uint64, own int32) {
	if 2*(t.used+1) > len(t.entries) {
		old := t.entries
		*t = callTable{entries: make([]callEntry, 2*len(old)), shift: t.shift - 1, used: t.used}
		for _, e := range old {
			if e.callee != 0 {
				t.place(e)
			}
		}
	}
	t.place(callEntry{callee: callee, parent: parent, own: own})
	t.used++
}

func (t *callTable) place(e callEntry) {
	mask := len(t.entries) - 1
	i := t.slot(e.parent, e.callee)
	for t.entries[i].callee != 0 {
		i = (i + 1) & mask
	}
	t.entries[i] = e
}
