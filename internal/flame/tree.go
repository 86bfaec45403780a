package flame

import (
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// Values are one number per sample type, in the order of the Types of the
// merged kind.
type Values = [profile.MaxTypes]int64

// Tree is the union of stacks as call paths that start at the outermost frame.
// Node 0 is the root, which stands for no frame; a parent always comes before
// its children.
type Tree struct {
	Nodes []Node
	// Names and Modules are the strings that nodes refer to, each once.
	Names, Modules []string
}

// Node is one call path.
type Node struct {
	// Frame is one of the frames that the node stands for, nil for the root.
	Frame *profile.Frame
	// Parent, Child and Sibling are indices into Nodes: the caller, the first
	// callee and the next callee of the same caller; 0 for none.
	Parent, Child, Sibling int32
	// Name and Module are indices into the strings of the tree.
	Name, Module int32
	// Self was observed in the frame itself, Total there and in all it called.
	Self, Total Values
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
	t := &Tree{Nodes: make([]Node, 1, nodes)}
	names := t.names(p.symbols)
	// current are the nodes of the path before, without the root.
	var current []int32
	for i, x := range p.list {
		for d := shared[i]; d < x.end-x.start; d++ {
			n := int32(len(t.Nodes))
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
			number := p.numbers[x.start+d]
			node := Node{Frame: p.frames[number], Parent: parent}
			node.Name, node.Module = names[number].name, names[number].module
			t.Nodes = append(t.Nodes, node)
			current = append(current, n)
		}
		own := int32(0)
		if depth := x.end - x.start; depth > 0 {
			own = current[depth-1]
		}
		self := &t.Nodes[own].Self
		for v, value := range k.Rows[x.row].Values {
			self[v] += value
		}
	}
	t.sum()
	return t
}

type nameIndex struct{ name, module int32 }

// names fills in the strings of the tree, each once, and returns where those of
// each symbol are. Index 0 is the empty string of the root.
func (t *Tree) names(symbols []symbol) []nameIndex {
	t.Names, t.Modules = []string{""}, []string{""}
	names := map[string]int32{"": 0}
	modules := map[string]int32{"": 0}
	out := make([]nameIndex, len(symbols))
	for i, s := range symbols {
		out[i] = nameIndex{intern(&t.Names, names, s.name), intern(&t.Modules, modules, s.module)}
	}
	return out
}

func intern(list *[]string, index map[string]int32, s string) int32 {
	i, ok := index[s]
	if !ok {
		i = int32(len(*list))
		*list = append(*list, s)
		index[s] = i
	}
	return i
}

// sum fills in the totals. Children come after their parents.
func (t *Tree) sum() {
	for i := range t.Nodes {
		t.Nodes[i].Total = t.Nodes[i].Self
	}
	for i := len(t.Nodes) - 1; i > 0; i-- {
		n := &t.Nodes[i]
		total := &t.Nodes[n.Parent].Total
		for v := range total {
			total[v] += n.Total[v]
		}
	}
}
