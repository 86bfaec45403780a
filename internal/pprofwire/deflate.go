package pprofwire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// This file decodes DEFLATE, RFC 1951, from one piece of memory into another. The
// readers of the libraries take bytes one after another and write through a window,
// since they know neither where their input ends nor how long it all is. That takes
// more time than all that is done with a profile afterwards.

// outputRoom is what must be free behind the output before a step of decoding: two
// literals, the longest match, and what is written beyond its end.
const outputRoom = 2 + 258 + 8

var errCorrupt = errors.New("flate: corrupt input")

// deflate decodes streams. Between them, it keeps its memory.
type deflate struct {
	in   []byte
	at   int    // next byte of in; beyond its end, zeros are read
	bits uint64 // that come next, the lowest first
	n    uint   // how many of them count

	out   []byte
	limit int // of out
	first int // where the stream's output begins

	codes codes
}

// refill makes at least 56 bits be there.
func (d *deflate) refill() {
	if d.at+8 <= len(d.in) {
		d.bits |= binary.LittleEndian.Uint64(d.in[d.at:]) << d.n
		d.at += int(63-d.n) >> 3
		d.n |= 56
		return
	}
	for d.n <= 56 {
		if d.at < len(d.in) {
			d.bits |= uint64(d.in[d.at]) << d.n
		}
		d.at++
		d.n += 8
	}
}

// take returns the next bits, at most 56 since the last refill.
func (d *deflate) take(n uint) uint64 {
	v := d.bits & (1<<n - 1)
	d.bits >>= n
	d.n -= n
	return v
}

// ended reports whether more was read than there is.
func (d *deflate) ended() bool { return d.at-int(d.n>>3) > len(d.in) }

// stream decodes one stream.
func (d *deflate) stream() error {
	d.bits, d.n, d.first = 0, 0, len(d.out)
	for last := false; !last; {
		d.refill()
		last = d.take(1) == 1
		var err error
		switch d.take(2) {
		case 0:
			err = d.stored()
		case 1:
			d.codes.fixed()
			err = d.block()
		case 2:
			if err = d.dynamic(); err == nil {
				err = d.block()
			}
		default:
			err = d.corrupt("a block has type 3")
		}
		if d.ended() {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
	}
	d.at -= int(d.n >> 3)
	return nil
}

func (d *deflate) corrupt(what string) error {
	return fmt.Errorf("%w before byte %d: %s", errCorrupt, min(d.at, len(d.in)), what)
}

// stored copies a block that is not compressed.
func (d *deflate) stored() error {
	d.at -= int(d.n >> 3)
	d.bits, d.n = 0, 0
	if d.at+4 > len(d.in) {
		return io.ErrUnexpectedEOF
	}
	n := int(binary.LittleEndian.Uint16(d.in[d.at:]))
	if uint16(n) != ^binary.LittleEndian.Uint16(d.in[d.at+2:]) {
		return d.corrupt("a length differs from its complement")
	}
	d.at += 4
	if n > len(d.in)-d.at {
		return io.ErrUnexpectedEOF
	}
	if err := d.reserve(n); err != nil {
		return err
	}
	d.out = append(d.out, d.in[d.at:d.at+n]...)
	d.at += n
	return nil
}

// reserve makes room for n bytes and outputRoom. It may be called at the limit, which
// is checked when there is more.
func (d *deflate) reserve(n int) error {
	if len(d.out) > d.limit || n > 0 && len(d.out)+n > d.limit {
		return tooLarge("the inflated profile has more than %d bytes", d.limit)
	}
	if need := len(d.out) + n + outputRoom; need > cap(d.out) {
		bigger := make([]byte, len(d.out), max(need, min(2*cap(d.out), d.limit+outputRoom)))
		copy(bigger, d.out)
		d.out = bigger
	}
	return nil
}

// block decodes the symbols of a block.
func (d *deflate) block() error {
	codes := &d.codes
	in, at, bits, n := d.in, d.at, d.bits, d.n
	out, o := d.out[:cap(d.out)], len(d.out)
	bad := ""
	for bad == "" {
		if len(out)-o < outputRoom {
			d.out = out[:o]
			if err := d.reserve(0); err != nil {
				return err
			}
			out = d.out[:cap(d.out)]
		}
		if at+8 <= len(in) {
			bits |= binary.LittleEndian.Uint64(in[at:]) << n
			at += int(63-n) >> 3
			n |= 56
		} else {
			d.at, d.bits, d.n = at, bits, n
			if d.refill(); d.ended() {
				return io.ErrUnexpectedEOF
			}
			at, bits, n = d.at, d.bits, d.n
		}
		e := codes.literal(bits)
		if e&isLiteral != 0 {
			out[o] = byte(e >> 16)
			o++
			bits >>= e & codeMask
			n -= uint(e & codeMask)
			// Another one: no more bits are needed for it.
			e = codes.literal(bits)
			if e&isLiteral != 0 {
				out[o] = byte(e >> 16)
				o++
				bits >>= e & codeMask
				n -= uint(e & codeMask)
				continue
			}
		}
		bits >>= e & codeMask
		n -= uint(e & codeMask)
		if e&isEnd != 0 {
			break
		}
		if e == 0 {
			bad = "a code of a literal or length is none"
			break
		}
		extra := e >> 8 & extraMask
		length := int(e>>16) + int(bits&(1<<extra-1))
		bits >>= extra
		n -= uint(extra)
		if at+8 <= len(in) {
			bits |= binary.LittleEndian.Uint64(in[at:]) << n
			at += int(63-n) >> 3
			n |= 56
		} else {
			d.at, d.bits, d.n = at, bits, n
			d.refill()
			at, bits, n = d.at, d.bits, d.n
		}
		e = codes.offset(bits)
		if e == 0 {
			bad = "a code of an offset is none"
			break
		}
		bits >>= e & codeMask
		n -= uint(e & codeMask)
		extra = e >> 8 & extraMask
		offset := int(e>>16) + int(bits&(1<<extra-1))
		bits >>= extra
		n -= uint(extra)
		if offset > o-d.first {
			bad = "an offset is beyond the begin"
			break
		}
		repeat(out, o, offset, length)
		o += length
	}
	d.out, d.at, d.bits, d.n = out[:o], at, bits, n
	if bad != "" {
		return d.corrupt(bad)
	}
	return d.reserve(0)
}

// repeat writes length bytes at out[o] that are those from offset before. It may
// write 7 bytes more.
func repeat(out []byte, o, offset, length int) {
	switch {
	case offset >= 8:
		for end := o + length; o < end; o += 8 {
			binary.LittleEndian.PutUint64(out[o:], binary.LittleEndian.Uint64(out[o-offset:]))
		}
	default:
		for end := o + length; o < end; o++ {
			out[o] = out[o-offset]
		}
	}
}
