package chunk

// Reader reads chunks; it keeps its memory from one to the next. The zero value is
// ready to use. It is not safe for concurrent use.
type Reader struct {
	cursor Cursor
	slots  []int32
	ends   []int
	block  []Entry
}

// CountColumn is the column of the numbers of observations, for [Reader.Sum] and
// [Reader.SumBy]. Their sums come as int64, modulo 2^64.
const CountColumn = MaxTypes

func columnField(c *Chunk, column int) (Fields, error) {
	if column == CountColumn {
		return Counts, nil
	}
	if column < 0 || column >= c.types {
		return 0, invalid("column is %d; the chunk has %d types", column, c.types)
	}
	return Value(column), nil
}

// Sum adds the sum of each entry over the selected profiles to dst, which has an
// element for each entry. A nil selection is that of all profiles: their sums are
// the totals, and nothing is decoded.
func (r *Reader) Sum(c *Chunk, column int, s *Selection, dst []int64) error {
	f, err := columnField(c, column)
	if err == nil {
		err = s.of(c)
	}
	if err != nil {
		return err
	}
	if len(dst) != c.Entries() {
		return invalid("%d sums; the chunk has %d entries", len(dst), c.Entries())
	}
	switch {
	case s.all() && column == CountColumn:
		for i := range dst {
			dst[i] += int64(c.Count(i))
		}
		return nil
	case s.all():
		for i, t := range c.columns.Entries.Totals[column] {
			dst[i] += t
		}
		return nil
	case s.n == 0:
		return nil
	}
	cur := &r.cursor
	cur.Reset(c, f)
	for cur.Next() {
		dst[cur.entry] += cur.masked(column, s.mask)
	}
	return cur.Err()
}

// masked returns the sum of a column over the profiles of the mask.
func (c *Cursor) masked(column int, mask []int64) int64 {
	var sum int64
	ps := c.list.profiles
	if column == CountColumn {
		for i, v := range c.list.counts {
			sum += int64(v) & mask[ps[i]]
		}
		return sum
	}
	vs := c.list.values[column]
	if c.same[column] {
		for _, p := range ps {
			sum -= mask[p]
		}
		return sum * vs[0]
	}
	ps = ps[:len(vs)]
	for i, v := range vs {
		sum += v & mask[ps[i]]
	}
	return sum
}

// SumBy adds the sum over the entries for which include is true to the element of
// dst that groups says for each profile; a profile whose group is negative is left
// out. A nil include stands for all entries: their sums are the totals of the
// profiles, and nothing is decoded.
func (r *Reader) SumBy(c *Chunk, column int, groups []int32, include func(entry int) bool, dst []int64) error {
	f, err := columnField(c, column)
	if err != nil {
		return err
	}
	if len(groups) != c.Profiles() {
		return invalid("groups of %d profiles; the chunk has %d", len(groups), c.Profiles())
	}
	for i, g := range groups {
		if int(g) >= len(dst) {
			return invalid("profile %d is in group %d; there are %d", i, g, len(dst))
		}
	}
	if include == nil {
		for i, g := range groups {
			switch {
			case g < 0:
			case column == CountColumn:
				dst[g] += int64(c.Events(i))
			default:
				dst[g] += c.columns.Profiles.Totals[column][i]
			}
		}
		return nil
	}
	cur := &r.cursor
	cur.Reset(c, f)
	for cur.Next() {
		if !include(cur.entry) {
			continue
		}
		var values []int64
		if column != CountColumn {
			values = cur.Values(column)
		}
		for i, p := range cur.list.profiles {
			g := groups[p]
			switch {
			case g < 0:
			case column == CountColumn:
				dst[g] += int64(cur.list.counts[i])
			default:
				dst[g] += values[i]
			}
		}
	}
	return cur.Err()
}

// Bounds lowers minima and raises maxima of each entry to those over the selected
// profiles. Begin with [NoMinimum] and [NoMaximum].
func (r *Reader) Bounds(c *Chunk, s *Selection, minima, maxima []int64) error {
	if err := s.of(c); err != nil {
		return err
	}
	if n := c.Entries(); len(minima) != n || len(maxima) != n {
		return invalid("%d minima and %d maxima; the chunk has %d entries", len(minima), len(maxima), n)
	}
	add := func(i int, lo, hi int64) {
		if lo <= hi {
			minima[i], maxima[i] = min(minima[i], lo), max(maxima[i], hi)
		}
	}
	if s.all() {
		for i := range minima {
			lo, hi := c.Bounds(i)
			add(i, lo, hi)
		}
		return nil
	}
	if len(c.columns.Entries.Minima) == 0 || s.n == 0 {
		return nil
	}
	cur := &r.cursor
	cur.Reset(c, Bounds)
	for cur.Next() {
		for i, p := range cur.list.profiles {
			if s.mask[p] != 0 {
				add(cur.entry, cur.list.minima[i], cur.list.maxima[i])
			}
		}
	}
	return cur.Err()
}
