package chunk

// Most values are 1, and most others not much more. What they have beyond 1 is a
// number of units spread over the profiles: a multiset of the places of profiles in
// their list. With i added to its i-th element it is a set, of which the total says
// how many there are, and is written as the positions of an entry are. If units fall
// at random this is as short as it can be, and it is quick to read: the ones cost
// nothing.

// maxSmall is the largest mean of what is beyond 1. Above it, values are rather
// near a mean than spread at random. It is part of the format, as it bounds the
// memory of readers.
const maxSmall = 2

// units returns how many units values with a total have beyond 1, and whether that
// is few enough.
func units(total int64, n int) (int, bool) {
	e := total - int64(n)
	return int(e), n > 1 && total > 0 && e > 0 && e <= maxSmall*int64(n)
}

// appendSmall writes values, if they are of that kind.
func appendSmall[T int64 | uint64](w *bitWriter, buf []uint32, vs []T, total T) ([]uint32, bool) {
	n, ok := units(int64(total), len(vs))
	if !ok {
		return buf, false
	}
	buf = buf[:0]
	for i, v := range vs {
		if v < 1 || v-1 > T(n-len(buf)) {
			return buf, false
		}
		for ; v > 1; v-- {
			buf = append(buf, uint32(i+len(buf)))
		}
	}
	w.positions(buf, len(vs)+n-1)
	return buf, true
}

// positionReader reads lists of positions and keeps its memory.
type positionReader struct {
	bits        bitReader
	found, gaps []uint32
}

// read returns n of total positions, until the next call; n is less than total.
func (r *positionReader) read(n, total int) ([]uint32, error) {
	if n <= total/2 {
		r.found = resize(r.found, n)
		if n == 0 {
			return r.found, nil
		}
		return r.found, r.bits.ascending(r.found, total)
	}
	r.gaps = resize(r.gaps, total-n)
	if err := r.bits.ascending(r.gaps, total); err != nil {
		return nil, err
	}
	r.found = resize(r.found, n)
	complement(r.found, r.gaps, total)
	return r.found, nil
}

// readSmall fills out with what appendSmall wrote.
func readSmall[T int64 | uint64](r *positionReader, out []T, total T) error {
	n, ok := units(int64(total), len(out))
	if !ok {
		return invalid("%d values from 1 on have a total of %d; their mean must be above 1 and at most %d", len(out), total, maxSmall+1)
	}
	ps, err := r.read(n, len(out)+n-1)
	if err != nil {
		return err
	}
	for i := range out {
		out[i] = 1
	}
	for i, p := range ps {
		out[int(p)-i]++
	}
	return nil
}

// smallParts are the lists of each type, and of counts at [CountColumn].
type smallParts [MaxTypes + 1]bitWriter

func (p *smallParts) reset() {
	for i := range p {
		p[i].reset()
	}
}

// append writes the parts one after the other behind their lengths, nothing if all
// are empty.
func (p *smallParts) append(out []byte) []byte {
	n := 0
	for i := range p {
		p[i].flush()
		n += len(p[i].b)
	}
	if n == 0 {
		return out
	}
	for i := range p {
		out = appendVarint(out, uint64(len(p[i].b)))
	}
	for i := range p {
		out = append(out, p[i].b...)
	}
	return out
}

// splitSmall returns the parts.
func splitSmall(b []byte) (parts [MaxTypes + 1][]byte, err error) {
	if len(b) == 0 {
		return parts, nil
	}
	r := varints{b: b}
	var sizes [len(parts)]uint64
	for i := range sizes {
		if sizes[i], err = r.next(); err != nil {
			return parts, corrupt("small", 0, r.off, "%w", err)
		}
	}
	rest := b[r.off:]
	for i, n := range sizes {
		if n > uint64(len(rest)) {
			return parts, corrupt("small", 0, r.off, "part %d has %d bytes; %d are left", i, n, len(rest))
		}
		parts[i], rest = rest[:n:n], rest[n:]
	}
	if len(rest) > 0 {
		return parts, corrupt("small", 0, len(b)-len(rest), "%d bytes are left", len(rest))
	}
	return parts, nil
}
