package chunk

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
)

// Input is a chunk to be merged, with the index that each of its entries and
// series has in the result. Entries must be strictly ascending, which they are if
// all chunks have their keys in the same order.
type Input struct {
	Chunk           *Chunk
	Entries, Series []uint32
}

// Merger makes one chunk of several. The zero value is ready to use. It is not
// safe for concurrent use.
type Merger struct {
	enc     encoder
	inputs  []mergeInput
	order   []mergeProfile
	heads   []int32 // first input with an entry, by entry of the result; -1: none
	nexts   []int32 // the next one with the same, by input and entry
	in      list    // in order of inputs
	out     list
	present []uint64 // a bit for each profile of the result
	places  []uint32 // of profiles in list in
}

type mergeInput struct {
	cursor Cursor
	ranks  []uint32 // of its profiles in the result
	first  int      // its first in nexts
}

type mergeProfile struct {
	Profile
	input, index uint32
}

// Merge makes a chunk with all profiles of the inputs and the given number of
// entries. It is valid until the next Merge. The error wraps [ErrFull] if they do
// not fit into one, and [ErrInvalid] if an input is damaged or its maps do not fit.
func (m *Merger) Merge(inputs []Input, entries int) (*Chunk, error) {
	types, err := checkInputs(inputs, entries)
	if err != nil {
		return nil, err
	}
	m.enc.begin(types)
	m.open(inputs)
	m.sort(inputs)
	m.link(inputs, entries)
	for e := range entries {
		if err := m.collect(e); err != nil {
			return nil, err
		}
		m.enc.add(m.sorted())
	}
	for i := range inputs {
		cur := &m.inputs[i].cursor
		if cur.Next(); cur.Err() != nil {
			return nil, fmt.Errorf("merge input %d: %w", i, cur.Err())
		}
	}
	if err := m.exemplars(inputs); err != nil {
		return nil, err
	}
	return m.enc.end()
}

// checkInputs returns the number of types of all inputs.
func checkInputs(inputs []Input, entries int) (int, error) {
	if len(inputs) == 0 {
		return 0, invalid("no inputs")
	}
	if entries < 0 || entries > MaxEntries {
		return 0, full("entries", entries, MaxEntries)
	}
	types, profiles, incidences := inputs[0].Chunk.types, 0, 0
	for i, in := range inputs {
		c := in.Chunk
		if c.types != types {
			return 0, invalid("input %d has %d types; the first has %d", i, c.types, types)
		}
		if len(in.Entries) != c.Entries() {
			return 0, invalid("input %d: map of %d entries; the chunk has %d", i, len(in.Entries), c.Entries())
		}
		for j, e := range in.Entries {
			if int(e) >= entries || j > 0 && e <= in.Entries[j-1] {
				return 0, invalid("input %d: entry %d becomes %d; must ascend and be less than %d", i, j, e, entries)
			}
		}
		for j, s := range c.columns.Profiles.Series {
			if int(s) >= len(in.Series) {
				return 0, invalid("input %d: map of %d series; profile %d is of series %d", i, len(in.Series), j, s)
			}
		}
		profiles += c.Profiles()
		incidences += c.incidences
	}
	if profiles > MaxProfiles {
		return 0, full("profiles", profiles, MaxProfiles)
	}
	if incidences > MaxIncidences {
		return 0, full("incidences", incidences, MaxIncidences)
	}
	return types, nil
}

func (m *Merger) open(inputs []Input) {
	for len(m.inputs) < len(inputs) {
		m.inputs = append(m.inputs, mergeInput{})
	}
	for i, in := range inputs {
		m.inputs[i].cursor.Reset(in.Chunk, All)
	}
}

// sort puts the profiles in order and fills in their columns.
func (m *Merger) sort(inputs []Input) {
	m.order = m.order[:0]
	for i, in := range inputs {
		m.inputs[i].ranks = resize(m.inputs[i].ranks, in.Chunk.Profiles())
		for j := range in.Chunk.Profiles() {
			p := in.Chunk.Profile(j)
			p.Series = in.Series[p.Series]
			m.order = append(m.order, mergeProfile{p, uint32(i), uint32(j)})
		}
	}
	slices.SortStableFunc(m.order, func(a, b mergeProfile) int {
		return cmp.Or(cmp.Compare(a.Series, b.Series), cmp.Compare(a.Time, b.Time), cmp.Compare(a.Duration, b.Duration))
	})
	c := &m.enc.columns.Profiles
	c.reset()
	for rank, p := range m.order {
		m.inputs[p.input].ranks[p.index] = uint32(rank)
		from := inputs[p.input].Chunk
		var totals [MaxTypes]int64
		for j := range from.types {
			totals[j] = from.columns.Profiles.Totals[j][p.index]
		}
		c.append(p.Profile, totals[:from.types], from.Events(int(p.index)))
	}
	m.present = resize(m.present, (len(m.order)+63)/64)
	clear(m.present)
	m.places = resize(m.places, len(m.order))
}

// link lists the inputs of each entry of the result.
func (m *Merger) link(inputs []Input, entries int) {
	m.heads = resize(m.heads, entries)
	for i := range m.heads {
		m.heads[i] = -1
	}
	n := 0
	for i, in := range inputs {
		m.inputs[i].first = n
		n += len(in.Entries)
	}
	m.nexts = resize(m.nexts, n)
	for i := len(inputs) - 1; i >= 0; i-- {
		for j, e := range inputs[i].Entries {
			m.nexts[m.inputs[i].first+j] = m.heads[e]
			m.heads[e] = int32(i)
		}
	}
}

// collect fills in with the incidences of an entry in all inputs.
func (m *Merger) collect(entry int) error {
	l := &m.in
	l.reset()
	for i := m.heads[entry]; i >= 0; {
		in := &m.inputs[i]
		cur := &in.cursor
		if !cur.Next() {
			return fmt.Errorf("merge input %d: %w", i, cur.Err())
		}
		from := cur.complete()
		for _, p := range from.profiles {
			l.profiles = append(l.profiles, in.ranks[p])
		}
		for j := range m.enc.types {
			l.values[j] = append(l.values[j], from.values[j]...)
		}
		l.counts = append(l.counts, from.counts...)
		l.minima = append(l.minima, from.minima...)
		l.maxima = append(l.maxima, from.maxima...)
		i = m.nexts[in.first+cur.entry]
	}
	return nil
}

// sorted returns in, ordered by profile.
func (m *Merger) sorted() *list {
	in, out := &m.in, &m.out
	n := len(in.profiles)
	if slices.IsSorted(in.profiles) {
		return in
	}
	out.reset()
	lowest, highest := ^uint32(0), uint32(0)
	for i, p := range in.profiles {
		m.present[p>>6] |= 1 << (p & 63)
		m.places[p] = uint32(i)
		lowest, highest = min(lowest, p), max(highest, p)
	}
	if words := highest>>6 - lowest>>6; int(words) > 16*n {
		// A few that are far apart: the words between them would be most of the work.
		for _, p := range in.profiles {
			m.present[p>>6] = 0
		}
		out.profiles = append(out.profiles, in.profiles...)
		slices.Sort(out.profiles)
	} else {
		for w := lowest >> 6; w <= highest>>6; w++ {
			for word := m.present[w]; word != 0; word &= word - 1 {
				out.profiles = append(out.profiles, w<<6|uint32(bits.TrailingZeros64(word)))
			}
			m.present[w] = 0
		}
	}
	out.counts, out.minima, out.maxima = resize(out.counts, n), resize(out.minima, n), resize(out.maxima, n)
	for j := range m.enc.types {
		out.values[j] = resize(out.values[j], n)
	}
	for i, p := range out.profiles {
		from := m.places[p]
		for j := range m.enc.types {
			out.values[j][i] = in.values[j][from]
		}
		out.counts[i], out.minima[i], out.maxima[i] = in.counts[from], in.minima[from], in.maxima[from]
	}
	return out
}

func (m *Merger) exemplars(inputs []Input) error {
	var all []placedExemplar
	for i, in := range inputs {
		err := in.Chunk.EachExemplar(func(at Place, x *Exemplar) error {
			if len(all) == MaxExemplars {
				return full("exemplars", len(all)+1, MaxExemplars)
			}
			all = append(all, placedExemplar{Place{in.Entries[at.Entry], m.inputs[i].ranks[at.Profile]}, *x})
			return nil
		})
		if err != nil {
			return fmt.Errorf("merge input %d: %w", i, err)
		}
	}
	s := &m.enc.columns.Streams
	s.Exemplars = appendExemplars(s.Exemplars, all, m.enc.columns.Profiles.Times)
	return nil
}
