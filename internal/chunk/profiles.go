package chunk

// blockEntries is how many entries of profiles are in memory at once while a chunk
// is taken apart, unless a single profile has more.
const blockEntries = 1 << 21

// Profiles calls f with each selected profile and its entries in ascending order,
// until it returns an error. The entries are valid until f returns. A nil selection
// is that of all profiles. Chunks of more than 2^21 incidences are decoded several
// times, so that only some of the profiles are in memory.
func (r *Reader) Profiles(c *Chunk, s *Selection, f func(profile int, entries []Entry) error) error {
	if err := s.of(c); err != nil {
		return err
	}
	if err := r.sizes(c, s); err != nil {
		return err
	}
	for from := 0; from < len(r.slots); {
		to, n := from, 0
		for ; to < len(r.slots); to++ {
			size := int(r.slots[to])
			if size >= 0 && n > 0 && n+size > blockEntries {
				break
			}
			n += max(size, 0)
		}
		if err := r.readBlock(c, from, to, n); err != nil {
			return err
		}
		first := 0
		for p := from; p < to; p++ {
			if r.slots[p] < 0 {
				continue
			}
			end := r.ends[p-from]
			if err := f(p, r.block[first:end:end]); err != nil {
				return err
			}
			first = end
		}
		from = to
	}
	return nil
}

// sizes fills slots with the number of entries of each profile, -1 for those that
// are not selected.
func (r *Reader) sizes(c *Chunk, s *Selection) error {
	r.slots = resize(r.slots, c.Profiles())
	for i := range r.slots {
		r.slots[i] = 0
	}
	cur := &r.cursor
	cur.Reset(c, 0)
	for cur.Next() {
		for _, p := range cur.list.profiles {
			r.slots[p]++
		}
	}
	if s != nil {
		for i, m := range s.mask {
			if m == 0 {
				r.slots[i] = -1
			}
		}
	}
	return cur.Err()
}

// readBlock fills block with the n entries of the selected profiles from and up to
// to, and ends with where each ends.
func (r *Reader) readBlock(c *Chunk, from, to, n int) error {
	r.block, r.ends = resize(r.block, n), resize(r.ends, to-from)
	at := 0
	for i := range r.ends {
		r.ends[i] = at // moves to the end while filling
		at += int(max(r.slots[from+i], 0))
	}
	cur := &r.cursor
	cur.Reset(c, All)
	for cur.Next() {
		l := cur.complete()
		for i, p := range l.profiles {
			if int(p) < from || int(p) >= to || r.slots[p] < 0 {
				continue
			}
			e := Entry{Index: uint32(cur.entry), Count: l.counts[i], Min: l.minima[i], Max: l.maxima[i]}
			for j := range c.types {
				e.Values[j] = l.values[j][i]
			}
			end := &r.ends[int(p)-from]
			r.block[*end] = e
			*end++
		}
	}
	return cur.Err()
}
