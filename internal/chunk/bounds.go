package chunk

// bounds writes the extremes of a list and returns the mode.
func (e *encoder) bounds(l *list) byte {
	c, s := &e.columns.Entries, &e.columns.Streams
	lowest, highest := NoMinimum, NoMaximum
	unknown, singles, equal := 0, true, true
	for i, lo := range l.minima {
		hi := l.maxima[i]
		if lo > hi {
			unknown++
			continue
		}
		lowest, highest = min(lowest, lo), max(highest, hi)
		v := l.values[0][i]
		singles = singles && (l.count(i) != 1 || lo == v && hi == v)
	}
	c.Minima, c.Maxima = append(c.Minima, lowest), append(c.Maxima, highest)
	if lowest > highest {
		return boundsConstant
	}
	e.bounded = true
	for i, lo := range l.minima {
		if lo != lowest || l.maxima[i] != highest {
			equal = false
			break
		}
	}
	mode := byte(boundsCoded)
	switch {
	case equal:
		return boundsConstant
	case unknown > 0:
		mode = boundsMixed
	case singles:
		mode = boundsSingles
	}
	for i, lo := range l.minima {
		hi, v := l.maxima[i], l.values[0][i]
		switch {
		case mode == boundsSingles && l.count(i) == 1:
			continue
		case mode != boundsMixed:
		case lo > hi:
			s.Minima = append(s.Minima, boundsUnknown)
			continue
		case lo == v && hi == v:
			s.Minima = append(s.Minima, boundsValue)
			continue
		default:
			s.Minima = append(s.Minima, boundsGiven)
		}
		s.Minima = appendZigzag(s.Minima, lo)
		s.Maxima = appendVarint(s.Maxima, uint64(hi)-uint64(lo))
	}
	return mode
}

func (l *list) count(i int) uint64 {
	if len(l.counts) > 0 {
		return l.counts[i]
	}
	return uint64(l.values[0][i])
}

// boundsReader reads what encoder.bounds wrote.
type boundsReader struct{ minima, maxima varints }

// read appends the extremes of an entry to l, which has its values and counts.
func (r *boundsReader) read(l *list, mode byte, n int, lowest, highest int64) error {
	seenLow, seenHigh := NoMinimum, NoMaximum
	for i := range n {
		lo, hi := lowest, highest
		if mode != boundsConstant {
			var err error
			if lo, hi, err = r.one(mode, l.values[0][i], l.count(i)); err != nil {
				return err
			}
			if lo <= hi {
				seenLow, seenHigh = min(seenLow, lo), max(seenHigh, hi)
			}
		}
		l.minima, l.maxima = append(l.minima, lo), append(l.maxima, hi)
	}
	if mode != boundsConstant && (seenLow != lowest || seenHigh != highest) {
		return invalid("extremes are %d and %d; those of the entry are %d and %d", seenLow, seenHigh, lowest, highest)
	}
	return nil
}

func (r *boundsReader) one(mode byte, value int64, count uint64) (lo, hi int64, err error) {
	switch mode {
	case boundsSingles:
		if count == 1 {
			return value, value, nil
		}
	case boundsMixed:
		kind, err := r.minima.byte()
		switch {
		case err != nil:
			return 0, 0, err
		case kind == boundsUnknown:
			return NoMinimum, NoMaximum, nil
		case kind == boundsValue:
			return value, value, nil
		case kind != boundsGiven:
			return 0, 0, invalid("extremes begin with %d; the largest is %d", kind, boundsGiven)
		}
	}
	low, err := r.minima.next()
	if err != nil {
		return 0, 0, err
	}
	distance, err := r.maxima.next()
	if err != nil {
		return 0, 0, err
	}
	lo = unzigzag(low)
	if hi = int64(uint64(lo) + distance); hi < lo {
		return 0, 0, invalid("maximum is %d; it is below the minimum %d", hi, lo)
	}
	return lo, hi, nil
}
