package flame

import (
	"slices"

	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// scratch is what building one tree out of a trie needs. It is kept between
// trees; nodes and counts are zero then.
type scratch struct {
	leaves []int32 // by row
	nodes  []scratchNode
	// used are the nodes of the trie that are in the tree, without the root.
	used, ordered []int32
	counts        []int32
	symbols       []int32 // in the tree, by symbol of the trie
}

// scratchNode is a node of the trie in the tree that is built.
type scratchNode struct {
	// index is that in the tree.
	index int32
	// child and sibling are nodes of the trie.
	child, sibling int32
}

// tree builds the tree of rows whose nodes are s.leaves.
func (t *trie) tree(rows []profilestore.Row, s *scratch, o Options) *Tree {
	t.mu.RLock()
	defer t.mu.RUnlock()
	s.mark(t)
	s.arrange(t)
	out := newTree(len(s.used)+1, width(rows))
	s.number(t, out)
	s.emit(t, out)
	for i, leaf := range s.leaves {
		if leaf == 0 && o.SkipEmpty {
			continue
		}
		out.add(s.nodes[leaf].index, &rows[i].Values)
	}
	out.sum()
	for _, n := range s.used {
		s.nodes[n] = scratchNode{}
	}
	s.nodes[0] = scratchNode{}
	return out
}

// mark finds the nodes in use: the leaves and all above them.
func (s *scratch) mark(t *trie) {
	if n := len(t.parent); n > len(s.nodes) {
		s.nodes = make([]scratchNode, max(n, 2*len(s.nodes)))
	}
	s.used = s.used[:0]
	for _, n := range s.leaves {
		for ; n != 0 && s.nodes[n].index == 0; n = t.parent[n] {
			s.nodes[n].index = 1
			s.used = append(s.used, n)
		}
	}
}

// arrange links the nodes in use to their parents, those of one parent in order
// of their symbols: with the nodes in this order as a whole, each is put before
// the children that its parent has already. s.ordered has them from the last to
// the first.
func (s *scratch) arrange(t *trie) {
	s.ordered = slices.Grow(s.ordered[:0], len(s.used))[:len(s.used)]
	if len(s.used) < len(t.symbols)/8 {
		copy(s.ordered, s.used)
		slices.SortFunc(s.ordered, func(a, b int32) int { return int(t.rank[t.symbol[b]]) - int(t.rank[t.symbol[a]]) })
	} else {
		s.countingSort(t)
	}
	for _, n := range s.ordered {
		above := &s.nodes[t.parent[n]]
		s.nodes[n].sibling, above.child = above.child, n
	}
}

func (s *scratch) countingSort(t *trie) {
	if n := len(t.symbols); n > len(s.counts) {
		s.counts = make([]int32, 2*n)
	}
	for _, n := range s.used {
		s.counts[t.symbol[n]]++
	}
	at := int32(0)
	for _, symbol := range slices.Backward(t.order) {
		at, s.counts[symbol] = at+s.counts[symbol], at
	}
	for _, n := range s.used {
		place := &s.counts[t.symbol[n]]
		s.ordered[*place] = n
		*place++
	}
	clear(s.counts[:len(t.symbols)])
}

// number fills in the symbols of out.
func (s *scratch) number(t *trie, out *Tree) {
	if n := len(t.symbols); n > len(s.symbols) {
		s.symbols = make([]int32, 2*n)
	}
	out.Symbols = make([]Symbol, 1)
	last := int32(-1)
	for _, n := range slices.Backward(s.ordered) {
		if number := t.symbol[n]; number != last {
			s.symbols[number] = int32(len(out.Symbols))
			out.Symbols = append(out.Symbols, t.symbols[number])
			last = number
		}
	}
}

// emit fills in the nodes of out, each before its children and these before its
// siblings.
func (s *scratch) emit(t *trie, out *Tree) {
	i := int32(0)
	for n := s.nodes[0].child; n != 0; {
		i++
		s.nodes[n].index = i
		parent := s.nodes[t.parent[n]].index
		if out.Nodes[parent].Child == 0 {
			out.Nodes[parent].Child = i
		}
		out.Nodes[i].Parent, out.Nodes[i].Symbol = parent, s.symbols[t.symbol[n]]
		if child := s.nodes[n].child; child != 0 {
			n = child
			continue
		}
		for n != 0 && s.nodes[n].sibling == 0 {
			n = t.parent[n]
		}
		if n == 0 {
			return
		}
		out.Nodes[s.nodes[n].index].Sibling = i + 1
		n = s.nodes[n].sibling
	}
}
