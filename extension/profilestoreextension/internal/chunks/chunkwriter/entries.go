package chunkwriter

import (
	"cmp"
	"slices"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// entries number the keys of the entries of a row as they come, and sort them at
// the end. Dictionaries from outside may have a stack or a set of attributes
// several times; the first of equal ones stands for all.
type entries struct {
	dict *profile.Dictionary

	// By index in the dictionary, for the whole window: the first equal one, plus
	// 1, or 0 if it was not looked for.
	sameStack, sameAttrs []int32
	stackIDs             map[profile.ID]int32
	attrsIDs             map[chunkrow.EntryKey]int32 // without stack

	// Of the row: numbers of stacks without attributes, and of all others.
	plain  []plainNumber
	row    uint32
	others profile.EntryIndex
	list   []numbered
	ranks  []uint32
}

type plainNumber struct{ row, number uint32 }

// numbered is a key that was used.
type numbered struct {
	id     profile.ID
	attrs  int32
	number uint32
}

func newEntries() entries {
	return entries{stackIDs: make(map[profile.ID]int32), attrsIDs: make(map[chunkrow.EntryKey]int32)}
}

// begin prepares for a window.
func (x *entries) begin(d *profile.Dictionary) {
	x.dict, x.row = d, 0
	x.sameStack, x.sameAttrs = cleared(x.sameStack, len(d.Stacks)), cleared(x.sameAttrs, len(d.Attributes))
	x.plain = cleared(x.plain, len(d.Stacks))
	clear(x.stackIDs)
	clear(x.attrsIDs)
	x.attrsIDs[x.attributes(0)] = 0
	x.next()
}

// next forgets the keys of the row before.
func (x *entries) next() {
	x.row++
	x.others.Reset()
	x.list = x.list[:0]
}

// number returns that of an entry's key.
func (x *entries) number(e *profile.Entry) uint32 {
	stack := x.sameStack[e.Stack] - 1
	if stack < 0 {
		stack = first(x.stackIDs, x.dict.StackIDs[e.Stack], e.Stack)
		x.sameStack[e.Stack] = stack + 1
	}
	next := uint32(len(x.list))
	if e.Attrs == 0 {
		p := &x.plain[stack]
		if p.row == x.row {
			return p.number
		}
		*p = plainNumber{x.row, next}
		x.list = append(x.list, numbered{id: x.dict.StackIDs[stack], number: next})
		return next
	}
	attrs := x.sameAttrs[e.Attrs] - 1
	if attrs < 0 {
		attrs = first(x.attrsIDs, x.attributes(e.Attrs), e.Attrs)
		x.sameAttrs[e.Attrs] = attrs + 1
	}
	if attrs == 0 {
		return x.number(&profile.Entry{Stack: stack})
	}
	n, isNew := x.others.Find(0, stack, attrs, int32(next))
	if isNew {
		x.list = append(x.list, numbered{id: x.dict.StackIDs[stack], attrs: attrs, number: next})
	}
	return uint32(n)
}

func first[K comparable](m map[K]int32, key K, i int32) int32 {
	if n, ok := m[key]; ok {
		return n
	}
	m[key] = i
	return i
}

// attributes returns the key of attributes without a stack.
func (x *entries) attributes(attrs int32) chunkrow.EntryKey {
	a := &x.dict.Attributes[attrs]
	k := chunkrow.EntryKey{Set: a.LabelsID, Lock: a.LockAddress, Syscall: a.Syscall, Bucket: a.Bucket}
	if a.Error {
		k.Error = 1
	}
	return k
}

// sorted fills keys in ascending order and returns the place of each number.
func (x *entries) sorted(keys *chunkrow.EntryKeys) []uint32 {
	slices.SortFunc(x.list, func(a, b numbered) int {
		if c := a.id.Compare(b.id); c != 0 {
			return c
		}
		if a.attrs == b.attrs {
			return cmp.Compare(a.number, b.number)
		}
		p, q := x.attributes(a.attrs), x.attributes(b.attrs)
		return p.CompareAttributes(&q)
	})
	keys.Reset()
	x.ranks = slices.Grow(x.ranks[:0], len(x.list))[:len(x.list)]
	for i := range x.list {
		n := &x.list[i]
		x.ranks[n.number] = uint32(i)
		key := x.attributes(n.attrs)
		key.Stack = n.id
		keys.Append(&key)
	}
	return x.ranks
}
