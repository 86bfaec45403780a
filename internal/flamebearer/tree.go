package flamebearer

import (
	"math"
	"math/bits"

	"github.com/aperture-collector/aperture-collector/internal/flame"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// Other is the name of the bar that stands for what was truncated.
const Other = "other"

// Tree is a call tree of one number by call path, or of two: those of the left and of
// the right side of a comparison. It is never changed, and safe for concurrent use.
type Tree struct {
	// nodes have the root first. Callees of one caller are in order of their names.
	nodes []node
	names []string // that of the root is empty
	sides int
}

type node struct {
	// child is the first callee, sibling the next callee of the same caller; 0 for none.
	child, sibling int32
	name           int32
	self, total    [2]int64
}

// New returns the tree of one value of t, an index into the types of the merged kind,
// each multiplied by scale. Call paths without any of it are left out.
func New(t *flame.Tree, value int, scale int64) *Tree {
	out := &Tree{sides: 1, names: make([]string, len(t.Symbols))}
	for i := range t.Symbols {
		out.names[i] = t.Symbols[i].Name
	}
	out.nodes = make([]node, 1, 1+len(t.Nodes)/2)
	out.fill(t, 0, 0, value, scale)
	return out
}

// place is a node of a source and where it goes.
type place struct{ from, to int32 }

// fill adds what is below the first node of t to node first.
func (t *Tree) fill(from *flame.Tree, source, first int32, value int, scale int64) {
	t.nodes[first].self[0] = times(from.Self(source, value), scale)
	t.nodes[first].total[0] = times(from.Total(source, value), scale)
	pending := []place{{source, first}}
	for len(pending) > 0 {
		at := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		last := int32(0)
		for n := from.Nodes[at.from].Child; n != 0; n = from.Nodes[n].Sibling {
			total := from.Total(n, value)
			if total == 0 {
				continue
			}
			i := int32(len(t.nodes))
			t.nodes = append(t.nodes, node{
				name: from.Nodes[n].Symbol,
				self: [2]int64{times(from.Self(n, value), scale)}, total: [2]int64{times(total, scale)},
			})
			if last == 0 {
				t.nodes[at.to].child = i
			} else {
				t.nodes[last].sibling = i
			}
			last = i
			pending = append(pending, place{n, i})
		}
	}
}

// times returns a*b, or the bound of an int64 that the product is beyond.
func times(a, b int64) int64 {
	if b == 1 || a == 0 {
		return a * b
	}
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	switch negative := (a < 0) != (b < 0); {
	case hi != 0 || lo > math.MaxInt64:
		if negative {
			return math.MinInt64
		}
		return math.MaxInt64
	case negative:
		return -int64(lo)
	default:
		return int64(lo)
	}
}

func magnitude(v int64) uint64 {
	if v < 0 {
		return -uint64(v)
	}
	return uint64(v)
}

// Scaled returns v times scale, or the bound of an int64 that it is beyond: what [New]
// makes of a value.
func Scaled(v, scale int64) int64 { return times(v, scale) }

// Total returns the sum of everything on a side, 0 for the left or only one.
func (t *Tree) Total(side int) int64 { return t.nodes[0].total[side] }

// size returns the number of nodes without the root.
func (t *Tree) size() int { return len(t.nodes) - 1 }

// Compare returns the tree of both sides: call paths of equal names are one.
func Compare(left, right *Tree) *Tree {
	c := comparison{out: &Tree{sides: 2}, numbers: make(map[string]int32), sources: [2]*Tree{left, right}}
	c.add(0, 0, "")
	type pair struct{ left, right, to int32 } // -1 for a node that is not there
	pending := []pair{{0, 0, 0}}
	for len(pending) > 0 {
		at := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		l, r := left.first(at.left), right.first(at.right)
		last := int32(0)
		for l > 0 || r > 0 {
			next := pair{left: -1, right: -1}
			name := ""
			switch {
			case r <= 0 || l > 0 && left.name(l) < right.name(r):
				next.left, name, l = l, left.name(l), left.nodes[l].sibling
			case l <= 0 || right.name(r) < left.name(l):
				next.right, name, r = r, right.name(r), right.nodes[r].sibling
			default:
				next.left, next.right, name = l, r, left.name(l)
				l, r = left.nodes[l].sibling, right.nodes[r].sibling
			}
			next.to = c.add(next.left, next.right, name)
			if last == 0 {
				c.out.nodes[at.to].child = next.to
			} else {
				c.out.nodes[last].sibling = next.to
			}
			last = next.to
			pending = append(pending, next)
		}
	}
	return c.out
}

// comparison makes a tree of two.
type comparison struct {
	out     *Tree
	sources [2]*Tree
	numbers map[string]int32
}

// add adds a node made of one of either side, -1 for none, and returns its index.
func (c *comparison) add(left, right int32, name string) int32 {
	number, ok := c.numbers[name]
	if !ok {
		number = int32(len(c.out.names))
		c.numbers[name] = number
		c.out.names = append(c.out.names, name)
	}
	n := node{name: number}
	for side, from := range [2]int32{left, right} {
		if from >= 0 {
			source := &c.sources[side].nodes[from]
			n.self[side], n.total[side] = source.self[0], source.total[0]
		}
	}
	c.out.nodes = append(c.out.nodes, n)
	return int32(len(c.out.nodes) - 1)
}

// first returns the first callee of a node, 0 also for a node that is not there.
func (t *Tree) first(n int32) int32 {
	if n < 0 {
		return 0
	}
	return t.nodes[n].child
}

func (t *Tree) name(n int32) string { return t.names[t.nodes[n].name] }

// weight is what nodes are kept or left out by.
func (n *node) weight() int64 { return max(n.total[0], n.total[1]) }

// add adds what another node has to what was truncated.
func (n *node) truncate(o *node) {
	for side := range n.total {
		n.total[side] = profile.Add(n.total[side], o.total[side])
		n.self[side] = n.total[side]
	}
}

func (n *node) empty() bool { return n.total == [2]int64{} }
