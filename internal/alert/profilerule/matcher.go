package profilerule

import (
	"strings"

	"github.com/aperture-collector/aperture-collector/internal/flame"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// matcher finds functions and call paths in stacks. Its work grows with the
// frames of the stacks, not with what is looked for.
type matcher struct {
	*read
	// heads has the paths by the name they begin with.
	heads map[string][]pathNames
	// symbols remembers frames, which stacks share, by where they are in memory.
	symbols map[*profile.Frame]symbol
	// last is the row in which a function, and then a path, was last found, from
	// 1: recursion counts once.
	last []int32
}

// symbol is what a frame may be, -1 for nothing.
type symbol struct {
	function int32
	// head is true if paths begin with its name.
	head bool
}

// pathNames is a path taken apart.
type pathNames struct {
	path
	names  []string
	number int32
}

func newMatcher(r *read) *matcher {
	m := &matcher{
		read: r, heads: make(map[string][]pathNames), symbols: make(map[*profile.Frame]symbol),
		last: make([]int32, len(r.functions)+len(r.paths)),
	}
	r.foundFunctions, r.foundPaths = make([]found, len(r.functions)), make([]sums, len(r.paths))
	for p, number := range r.paths {
		names := strings.Split(p.folded, ";")
		m.heads[names[0]] = append(m.heads[names[0]], pathNames{p, names, number})
	}
	return m
}

func (m *matcher) rows(merge *profilestore.Merge, k *profilestore.KindMerge) {
	for i := range k.Rows {
		row := &k.Rows[i]
		frames := merge.Stacks[row.Stack].Frames
		count := row.Count
		if k.Kind == profile.KindCPU {
			count = samples(row.Values[0])
		}
		for at, f := range frames {
			s, ok := m.symbols[f]
			if !ok {
				s = m.symbol(f)
				m.symbols[f] = s
			}
			if s.function >= 0 && m.first(s.function, i) {
				m.foundFunctions[s.function].total.add(row.Values[0], count)
			}
			if s.function >= 0 && at == 0 {
				m.foundFunctions[s.function].self.add(row.Values[0], count)
			}
			if s.head {
				m.atHead(frames, at, i, row.Values[0], count)
			}
		}
	}
}

// first reports whether something is found in a row for the first time.
func (m *matcher) first(what int32, row int) bool {
	if m.last[what] == int32(row+1) {
		return false
	}
	m.last[what] = int32(row + 1)
	return true
}

func (m *matcher) symbol(f *profile.Frame) symbol {
	name := flame.Name(f)
	s := symbol{function: -1}
	if n, ok := m.functions[name]; ok {
		s.function = n
	}
	if len(m.heads) > 0 {
		_, s.head = m.heads[flame.FoldedName(name)]
	}
	return s
}

// atHead counts the paths that begin at a frame. Frames are leaf first.
func (m *matcher) atHead(frames []*profile.Frame, at, row int, value int64, count uint64) {
	for _, p := range m.heads[flame.FoldedName(flame.Name(frames[at]))] {
		if len(p.names) > at+1 || !p.anywhere && at != len(frames)-1 || !p.match(frames[at+1-len(p.names):at+1]) {
			continue
		}
		if m.first(int32(len(m.functions))+p.number, row) {
			m.foundPaths[p.number].add(value, count)
		}
	}
}

// match compares as many frames as the path has names, the first of which is
// known to be equal.
func (p *pathNames) match(frames []*profile.Frame) bool {
	for i, name := range p.names[1:] {
		if flame.FoldedName(flame.Name(frames[len(frames)-2-i])) != name {
			return false
		}
	}
	return true
}
