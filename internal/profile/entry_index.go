package profile

import (
	"math/bits"
	"math/rand/v2"
)

// EntryIndex finds the entry of a group by its stack and attributes, for all
// groups that are being filled. One table that is used again and again costs much
// less than a map in every group: most groups are small, and there are many.
//
// The zero value is empty. It is not safe for concurrent use.
type EntryIndex struct {
	slots []indexSlot // a power of two, at most 3/4 of them used
	used  int
	round uint32 // slots of other rounds are empty
}

type indexSlot struct {
	group, stack, attrs int32
	entry               int32
	round               uint32
}

// minSlots is the size of the smallest table.
const minSlots = 1 << 10

// indexSeeds make it impossible to choose keys that collide.
var indexSeeds = [2]uint64{rand.Uint64(), rand.Uint64()}

// Reset makes x empty and keeps its memory, unless it needed only a small part.
func (x *EntryIndex) Reset() {
	if len(x.slots) > minSlots && x.used < len(x.slots)/16 {
		x.slots = nil
	}
	x.used = 0
	if x.round++; x.round == 0 {
		clear(x.slots)
		x.round = 1 // that of an empty slot is 0
	}
}

// Find returns the entry that was put under the key. Where there is none, it puts
// next there and returns it and true.
func (x *EntryIndex) Find(group, stack, attrs, next int32) (entry int32, isNew bool) {
	if 4*(x.used+1) > 3*len(x.slots) {
		x.grow()
	}
	s := x.slot(group, stack, attrs)
	if s.round == x.round {
		return s.entry, false
	}
	*s = indexSlot{group: group, stack: stack, attrs: attrs, entry: next, round: x.round}
	x.used++
	return next, true
}

// slot returns the slot with the key or the empty one where it belongs.
func (x *EntryIndex) slot(group, stack, attrs int32) *indexSlot {
	key := uint64(uint32(stack))<<32 | uint64(uint32(attrs))
	hi, lo := bits.Mul64(key^indexSeeds[0], uint64(uint32(group))^indexSeeds[1])
	mask := uint64(len(x.slots) - 1)
	for i := hi ^ lo; ; i++ {
		s := &x.slots[i&mask]
		if s.round != x.round || s.group == group && s.stack == stack && s.attrs == attrs {
			return s
		}
	}
}

func (x *EntryIndex) grow() {
	old := x.slots
	x.slots = make([]indexSlot, max(2*len(old), minSlots))
	x.round = max(x.round, 1)
	for i := range old {
		if s := old[i]; s.round == x.round {
			*x.slot(s.group, s.stack, s.attrs) = s
		}
	}
}
