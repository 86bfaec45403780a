package symbol

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// Limits on compressed symbol tables. Those of distributions stay below 10 MiB.
const (
	maxDebugdata   = 32 << 20 // when unpacked
	maxDebugPacked = 16 << 20
	maxXZBlocks    = 64
)

var errDebugdata = errors.New("no xz stream that is understood")

// unpackDebugdata unpacks .gnu_debugdata: an ELF file with a symbol table,
// compressed by xz ("MiniDebugInfo" in the manual of GDB). It reads the
// container itself (The .xz File Format, version 1.2.1), because the memory
// that its headers ask for has to be bounded. Check sums are not verified: a
// wrong name is no worse than a wrong check sum.
func unpackDebugdata(b []byte, limit int) ([]byte, error) {
	if len(b) > maxDebugPacked {
		return nil, fmt.Errorf("unpack symbol table: %w: %d bytes, limit %d", errTooLarge, len(b), maxDebugPacked)
	}
	h, ok := sub(b, 0, 12)
	if !ok || string(h[:6]) != "\xfd7zXZ\x00" || h[6] != 0 || h[7] > 15 {
		return nil, errDebugdata
	}
	// Sizes of the checks by their number.
	check := []int{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}[h[7]]
	r := bytes.NewReader(b[12:])
	var out []byte
	for range maxXZBlocks {
		size, err := r.ReadByte()
		if err != nil {
			return nil, fmt.Errorf("unpack symbol table: %w", io.ErrUnexpectedEOF)
		}
		if size == 0 { // the index begins: no more blocks
			return out, nil
		}
		rest := make([]byte, 4*int(size)+3)
		if _, err := io.ReadFull(r, rest); err != nil {
			return nil, fmt.Errorf("unpack symbol table: %w", err)
		}
		dictionary, ok := xzDictionary(rest)
		if !ok {
			return nil, fmt.Errorf("%w: header of block % x", errDebugdata, rest)
		}
		start := r.Len()
		if out, err = appendLZMA2(out, r, min(dictionary, uint64(limit)), limit); err != nil {
			return nil, fmt.Errorf("unpack symbol table: %w", err)
		}
		padding := (start-r.Len()+3)&^3 - (start - r.Len())
		if _, err := r.Seek(int64(padding+check), io.SeekCurrent); err != nil {
			return nil, fmt.Errorf("unpack symbol table: %w", err)
		}
	}
	return nil, fmt.Errorf("unpack symbol table: %w: more than %d blocks", errTooLarge, maxXZBlocks)
}

// xzDictionary returns the size of the dictionary that a block with only the
// filter LZMA2 needs. h is its header behind the first byte.
func xzDictionary(h []byte) (uint64, bool) {
	flags := h[0]
	if flags&0x3f != 0 { // more filters, or bits that are reserved
		return 0, false
	}
	h = h[1:]
	for _, has := range []byte{0x40, 0x80} { // sizes, packed and unpacked
		if flags&has == 0 {
			continue
		}
		n := 0
		for n < len(h) && n < 9 && h[n]&0x80 != 0 {
			n++
		}
		h = h[min(n+1, len(h)):]
	}
	const lzma2 = 0x21
	if len(h) < 3 || h[0] != lzma2 || h[1] != 1 || h[2] > 40 {
		return 0, false
	}
	if h[2] == 40 {
		return 1<<32 - 1, true
	}
	return (2 | uint64(h[2]&1)) << (h[2]/2 + 11), true
}

// appendLZMA2 appends what a block unpacks to, at most so much that out has
// limit bytes. The decoder panics on some of what its authors thought
// impossible.
func appendLZMA2(out []byte, r *bytes.Reader, dictionary uint64, limit int) (_ []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errDebugdata, p)
		}
	}()
	d, err := lzma.Reader2Config{DictCap: int(max(dictionary, lzma.MinDictCap))}.NewReader2(r)
	if err != nil {
		return nil, err
	}
	w := bytes.NewBuffer(out)
	if _, err := io.Copy(w, io.LimitReader(d, int64(limit-len(out)+1))); err != nil {
		return nil, err
	}
	if w.Len() > limit {
		return nil, fmt.Errorf("%w: more than %d bytes", errTooLarge, limit)
	}
	return w.Bytes(), nil
}
