package chunk

import (
	"fmt"
	"slices"
)

// Fields are what a [Cursor] decodes beside the positions: bits for the value of
// each type, for the counts and for the extremes.
type Fields uint8

// Fields beside those of [Value].
const (
	Counts Fields = 1 << (MaxTypes + iota)
	Bounds
	// All is everything there is.
	All Fields = 1<<iota<<MaxTypes - 1
)

// Value is the field of a type, counted from 0.
func Value(column int) Fields { return 1 << column }

// Cursor decodes a chunk entry by entry. It checks what it reads: the places of
// all entries, that their values agree with the totals, and that the streams end
// with the last entry. The zero value is ready for [Cursor.Reset].
//
// Slices that it returns are valid until the next call of Next.
type Cursor struct {
	chunk  *Chunk
	fields Fields
	entry  int
	err    error
	modes  modes

	where  positionReader
	small  [MaxTypes + 1]positionReader
	values [MaxTypes]varints
	counts varints
	bounds boundsReader

	list     list
	same     [MaxTypes]bool // values of the entry are all equal and the first is there
	everyone []uint32       // 0, 1, 2 ...
}

// Reset puts the cursor before the first entry of a chunk. Further fields are
// decoded where those that are asked for depend on them.
func (c *Cursor) Reset(chunk *Chunk, fields Fields) {
	c.chunk, c.entry, c.err = chunk, -1, nil
	c.fields = closure(fields) & (Counts | Bounds | (1<<chunk.types - 1))
	c.modes = chunk.modes()
	s := &chunk.columns.Streams
	c.where.bits = bitReader{b: s.Positions}
	for i := range c.small {
		c.small[i].bits = bitReader{b: chunk.small[i]}
	}
	for j := range c.values {
		c.values[j] = varints{b: s.Values[j]}
	}
	c.counts = varints{b: s.Counts}
	c.bounds = boundsReader{minima: varints{b: s.Minima}, maxima: varints{b: s.Maxima}}
}

// closure adds what fields are coded with.
func closure(f Fields) Fields {
	if f&Bounds != 0 {
		f |= Counts
	}
	if f&Counts != 0 {
		f |= Value(0) | Value(1)
	}
	for j := range MaxTypes {
		if isDerived(j) && f&Value(j) != 0 {
			f |= Value(j - 1)
		}
	}
	return f
}

// Next moves to the next entry. It returns false at the end and if there was an
// error, see Err.
func (c *Cursor) Next() bool {
	if c.err != nil {
		return false
	}
	if c.entry++; c.entry >= c.chunk.Entries() {
		c.err = c.end()
		return false
	}
	n := int(c.chunk.columns.Entries.Profiles[c.entry])
	if err := c.positions(n); err != nil {
		c.err = corrupt("positions", c.entry, c.where.bits.offset(), "%w", err)
		return false
	}
	for j := range c.chunk.types {
		if c.fields&Value(j) == 0 {
			continue
		}
		if err := c.column(j, n); err != nil {
			c.err = corrupt(fmt.Sprintf("v%d", j), c.entry, c.values[j].off, "%w", err)
			return false
		}
	}
	if c.fields&Counts != 0 {
		if err := c.readCounts(n); err != nil {
			c.err = corrupt("counts", c.entry, c.counts.off, "%w", err)
			return false
		}
	}
	if c.fields&Bounds != 0 {
		c.list.minima, c.list.maxima = c.list.minima[:0], c.list.maxima[:0]
		c.Values(0)
		lowest, highest := c.chunk.Bounds(c.entry)
		if err := c.bounds.read(&c.list, c.modes.bounds(c.entry), n, lowest, highest); err != nil {
			c.err = corrupt("minima", c.entry, c.bounds.minima.off, "%w", err)
			return false
		}
	}
	return true
}

// Err returns the error that ended the entries, nil if all were read.
func (c *Cursor) Err() error { return c.err }

// Entry returns the index of the current entry.
func (c *Cursor) Entry() int { return c.entry }

// Profiles returns the profiles that the entry is in, in ascending order.
func (c *Cursor) Profiles() []uint32 { return c.list.profiles }

// Values returns the values of a type that was asked for, one for each of Profiles.
func (c *Cursor) Values(column int) []int64 {
	vs := c.list.values[column]
	if c.same[column] {
		c.same[column] = false
		for i := range vs {
			vs[i] = vs[0]
		}
	}
	return vs
}

// complete makes the values of all types as Values returns them.
func (c *Cursor) complete() *list {
	for j := range c.chunk.types {
		c.Values(j)
	}
	return &c.list
}

// Counts returns the numbers of observations, if they were asked for.
func (c *Cursor) Counts() []uint64 { return c.list.counts }

// Bounds returns the extremes, if they were asked for, see [NoMinimum].
func (c *Cursor) Bounds() (minima, maxima []int64) { return c.list.minima, c.list.maxima }

func (c *Cursor) positions(n int) (err error) {
	if n != c.chunk.Profiles() {
		c.list.profiles, err = c.where.read(n, c.chunk.Profiles())
		return err
	}
	for len(c.everyone) < n {
		c.everyone = append(c.everyone, uint32(len(c.everyone)))
	}
	c.list.profiles = c.everyone[:n]
	return nil
}

// column decodes the values of one type.
func (c *Cursor) column(j, n int) error {
	totals := &c.chunk.columns.Entries.Totals
	total := totals[j][c.entry]
	mode := c.modes.value(c.entry, j)
	out := resize(c.list.values[j], n)
	c.list.values[j] = out
	c.same[j] = mode == constant && n > 0
	if mode == constant {
		v, err := share(total, int64(n))
		if n > 0 {
			out[0] = v
		}
		return err
	}
	var s int64
	switch mode {
	case small:
		return readSmall(&c.small[j], out, total)
	case predicted:
		clear(out)
	default:
		var err error
		if s, err = c.values[j].zigzags(out); err != nil {
			return err
		}
	}
	if mode != coded {
		r := newRatio(totals[j-1][c.entry], total)
		for i, v := range c.Values(j - 1) {
			p := r.predict(v)
			out[i] += p
			s += p
		}
	}
	if s != total {
		return invalid("sum is %d; the total is %d", s, total)
	}
	return nil
}

func (c *Cursor) readCounts(n int) error {
	total := c.chunk.Count(c.entry)
	out := resize(c.list.counts, n)
	c.list.counts = out
	switch mode := c.modes.counts(c.entry); mode {
	case countConstant:
		v, err := share(total, uint64(n))
		for i := range out {
			out[i] = v
		}
		return err
	case countFirst, countSecond:
		for i, v := range c.Values(int(mode - countFirst)) {
			out[i] = uint64(v)
		}
	case countSmall:
		return readSmall(&c.small[CountColumn], out, total)
	default:
		for i := range out {
			var err error
			if out[i], err = c.counts.next(); err != nil {
				return err
			}
		}
	}
	var s uint64
	for _, v := range out {
		s += v
	}
	if s != total {
		return invalid("sum is %d; the total is %d", s, total)
	}
	return nil
}

// share returns the n-th part of the total.
func share[T int64 | uint64](total, n T) (T, error) {
	if n == 0 && total == 0 {
		return 0, nil
	}
	if n == 0 || total%n != 0 {
		return 0, invalid("%d profiles have the same value; the total is %d", n, total)
	}
	return total / n, nil
}

// end checks that the streams that were read are at their ends.
func (c *Cursor) end() error {
	last := c.entry - 1
	if !c.where.bits.atEnd() {
		return corrupt("positions", last, c.where.bits.offset(), "bits are left")
	}
	for i := range c.small {
		// Parts of types that the chunk does not have must be empty.
		unknown := i >= c.chunk.types && i != CountColumn
		if (unknown || c.fields&Value(i) != 0) && !c.small[i].bits.atEnd() {
			return corrupt("small", last, c.small[i].bits.offset(), "bits of part %d are left", i)
		}
	}
	type stream struct {
		fields Fields
		name   string
		r      *varints
	}
	streams := []stream{{Counts, "counts", &c.counts}, {Bounds, "minima", &c.bounds.minima}, {Bounds, "maxima", &c.bounds.maxima}}
	for j := range c.values {
		f := Value(j)
		if j >= c.chunk.types {
			f = 0 // must be empty
		}
		streams = append(streams, stream{f, fmt.Sprintf("v%d", j), &c.values[j]})
	}
	for _, s := range streams {
		if (s.fields == 0 || c.fields&s.fields != 0) && !s.r.atEnd() {
			return corrupt(s.name, last, s.r.off, "%d bytes are left", len(s.r.b)-s.r.off)
		}
	}
	return nil
}

// resize returns a slice of that length, with any content.
func resize[T any](s []T, n int) []T { return slices.Grow(s[:0], n)[:n] }
