package flame

import (
	"io"
	"sync"

	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// Forest builds trees of stacks that it has mostly seen before, several times as
// fast as [Build]: it remembers the call path of each stack. It is safe for
// concurrent use.
//
// Stacks and frames are told apart by where they are in memory, so what the
// merges of a Forest refer to must be shared and never changed, as
// [profilestore.Stack] demands; a reader that resolves every stack anew gains
// nothing. The Forest keeps alive what it remembers.
type Forest struct {
	o       Options
	budget  int64
	scratch sync.Pool // of *scratch

	mu      sync.Mutex
	current *trie
}

// NewForest returns a Forest of trees with the same options that remembers call
// paths of about budget bytes, the stacks and frames they keep alive included.
// When they are more it forgets all of them.
func NewForest(budget int64, o Options) *Forest {
	f := &Forest{o: o, budget: budget, current: newTrie(budget)}
	f.scratch.New = func() any { return new(scratch) }
	return f
}

// Build makes the tree that [Build] makes.
func (f *Forest) Build(m *profilestore.Merge, k *profilestore.KindMerge) *Tree {
	if t := f.build(m, k); t != nil {
		return t
	}
	return Build(m, k, f.o)
}

// WriteFolded writes what [WriteFolded] writes. The Options must have [FoldedName]
// as Rename. If there is no room to remember the stacks, no tree is made.
func (f *Forest) WriteFolded(w io.Writer, m *profilestore.Merge, k *profilestore.KindMerge, value int) error {
	if t := f.build(m, k); t != nil {
		return t.WriteFolded(w, value)
	}
	return WriteFolded(w, m, k, value)
}

// build returns nil if the stacks of this merge alone are more than may be
// remembered.
func (f *Forest) build(m *profilestore.Merge, k *profilestore.KindMerge) *Tree {
	s := f.scratch.Get().(*scratch)
	defer f.scratch.Put(s)
	for range 2 {
		t := f.trie()
		if t.find(m, k.Rows, s) || t.insert(m, k.Rows, s, f.o) {
			return t.tree(k.Rows, s, f.o)
		}
		f.replace(t)
	}
	return nil
}

// Bytes returns about how much memory the remembered call paths take.
func (f *Forest) Bytes() int64 {
	t := f.trie()
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.bytes
}

func (f *Forest) trie() *trie {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.current
}

// replace begins anew in place of full. Trees that are being built from full
// are finished from it.
func (f *Forest) replace(full *trie) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current == full {
		f.current = newTrie(f.budget)
	}
}
