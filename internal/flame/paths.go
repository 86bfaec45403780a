package flame

import (
	"cmp"
	"slices"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// symbol returns the symbol of a frame, that frame left out.
func (o *Options) symbol(f *profile.Frame) Symbol {
	s := Symbol{Name: Name(f)}
	if o.Rename != nil {
		s.Name = o.Rename(s.Name)
	}
	if o.ByModule {
		s.Module = Module(f)
	}
	return s
}

// compare is the order of callees.
func (s *Symbol) compare(other *Symbol) int {
	return cmp.Or(cmp.Compare(s.Name, other.Name), cmp.Compare(s.Module, other.Module))
}

// paths are the stacks of a merge as sequences of symbol numbers, outermost
// frame first. Numbers are in order of the symbols.
type paths struct {
	list []callPath
	// numbers has all sequences one after the other.
	numbers []int32
	symbols []Symbol
}

type callPath struct {
	start, end int32 // in numbers
	row        int32
}

func newPaths(m *profilestore.Merge, rows []profilestore.Row, o Options) *paths {
	total := 0
	for i := range rows {
		total += len(m.Stacks[rows[i].Stack].Frames)
	}
	p := &paths{list: make([]callPath, 0, len(rows)), numbers: make([]int32, 0, total)}
	table := newFrameTable()
	known := make(map[Symbol]int32)
	for i := range rows {
		start := len(p.numbers)
		for _, f := range slices.Backward(m.Stacks[rows[i].Stack].Frames) {
			n, ok := table.get(f)
			if !ok {
				n = p.number(known, f, o)
				table.put(f, n)
			}
			p.numbers = append(p.numbers, n)
		}
		if len(p.numbers) > start || !o.SkipEmpty {
			p.list = append(p.list, callPath{start: int32(start), end: int32(len(p.numbers)), row: int32(i)})
		}
	}
	p.rank()
	p.sort(p.list, 0)
	return p
}

// number returns the number of the symbol of f, a new one if need be.
func (p *paths) number(known map[Symbol]int32, f *profile.Frame, o Options) int32 {
	s := o.symbol(f)
	n, ok := known[s]
	if !ok {
		n = int32(len(p.symbols))
		known[s] = n
		s.Frame = f
		p.symbols = append(p.symbols, s)
	}
	return n
}

// rank renumbers the symbols in their order.
func (p *paths) rank() {
	order := make([]int32, len(p.symbols))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return p.symbols[a].compare(&p.symbols[b]) })
	rank := make([]int32, len(order))
	symbols := make([]Symbol, len(order))
	for r, i := range order {
		rank[i], symbols[r] = int32(r), p.symbols[i]
	}
	p.symbols = symbols
	for i, n := range p.numbers {
		p.numbers[i] = rank[n]
	}
}

// at returns the number at a depth, -1 behind the end, which sorts a path before
// those that go on.
func (p *paths) at(x callPath, depth int32) int32 {
	if x.start+depth >= x.end {
		return -1
	}
	return p.numbers[x.start+depth]
}

// sort sorts paths that are equal above depth, level by level (MSD sorting):
// comparing whole paths would walk the long prefixes that stacks share again and
// again.
func (p *paths) sort(list []callPath, depth int32) {
	const few = 12
	for {
		if len(list) <= few {
			slices.SortFunc(list, func(a, b callPath) int {
				return slices.Compare(p.numbers[min(a.start+depth, a.end):a.end], p.numbers[min(b.start+depth, b.end):b.end])
			})
			return
		}
		first := p.at(list[0], depth)
		same := !slices.ContainsFunc(list[1:], func(x callPath) bool { return p.at(x, depth) != first })
		if !same {
			break
		}
		if first < 0 {
			return
		}
		depth++
	}
	slices.SortFunc(list, func(a, b callPath) int { return cmp.Compare(p.at(a, depth), p.at(b, depth)) })
	for from := 0; from < len(list); {
		number := p.at(list[from], depth)
		to := from + 1
		for to < len(list) && p.at(list[to], depth) == number {
			to++
		}
		if number >= 0 {
			p.sort(list[from:to], depth+1)
		}
		from = to
	}
}

// shared returns how many frames the path i has in common with the one before.
func (p *paths) shared(i int) int32 {
	if i == 0 {
		return 0
	}
	a, b := p.list[i-1], p.list[i]
	n := min(a.end-a.start, b.end-b.start)
	for d := range n {
		if p.numbers[a.start+d] != p.numbers[b.start+d] {
			return d
		}
	}
	return n
}
