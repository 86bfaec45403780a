package pprofwire

import "fmt"

// Wire types of protobuf, https://protobuf.dev/programming-guides/encoding/.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// Functions that read return the position after what they read, or one of these.
const (
	badVarint   = -1
	badOverflow = -2
	badLength   = -3
	badWire     = -4
	badField    = -5
	badType     = -6
)

var badTexts = [...]string{
	-badVarint:   "the data ends within a number",
	-badOverflow: "a number has more than 64 bits",
	-badLength:   "a field is longer than what is left of its message",
	-badWire:     "a field has a wire type that protobuf does not have",
	-badField:    "a field has the number 0",
	-badType:     "a field has the wire type of another",
}

// wireError says what is wrong in the field at byte at of a message.
func wireError(message string, index, at, bad int) error {
	if index >= 0 {
		message = fmt.Sprintf("%s[%d]", message, index)
	}
	return invalid("%s, byte %d: %s", message, at, badTexts[-bad])
}

// varint reads a number at b[i]. It is too large to be inlined: where it is called
// for every byte, the number of one byte is read in place and [longVarint] called for
// others.
func varint(b []byte, i int) (v uint64, next int) {
	if i < len(b) && b[i] < 0x80 {
		return uint64(b[i]), i + 1
	}
	return longVarint(b, i)
}

func longVarint(b []byte, i int) (v uint64, next int) {
	if i+1 < len(b) && b[i+1] < 0x80 {
		return uint64(b[i]&0x7f) | uint64(b[i+1])<<7, i + 2
	}
	for shift := 0; i < len(b); shift += 7 {
		c := b[i]
		i++
		if shift == 63 && c > 1 {
			return 0, badOverflow
		}
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v, i
		}
	}
	return 0, badVarint
}

// span reads the length at b[i] and returns where the bytes that follow begin and
// end. An end below 0 is an error.
func span(b []byte, i int) (start, end int) {
	n, start := varint(b, i)
	if start < 0 {
		return 0, start
	}
	if n > uint64(len(b)-start) {
		return 0, badLength
	}
	return start, start + int(n)
}

// skip returns the end of the field with that tag, whose content begins at b[i].
func skip(b []byte, i int, tag uint64) (next int) {
	if tag>>3 == 0 {
		return badField
	}
	size := 0
	switch tag & 7 {
	case wireVarint:
		_, next = varint(b, i)
		return next
	case wireBytes:
		_, next = span(b, i)
		return next
	case wireFixed64:
		size = 8
	case wireFixed32:
		size = 4
	default:
		return badWire
	}
	if size > len(b)-i {
		return badLength
	}
	return i + size
}

// skipOther is skip for fields that have a number above known: others should have
// been decoded, so they have a wrong wire type.
func skipOther(b []byte, i int, tag, known uint64) (next int) {
	next = skip(b, i, tag)
	if next >= 0 && tag>>3 <= known {
		return badType
	}
	return next
}

// scalars decodes a message whose known fields all are numbers: field n goes to
// to[n]. at is the position of the field where next is an error.
func scalars(b []byte, i int, to []uint64) (at, next int) {
	for i < len(b) {
		at = i
		tag := uint64(b[i])
		if i++; tag >= 0x80 {
			if tag, i = longVarint(b, at); i < 0 {
				return at, i
			}
		}
		n := tag >> 3
		switch {
		case tag&7 != wireVarint || n-1 >= uint64(len(to)-1):
			i = skipOther(b, i, tag, uint64(len(to)-1))
		case i < len(b) && b[i] < 0x80:
			to[n] = uint64(b[i])
			i++
		default:
			to[n], i = longVarint(b, i)
		}
		if i < 0 {
			return at, i
		}
	}
	return at, i
}
