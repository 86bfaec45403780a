package jfr

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// reader reads the primitive values of a recording. The first error stays.
type reader struct {
	data []byte
	pos  int
	// budget bounds the values read: some take no bytes, and a file can ask for any
	// number of those.
	budget int
	err    error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("at byte %d of the chunk: %s", r.pos, fmt.Sprintf(format, args...))
	}
}

// step accounts for a value and reports whether to go on.
func (r *reader) step() bool {
	if r.budget--; r.budget < 0 {
		r.fail("there are more values than a file of this size can have")
	}
	return r.err == nil
}

func (r *reader) byte() byte {
	if r.err != nil || r.pos >= len(r.data) {
		r.fail("the recording ends too early")
		return 0
	}
	b := r.data[r.pos]
	r.pos++
	return b
}

// long reads an integer of 7 bits a byte, the lowest first, of which the ninth byte
// has 8.
func (r *reader) long() uint64 {
	var v uint64
	for shift := 0; shift < 56; shift += 7 {
		b := r.byte()
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
	return v | uint64(r.byte())<<56
}

// count reads a number of values that take at least so many bytes each.
func (r *reader) count(size int) int {
	n := r.long()
	if rest := len(r.data) - r.pos; size > 0 && n > uint64(rest/size) || n > uint64(max(r.budget, 0)) {
		r.fail("there should be %d values in the %d bytes that are left", n, rest)
		return 0
	}
	return int(n)
}

func (r *reader) skip(n int) {
	if r.err == nil && n > len(r.data)-r.pos {
		r.fail("the recording ends too early")
	}
	if r.err == nil {
		r.pos += n
	}
}

// Encodings of strings.
const (
	null = iota
	empty
	constant
	utf8Bytes
	chars
	latin1
)

func (r *reader) string() string {
	switch encoding := r.byte(); encoding {
	case null, empty:
	case constant:
		r.long() // of a pool of strings, which nothing that we read uses
	case utf8Bytes:
		return strings.ToValidUTF8(string(r.bytes()), "\ufffd")
	case chars:
		var b strings.Builder
		for n := r.count(1); n > 0 && r.err == nil; n-- {
			if c := r.long(); c <= utf8.MaxRune {
				b.WriteRune(rune(c))
			}
		}
		return b.String()
	case latin1:
		var b strings.Builder
		for _, c := range r.bytes() {
			b.WriteRune(rune(c))
		}
		return b.String()
	default:
		r.fail("a string has the unknown encoding %d", encoding)
	}
	return ""
}

func (r *reader) bytes() []byte {
	n := r.count(1)
	first := r.pos
	r.skip(n)
	if r.err != nil {
		return nil
	}
	return r.data[first:r.pos]
}
