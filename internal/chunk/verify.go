package chunk

import "cmp"

// Verify reads all streams. It returns an error unless they are complete, end with
// the last entry and agree with the totals of entries and profiles, and unless the
// profiles are in order.
func (r *Reader) Verify(c *Chunk) error {
	for i := 1; i < c.Profiles(); i++ {
		a, b := c.Profile(i-1), c.Profile(i)
		if cmp.Or(cmp.Compare(a.Series, b.Series), cmp.Compare(a.Time, b.Time)) > 0 {
			return invalid("profile %d is not in order of series and time", i)
		}
	}
	// The sums over all types at once: columns of one profile are neighbours.
	sums := make([][MaxTypes + 1]int64, c.Profiles())
	cur := &r.cursor
	cur.Reset(c, All)
	for cur.Next() {
		l := cur.complete()
		for j := range c.types {
			for i, v := range l.values[j] {
				sums[l.profiles[i]][j] += v
			}
		}
		for i, n := range l.counts {
			sums[l.profiles[i]][CountColumn] += int64(n)
		}
	}
	if err := cur.Err(); err != nil {
		return err
	}
	for i := range sums {
		for j := range c.types {
			if got, want := sums[i][j], c.columns.Profiles.Totals[j][i]; got != want {
				return invalid("profile %d: sum of v%d is %d; the total is %d", i, j, got, want)
			}
		}
		if got, want := uint64(sums[i][CountColumn]), c.Events(i); got != want {
			return invalid("profile %d: sum of counts is %d; it has %d events", i, got, want)
		}
	}
	return c.EachExemplar(func(Place, *Exemplar) error { return nil })
}
