package pprofwire

import "math/bits"

// An entry says how many bits the code has (bits 0 to 7), how many more belong to it
// (8 to 12), what it is (13 to 15), and a value (16 to 31): the literal, the least
// length or offset, or where the table is in which the rest of the code is looked up.
// No code is 0.
type entry = uint32

const (
	isLiteral = 1 << 15
	isLink    = 1 << 14
	isEnd     = 1 << 13
	codeMask  = 0x3f
	extraMask = 0x1f
)

// maxCode is the length of the longest code.
const maxCode = 15

// Bits of the first tables. Those of longer codes have a table for the rest. There are
// at least two codes in each of these, which bounds their number.
const (
	literalBits    = 11
	offsetBits     = 8
	lengthBits     = 7 // no code of lengths is longer
	literalEntries = 1<<literalBits + maxLiterals/2<<(maxCode-literalBits)
	offsetEntries  = 1<<offsetBits + maxOffsets/2<<(maxCode-offsetBits)
)

// Symbols of each code, with some that only fixed codes have.
const (
	maxLiterals = 288
	maxOffsets  = 32
	endOfBlock  = 256
)

// codes are those of a block.
type codes struct {
	literals [literalEntries]entry
	offsets  [offsetEntries]entry
	lengths  [1 << lengthBits]entry
	of       [maxLiterals + maxOffsets]byte // the lengths of codes
	sorted   [maxLiterals]uint16
}

// literal returns the entry of the code that bits begin with.
func (c *codes) literal(bits uint64) entry {
	e := c.literals[bits&(1<<literalBits-1)]
	if e&isLink != 0 {
		e = c.literals[e>>16+uint32(bits>>literalBits)&(1<<(maxCode-literalBits)-1)]
	}
	return e
}

// offset is the same for offsets.
func (c *codes) offset(bits uint64) entry {
	e := c.offsets[bits&(1<<offsetBits-1)]
	if e&isLink != 0 {
		e = c.offsets[e>>16+uint32(bits>>offsetBits)&(1<<(maxCode-offsetBits)-1)]
	}
	return e
}

// The extra bits and least values of lengths, RFC 1951, 3.2.5; those of offsets
// follow a rule.
var (
	lengthExtra = [29]byte{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	lengthBase  = [29]uint16{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
)

// literalOf is the entry of a symbol of the first code, 0 for those that there are not.
func literalOf(symbol int) entry {
	switch {
	case symbol < endOfBlock:
		return entry(symbol)<<16 | isLiteral
	case symbol == endOfBlock:
		return isEnd
	case symbol-endOfBlock-1 < len(lengthBase):
		i := symbol - endOfBlock - 1
		return entry(lengthBase[i])<<16 | entry(lengthExtra[i])<<8
	}
	return 0
}

// offsetOf is the same for offsets.
func offsetOf(symbol int) entry {
	switch {
	case symbol < 4:
		return entry(symbol+1) << 16
	case symbol < 30:
		extra := symbol/2 - 1
		return entry(1+(2+symbol%2)<<extra)<<16 | entry(extra)<<8
	}
	return 0
}

func lengthOf(symbol int) entry { return entry(symbol)<<16 | isLiteral }

// table makes the table of the code whose symbols have codes of these lengths, 0 for
// those without one. It reports false if they are not those of a code: all codes must
// be used, but for a single one of one bit. With none at all, nothing can be decoded.
func (c *codes) table(to []entry, lengths []byte, first uint, of func(symbol int) entry) bool {
	var count, next [maxCode + 2]int
	for _, l := range lengths {
		count[l]++
	}
	count[0] = 0
	left := 1
	for l := 1; l <= maxCode; l++ {
		if left = left<<1 - count[l]; left < 0 {
			return false
		}
		next[l+1] = next[l] + count[l]
	}
	n := next[maxCode+1]
	if left > 0 && n > 0 && (n != 1 || count[1] != 1) {
		return false
	}
	for symbol, l := range lengths {
		if l != 0 {
			c.sorted[next[l]] = uint16(symbol)
			next[l]++
		}
	}
	clear(to[:1<<first])
	code, last, free := 0, 0, 1<<first
	for _, symbol := range c.sorted[:n] {
		l := int(lengths[symbol])
		code <<= l - last
		last = l
		reversed := int(bits.Reverse16(uint16(code)) >> (16 - l))
		code++
		e := of(int(symbol))
		if e != 0 {
			e |= entry(l)
		}
		table, at, size := to, reversed, uint(l)
		if size > first {
			link := &to[reversed&(1<<first-1)]
			if *link == 0 {
				*link = entry(free)<<16 | isLink
				clear(to[free : free+1<<(maxCode-first)])
				free += 1 << (maxCode - first)
			}
			table, at, size = to[*link>>16:][:1<<(maxCode-first)], reversed>>first, size-first
		} else {
			table = to[:1<<first]
		}
		for ; at < len(table); at += 1 << size {
			table[at] = e
		}
	}
	return true
}

// fixed makes the tables of the fixed codes.
func (c *codes) fixed() {
	for i := range c.of[:maxLiterals] {
		switch {
		case i < 144, i >= 280:
			c.of[i] = 8
		case i < 256:
			c.of[i] = 9
		default:
			c.of[i] = 7
		}
	}
	c.table(c.literals[:], c.of[:maxLiterals], literalBits, literalOf)
	for i := range maxOffsets {
		c.of[i] = 5
	}
	c.table(c.offsets[:], c.of[:maxOffsets], offsetBits, offsetOf)
}

// lengthOrder is the order in which the lengths of the code of lengths are written.
var lengthOrder = [19]byte{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// dynamic reads the codes of a block and makes their tables.
func (d *deflate) dynamic() error {
	c := &d.codes
	d.refill()
	literals, offsets, n := int(d.take(5))+257, int(d.take(5))+1, int(d.take(4))+4
	if literals > maxLiterals-2 || offsets > maxOffsets-2 {
		return d.corrupt("there are more codes than symbols")
	}
	lengths := c.of[:19]
	clear(lengths)
	for i := range n {
		if i%16 == 0 {
			d.refill()
		}
		lengths[lengthOrder[i]] = byte(d.take(3))
	}
	if !c.table(c.lengths[:], lengths, lengthBits, lengthOf) {
		return d.corrupt("the lengths of lengths are of no code")
	}
	lengths = c.of[:literals+offsets]
	for i := 0; i < len(lengths); {
		d.refill()
		e := c.lengths[d.bits&(1<<lengthBits-1)]
		if e == 0 {
			return d.corrupt("a code of a length is none")
		}
		d.take(uint(e & codeMask))
		symbol := byte(e >> 16)
		if symbol < 16 {
			lengths[i] = symbol
			i++
			continue
		}
		var repeated byte
		times := 0
		switch symbol {
		case 16:
			if i == 0 {
				return d.corrupt("a length is to be repeated before the first")
			}
			repeated, times = lengths[i-1], 3+int(d.take(2))
		case 17:
			times = 3 + int(d.take(3))
		default:
			times = 11 + int(d.take(7))
		}
		if times > len(lengths)-i {
			return d.corrupt("there are more lengths than codes")
		}
		for range times {
			lengths[i] = repeated
			i++
		}
	}
	if !c.table(c.literals[:], lengths[:literals], literalBits, literalOf) {
		return d.corrupt("the lengths of literals are of no code")
	}
	if !c.table(c.offsets[:], lengths[literals:], offsetBits, offsetOf) {
		return d.corrupt("the lengths of offsets are of no code")
	}
	return nil
}
