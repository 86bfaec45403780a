package symbol

import (
	"bytes"
	"encoding/binary"
)

var le = binary.LittleEndian

// sub returns size bytes of b from off, or false if they are not all there.
func sub(b []byte, off, size uint64) ([]byte, bool) {
	if off > uint64(len(b)) || size > uint64(len(b))-off {
		return nil, false
	}
	return b[off : off+size : off+size], true
}

// maxName bounds the length of a symbol's name in a file.
const maxName = 4096

// cstring returns the string that starts at off and ends with a zero byte,
// without the latter. Longer ones are cut off at maxName. It aliases b.
func cstring(b []byte, off uint64) []byte {
	if off >= uint64(len(b)) {
		return nil
	}
	b = b[off:min(off+maxName, uint64(len(b)))]
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return b
}

func u32(b []byte, off uint64) (uint32, bool) {
	s, ok := sub(b, off, 4)
	if !ok {
		return 0, false
	}
	return le.Uint32(s), true
}

func u64(b []byte, off uint64) (uint64, bool) {
	s, ok := sub(b, off, 8)
	if !ok {
		return 0, false
	}
	return le.Uint64(s), true
}
