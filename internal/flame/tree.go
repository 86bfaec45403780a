package flame

import (
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// Values are one number per sample type, in the order of the Types of the
// merged kind.
type Values = [profile.MaxTypes]int64

// Tree is the union of stacks as call paths that start at the outermost frame.
type Tree struct {
	// Nodes are the call paths. Node 0 is the root, which stands for no frame; a
	// parent always comes before its children.
	Nodes []Node
	// Symbols are what nodes stand for, in order of name, then module. Symbol 0
	// is the root's and empty.
	Symbols []Symbol
	// self and total have width values of every node.
	self, total []int64
	width       int
}

// Node is one call path.
type Node struct {
	// Parent, Child and Sibling are indices into Nodes: the caller, the first
	// callee and the next callee of the same caller; 0 for none.
	Parent, Child, Sibling int32
	// Symbol is an index into Symbols.
	Symbol int32
}

// Symbol is what makes frames the same node below the same caller.
type Symbol struct {
	// Module is empty unless the tree was built by module.
	Name, Module string
	// Frame is one of the frames that have the symbol.
	Frame *profile.Frame
}

// Self returns what was observed in the node's frame itself: its sum of the
// value, an index into the Types of the merged kind.
func (t *Tree) Self(node int32, value int) int64 { return at(t.self, t.width, node, value) }

// Total returns what was observed in the node's frame and in all it called.
func (t *Tree) Total(node int32, value int) int64 { return at(t.total, t.width, node, value) }

// at returns a value, 0 if it is one of those that are 0 in all nodes.
func at(values []int64, width int, node int32, value int) int64 {
	if value >= width {
		return 0
	}
	return values[int(node)*width+value]
}

// Options say how a tree is built.
type Options struct {
	// ByModule keeps functions of the same name in different modules apart.
	ByModule bool
	// Rename is applied to the name of every frame before names are compared.
	Rename func(string) string
	// SkipEmpty leaves observations without a stack out; else they are the Self
	// of the root.
	SkipEmpty bool
}

// Build makes the tree of all rows of k, a kind of m. Frames are the same node
// if they have equal names and callers. The tree depends on the names and
// values only, not on the order of the rows: the callees of a frame are in order
// of name, then module.
func Build(m *profilestore.Merge, k *profilestore.KindMerge, o Options) *Tree {
	p := newPaths(m, k.Rows, o)
	shared := make([]int32, len(p.list))
	nodes := 1
	for i, x := range p.list {
		shared[i] = p.shared(i)
		nodes += int(x.end - x.start - shared[i])
	}
	t := newTree(nodes, width(k.Rows))
	t.Symbols = append(make([]Symbol, 1, 1+len(p.symbols)), p.symbols...)
	next := int32(1)
	// current are the nodes of the path before, without the root.
	var current []int32
	for i, x := range p.list {
		for d := shared[i]; d < x.end-x.start; d++ {
			n := next
			next++
			parent := int32(0)
			if d > 0 {
				parent = current[d-1]
			}
			// Paths are sorted: what the path before has here is the callee before.
			if int(d) < len(current) {
				t.Nodes[current[d]].Sibling = n
				current = current[:d]
			} else {
				t.Nodes[parent].Child = n
			}
			t.Nodes[n].Parent, t.Nodes[n].Symbol = parent, 1+p.numbers[x.start+d]
			current = append(current, n)
		}
		own := int32(0)
		if depth := x.end - x.start; depth > 0 {
			own = current[depth-1]
		}
		t.add(own, &k.Rows[x.row].Values)
	}
	t.sum()
	return t
}

func newTree(nodes, width int) *Tree {
	return &Tree{
		Nodes: make([]Node, nodes), width: width,
		self: make([]int64, nodes*width), total: make([]int64, nodes*width),
	}
}

// width returns how many of the values of rows there are, those behind the last
// that is not zero left out.
func width(rows []profilestore.Row) int {
	var seen Values
	for i := range rows {
		for v, value := range &rows[i].Values {
			seen[v] |= value
		}
	}
	n := profile.MaxTypes
	for n > 0 && seen[n-1] == 0 {
		n--
	}
	return n
}

// add adds to what was observed in a node itself.
func (t *Tree) add(node int32, values *Values) {
	self := t.self[int(node)*t.width:][:t.width]
	for v := range self {
		self[v] = profile.Add(self[v], values[v])
	}
}

// sum fills in the totals. Children come after their parents.
func (t *Tree) sum() {
	copy(t.total, t.self)
	for i := len(t.Nodes) - 1; i > 0; i-- {
		parent := int(t.Nodes[i].Parent) * t.width
		for v, value := range t.total[i*t.width:][:t.width] {
			t.total[parent+v] = profile.Add(t.total[parent+v], value)
		}
	}
}
