package flame

import (
	"cmp"
	"math/bits"
	"slices"
	"unsafe"

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
	b := newBuilder(o, len(k.Rows))
	for i := range k.Rows {
		row := &k.Rows[i]
		frames := m.Stacks[row.Stack].Frames
		if len(frames) == 0 && o.SkipEmpty {
			continue
		}
		n := b.path(frames)
		self := &b.tree.Nodes[n].Self
		for v := range self {
			self[v] += row.Values[v]
		}
	}
	b.tree.sum()
	b.tree.link()
	return b.tree
}

type symbol struct{ name, module int32 }

// key is a number for s that is not 0.
func (s symbol) key() uint64 { return uint64(uint32(s.module))<<32 | uint64(uint32(s.name)) + 1 }

type builder struct {
	options Options
	tree    *Tree
	names   map[string]int32
	modules map[string]int32
	symbols map[*profile.Frame]symbol
	// bySymbol is what makes two calls the same node. byFrame, by the address of
	// the frame, answers for nearly all of them without a look at the name.
	byFrame, bySymbol callTable
}

func newBuilder(o Options, rows int) *builder {
	// Most trees have a few times as many nodes as rows.
	size := 1 << bits.Len(uint(8*rows)|1023)
	return &builder{
		options:  o,
		tree:     &Tree{Nodes: make([]Node, 1, 4*rows+64), Names: []string{""}, Modules: []string{""}},
		names:    map[string]int32{"": 0},
		modules:  map[string]int32{"": 0},
		symbols:  make(map[*profile.Frame]symbol),
		byFrame:  newCallTable(size),
		bySymbol: newCallTable(size),
	}
}

// path returns the node of a stack, which is leaf first.
func (b *builder) path(frames []*profile.Frame) int32 {
	n := int32(0)
	for _, f := range slices.Backward(frames) {
		// The merge keeps the frame alive and Go does not move heap objects, so
		// the address is its identity. As a number it costs the garbage collector
		// nothing.
		address := uint64(uintptr(unsafe.Pointer(f)))
		child, ok := b.byFrame.get(n, address)
		if !ok {
			child = b.child(n, f)
			b.byFrame.put(n, address, child)
		}
		n = child
	}
	return n
}

func (b *builder) child(parent int32, f *profile.Frame) int32 {
	s, ok := b.symbols[f]
	if !ok {
		s = b.symbol(f)
		b.symbols[f] = s
	}
	n, ok := b.bySymbol.get(parent, s.key())
	if !ok {
		n = int32(len(b.tree.Nodes))
		b.tree.Nodes = append(b.tree.Nodes, Node{Frame: f, Parent: parent, Name: s.name, Module: s.module})
		b.bySymbol.put(parent, s.key(), n)
	}
	return n
}

func (b *builder) symbol(f *profile.Frame) symbol {
	name := Name(f)
	if b.options.Rename != nil {
		name = b.options.Rename(name)
	}
	s := symbol{name: intern(&b.tree.Names, b.names, name)}
	if b.options.ByModule {
		s.module = intern(&b.tree.Modules, b.modules, Module(f))
	}
	return s
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

// link makes the lists of children. Nodes are put in order of name by counting,
// which takes time linear in their number, and prepended from the last to the
// first.
func (t *Tree) link() {
	order := make([]int32, 0, len(t.Nodes)-1)
	for i := range t.Nodes[1:] {
		order = append(order, int32(i+1))
	}
	if len(t.Modules) > 1 {
		order = countingSort(order, t.Modules, func(n int32) int32 { return t.Nodes[n].Module })
	}
	order = countingSort(order, t.Names, func(n int32) int32 { return t.Nodes[n].Name })
	for _, i := range slices.Backward(order) {
		n := &t.Nodes[i]
		parent := &t.Nodes[n.Parent]
		n.Sibling = parent.Child
		parent.Child = i
	}
}

// countingSort returns nodes sorted by their string, stably.
func countingSort(nodes []int32, texts []string, text func(int32) int32) []int32 {
	sorted := make([]int32, len(texts))
	for i := range sorted {
		sorted[i] = int32(i)
	}
	slices.SortFunc(sorted, func(a, b int32) int { return cmp.Compare(texts[a], texts[b]) })
	rank := make([]int32, len(texts))
	for r, i := range sorted {
		rank[i] = int32(r)
	}
	next := make([]int32, len(texts)+1)
	for _, n := range nodes {
		next[rank[text(n)]+1]++
	}
	for r := 1; r < len(next); r++ {
		next[r] += next[r-1]
	}
	out := make([]int32, len(nodes))
	for _, n := range nodes {
		r := rank[text(n)]
		out[next[r]] = n
		next[r]++
	}
	return out
}
