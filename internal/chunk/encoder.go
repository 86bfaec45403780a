package chunk

import "slices"

// list is the incidences of one entry, in ascending order of profiles.
type list struct {
	profiles []uint32
	values   [MaxTypes][]int64
	// counts is empty where all equal values[0], minima and maxima where none is
	// known.
	counts         []uint64
	minima, maxima []int64
}

func (l *list) reset() {
	l.profiles = l.profiles[:0]
	for i := range l.values {
		l.values[i] = l.values[i][:0]
	}
	l.counts, l.minima, l.maxima = l.counts[:0], l.minima[:0], l.maxima[:0]
}

// encoder writes the lists of a chunk, entry by entry.
type encoder struct {
	columns    Columns
	types      int
	positions  bitWriter
	modes      modes
	small      smallParts
	scratch    []uint32
	residuals  []int64
	incidences int
	counted    bool // Counts differ from Totals[0]
	bounded    bool // an extreme is known
}

// begin forgets the entries of the chunk before. The profiles' columns are not
// touched.
func (e *encoder) begin(types int) {
	e.types, e.incidences, e.counted, e.bounded = types, 0, false, false
	e.positions.reset()
	e.small.reset()
	e.modes.observations = e.modes.observations[:0]
	for i := range e.modes.values {
		e.modes.values[i] = e.modes.values[i][:0]
	}
	c, s := &e.columns.Entries, &e.columns.Streams
	c.Profiles, c.Counts, c.Minima, c.Maxima = c.Profiles[:0], c.Counts[:0], c.Minima[:0], c.Maxima[:0]
	for i := range c.Totals {
		c.Totals[i] = c.Totals[i][:0]
		s.Values[i] = s.Values[i][:0]
	}
	s.Head = append(s.Head[:0], Version, byte(types))
	s.Small, s.Counts, s.Minima, s.Maxima, s.Exemplars = s.Small[:0], s.Counts[:0], s.Minima[:0], s.Maxima[:0], s.Exemplars[:0]
}

func (e *encoder) add(l *list) {
	c := &e.columns.Entries
	n := len(l.profiles)
	e.incidences += n
	c.Profiles = append(c.Profiles, uint32(n))
	e.positions.positions(l.profiles, len(e.columns.Profiles.Times))
	var totals [MaxTypes]int64
	var values [len(e.modes.values)]byte
	for j := range e.types {
		totals[j] = sum(l.values[j])
		c.Totals[j] = append(c.Totals[j], totals[j])
		values[j/2] |= e.values(l.values[j], j, totals, l) << (j % 2 * 4)
	}
	for i := range planes(e.types) - 1 {
		e.modes.values[i] = append(e.modes.values[i], values[i])
	}
	e.modes.observations = append(e.modes.observations, e.counts(l, totals[0])|e.bounds(l)<<4)
}

// values writes those of one type and returns the mode.
func (e *encoder) values(vs []int64, j int, totals [MaxTypes]int64, l *list) byte {
	if isConstant(vs, totals[j]) {
		return constant
	}
	out := e.columns.Streams.Values[j]
	mode := byte(coded)
	if isDerived(j) {
		r := newRatio(totals[j-1], totals[j])
		plain, rest, differ := 0, 0, int64(0)
		e.residuals = e.residuals[:0]
		for i, v := range vs {
			d := v - r.predict(l.values[j-1][i])
			e.residuals = append(e.residuals, d)
			differ |= d
			plain += varintBytes(zigzag(v))
			rest += varintBytes(zigzag(d))
		}
		if differ == 0 {
			return predicted
		}
		if rest < plain {
			vs, mode = e.residuals, residual
		}
	}
	if mode == coded {
		var ok bool
		if e.scratch, ok = appendSmall(&e.small[j], e.scratch, vs, totals[j]); ok {
			return small
		}
	}
	for _, v := range vs {
		out = appendZigzag(out, v)
	}
	e.columns.Streams.Values[j] = out
	return mode
}

// counts writes the numbers of observations and returns the mode.
func (e *encoder) counts(l *list, total int64) byte {
	c := &e.columns.Entries
	if len(l.counts) == 0 {
		c.Counts = append(c.Counts, uint64(total))
		if isConstantCount(l.values[0], total) {
			return countConstant
		}
		return countFirst
	}
	var all uint64
	for _, n := range l.counts {
		all += n
	}
	c.Counts = append(c.Counts, all)
	e.counted = e.counted || all != uint64(total)
	switch {
	case isConstant(l.counts, all):
		return countConstant
	case countsEqual(l.counts, l.values[0]):
		return countFirst
	case e.types > 1 && countsEqual(l.counts, l.values[1]):
		return countSecond
	}
	var ok bool
	if e.scratch, ok = appendSmall(&e.small[CountColumn], e.scratch, l.counts, all); ok {
		return countSmall
	}
	for _, n := range l.counts {
		e.columns.Streams.Counts = appendVarint(e.columns.Streams.Counts, n)
	}
	return countCoded
}

// end completes the chunk. The totals of the profiles must be there by now.
func (e *encoder) end() (*Chunk, error) {
	e.positions.flush()
	s, entries, profiles := &e.columns.Streams, &e.columns.Entries, &e.columns.Profiles
	s.Positions = e.positions.b
	for i := range planes(e.types) - 1 {
		s.Head = append(s.Head, e.modes.values[i]...)
	}
	s.Head = append(s.Head, e.modes.observations...)
	s.Small = e.small.append(s.Small)
	out := &Chunk{columns: e.columns, types: e.types, incidences: e.incidences}
	if !e.counted {
		out.columns.Entries.Counts = nil
	}
	if !e.bounded {
		out.columns.Entries.Minima, out.columns.Entries.Maxima = nil, nil
	}
	if countsEqual(profiles.Events, profiles.Totals[0]) {
		out.columns.Profiles.Events = nil
	}
	var err error
	if out.small, err = splitSmall(s.Small); err != nil {
		return nil, err
	}
	if n := len(entries.Profiles); n > MaxEntries {
		return nil, full("entries", n, MaxEntries)
	}
	for _, stream := range s.all() {
		if n := len(*stream.bytes); n > MaxStreamBytes {
			return nil, full("bytes of stream "+stream.name, n, MaxStreamBytes)
		}
	}
	return out, nil
}

// isConstant reports whether every value is the total divided by their number.
func isConstant[T int64 | uint64](vs []T, total T) bool {
	if len(vs) == 0 {
		return true
	}
	n, v := T(len(vs)), vs[0]
	// The total is modulo 2^64.
	if total/n != v || total%n != 0 {
		return false
	}
	for _, x := range vs {
		if x != v {
			return false
		}
	}
	return true
}

// isConstantCount is isConstant for counts that are given as values.
func isConstantCount(vs []int64, total int64) bool {
	if len(vs) > 1 && (vs[0] < 0 || total < 0) { // other quotients than those of uint64
		n, v := uint64(len(vs)), uint64(vs[0])
		return uint64(total)/n == v && uint64(total)%n == 0 && !slices.ContainsFunc(vs, func(x int64) bool { return uint64(x) != v })
	}
	return isConstant(vs, total)
}

func countsEqual(counts []uint64, values []int64) bool {
	return slices.EqualFunc(counts, values, func(c uint64, v int64) bool { return c == uint64(v) })
}

func sum(vs []int64) int64 {
	var t int64
	for _, v := range vs {
		t += v
	}
	return t
}
