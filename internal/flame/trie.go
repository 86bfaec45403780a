package flame

import (
	"slices"
	"sync"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// trie is the union of call paths, outermost frame first. It only ever grows.
type trie struct {
	budget int64

	mu sync.RWMutex
	// parent and symbol are by node; node 0 is the root.
	parent, symbol []int32
	edges          edgeTable
	leaves         leafTable

	// numbers has the symbol of each frame, known that of each name and module.
	numbers frameTable
	known   map[Symbol]int32
	symbols []Symbol
	// order has the symbols sorted, rank the place of each in it.
	order, rank []int32
	bytes       int64
}

// What one thing remembered takes: its entry in a table that is between a
// quarter and a half full, and its arrays.
const (
	nodeBytes  = 8 + 3*12
	leafBytes  = 3 * 16
	frameBytes = 3*16 + 200 // with the frame itself, its strings left out
)

func newTrie(budget int64) *trie {
	return &trie{
		budget: budget, parent: make([]int32, 1), symbol: make([]int32, 1),
		edges: newEdgeTable(), leaves: newLeafTable(), numbers: newFrameTable(), known: make(map[Symbol]int32),
	}
}

// find fills s.leaves with the node of every row. It reports false if a stack is
// not known.
func (t *trie) find(m *profilestore.Merge, rows []profilestore.Row, s *scratch) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	s.leaves = slices.Grow(s.leaves[:0], len(rows))
	for i := range rows {
		leaf, ok := t.leaves.get(m.Stacks[rows[i].Stack].Frames)
		if !ok {
			return false
		}
		s.leaves = append(s.leaves, leaf)
	}
	return true
}

// insert is find that adds what is not known. It reports false if there is no
// room for it.
func (t *trie) insert(m *profilestore.Merge, rows []profilestore.Row, s *scratch, o Options) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.sort()
	for i := len(s.leaves); i < len(rows); i++ {
		frames := m.Stacks[rows[i].Stack].Frames
		leaf, ok := t.leaves.get(frames)
		if !ok {
			if t.bytes > t.budget {
				return false
			}
			leaf = t.add(frames, o)
			t.leaves.put(frames, leaf)
			t.bytes += leafBytes + 8*int64(len(frames))
		}
		s.leaves = append(s.leaves, leaf)
	}
	return t.bytes <= t.budget
}

// add adds a stack and returns its last node.
func (t *trie) add(frames []*profile.Frame, o Options) int32 {
	node := int32(0)
	for _, f := range slices.Backward(frames) {
		number, ok := t.numbers.get(f)
		if !ok {
			number = t.number(f, o)
			t.numbers.put(f, number)
			t.bytes += frameBytes + int64(len(f.Function.Name)+len(f.Function.SystemName)+len(f.Function.Filename)+len(f.Mapping)+len(f.BuildID))
		}
		next, ok := t.edges.get(node, number)
		if !ok {
			next = int32(len(t.parent))
			t.parent, t.symbol = append(t.parent, node), append(t.symbol, number)
			t.edges.put(node, number, next)
			t.bytes += nodeBytes
		}
		node = next
	}
	return node
}

// number returns the number of the symbol of f, a new one if need be.
func (t *trie) number(f *profile.Frame, o Options) int32 {
	s := o.symbol(f)
	n, ok := t.known[s]
	if !ok {
		n = int32(len(t.symbols))
		t.known[s] = n
		s.Frame = f
		t.symbols = append(t.symbols, s)
	}
	return n
}

// sort brings the order of the symbols up to date.
func (t *trie) sort() {
	n := len(t.symbols)
	if len(t.order) == n {
		return
	}
	for i := len(t.order); i < n; i++ {
		t.order = append(t.order, int32(i))
	}
	slices.SortFunc(t.order, func(a, b int32) int { return t.symbols[a].compare(&t.symbols[b]) })
	t.rank = slices.Grow(t.rank[:0], n)[:n]
	for r, i := range t.order {
		t.rank[i] = int32(r)
	}
}
