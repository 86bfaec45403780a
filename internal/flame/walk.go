package flame

import (
	"cmp"
	"slices"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// Step is one call path of a walk.
type Step struct {
	// Depth is the number of frames, 0 for the root.
	Depth int
	// Symbol is what the path ends in, the empty one for the root.
	Symbol *Symbol
	// Self and Total are as those of a [Tree].
	Self, Total Values
}

// Walk calls visit for the nodes of the tree that [Build] makes of the same, in
// the same order, without making it: it takes memory for the rows and the symbols,
// not for nodes. What is below a node for which visit returns false is left out,
// and takes no time. A Step and its Symbol are valid during the call only.
func Walk(m *profilestore.Merge, k *profilestore.KindMerge, o Options, visit func(*Step) bool) {
	w := walker{m: m, rows: k.Rows, o: o, visit: visit, width: width(k.Rows), table: newFrameTable(), known: make(map[Symbol]int32)}
	w.symbols = []Symbol{{}}
	list := make([]walkRow, 0, len(k.Rows))
	for i := range k.Rows {
		if !o.SkipEmpty || len(m.Stacks[k.Rows[i].Stack].Frames) > 0 {
			list = append(list, walkRow{row: int32(i)})
		}
	}
	w.node(list, 0, 0)
}

type walker struct {
	m     *profilestore.Merge
	rows  []profilestore.Row
	o     Options
	visit func(*Step) bool
	width int

	table   frameTable
	known   map[Symbol]int32
	symbols []Symbol // by number; 0 is the root's
	// groups are the callees of all nodes on the way to the current one.
	groups []walkGroup
	step   Step // that is visited
}

// walkRow is a row and the number of its symbol at the depth that is looked at, 0
// if its stack ends there.
type walkRow struct{ symbol, row int32 }

// walkGroup is the rows of one callee.
type walkGroup struct{ symbol, start, end int32 }

// node visits the node that the rows of list have in common, and those below.
func (w *walker) node(list []walkRow, depth int, symbol int32) {
	s := &w.step
	*s = Step{Depth: depth}
	same := true
	for i := range list {
		l := &list[i]
		row := &w.rows[l.row]
		l.symbol = w.symbol(w.m.Stacks[row.Stack].Frames, depth)
		same = same && l.symbol == list[0].symbol
		for v, value := range row.Values[:w.width] {
			s.Total[v] = profile.Add(s.Total[v], value)
		}
		if l.symbol == 0 {
			for v, value := range row.Values[:w.width] {
				s.Self[v] = profile.Add(s.Self[v], value)
			}
		}
	}
	s.Symbol = &w.symbols[symbol]
	if !w.visit(s) {
		return
	}
	first := len(w.groups)
	w.split(list, same)
	for i := first; i < len(w.groups); i++ {
		g := w.groups[i]
		w.node(list[g.start:g.end], depth+1, g.symbol)
	}
	w.groups = w.groups[:first]
}

// split sorts list by callee and adds the callees to the groups, in their order.
func (w *walker) split(list []walkRow, same bool) {
	if !same {
		slices.SortFunc(list, func(a, b walkRow) int { return cmp.Compare(a.symbol, b.symbol) })
	}
	first := len(w.groups)
	for from := 0; from < len(list); {
		g := walkGroup{list[from].symbol, int32(from), int32(from + 1)}
		for int(g.end) < len(list) && list[g.end].symbol == g.symbol {
			g.end++
		}
		from = int(g.end)
		if g.symbol != 0 {
			w.groups = append(w.groups, g)
		}
	}
	if len(w.groups)-first < 2 {
		return
	}
	slices.SortFunc(w.groups[first:], func(a, b walkGroup) int { return w.symbols[a.symbol].compare(&w.symbols[b.symbol]) })
}

// symbol returns the number of the symbol that a stack has below a depth.
func (w *walker) symbol(frames []*profile.Frame, depth int) int32 {
	if len(frames) <= depth {
		return 0
	}
	f := frames[len(frames)-1-depth]
	n, ok := w.table.get(f)
	if ok {
		return n
	}
	s := w.o.symbol(f)
	if n, ok = w.known[s]; !ok {
		n = int32(len(w.symbols))
		w.known[s] = n
		s.Frame = f
		w.symbols = append(w.symbols, s)
	}
	w.table.put(f, n)
	return n
}
