package profile

import (
	"encoding/binary"
	"encoding/hex"

	"github.com/zeebo/xxh3"
)

// ID is a 128-bit content hash (XXH3-128). Frames, stacks, label sets and
// batches are known by their ID everywhere: equal content has an equal ID in
// every process, so nothing has to be coordinated to store it once. 128 bits
// make an accidental collision, which would show wrong data, negligible.
//
// The zero ID stands for "nothing": the empty stack, the empty label set.
type ID struct {
	Hi, Lo uint64
}

// IsZero reports whether id is the zero ID.
func (id ID) IsZero() bool { return id == ID{} }

// String returns id as 32 lower-case hexadecimal digits.
func (id ID) String() string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], id.Hi)
	binary.BigEndian.PutUint64(b[8:], id.Lo)
	return hex.EncodeToString(b[:])
}

// Compare orders ids by their 128-bit value; it returns -1, 0 or 1.
func (id ID) Compare(other ID) int {
	switch {
	case id.Hi < other.Hi || id.Hi == other.Hi && id.Lo < other.Lo:
		return -1
	case id == other:
		return 0
	}
	return 1
}

// HashBytes returns the ID of b. Callers that hash several fields must delimit
// them, as [AppendString] does.
func HashBytes(b []byte) ID {
	h := xxh3.Hash128(b)
	return ID{Hi: h.Hi, Lo: h.Lo}
}

// AppendString appends s to dst with its length in front, so that the
// concatenation of fields is unambiguous.
func AppendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// AppendID appends the 16 bytes of id to dst.
func AppendID(dst []byte, id ID) []byte {
	var b [16]byte
	putID(b[:], id)
	return append(dst, b[:]...)
}

// putID writes the 16 bytes of id to the begin of b.
func putID(b []byte, id ID) {
	binary.LittleEndian.PutUint64(b, id.Hi)
	binary.LittleEndian.PutUint64(b[8:], id.Lo)
}
