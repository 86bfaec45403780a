package chunk

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

var errVarint = errors.New("varint is cut off or has more than 64 bits")

func zigzag(v int64) uint64   { return uint64(v)<<1 ^ uint64(v>>63) }
func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

// varintBytes is the length of a varint.
func varintBytes(u uint64) int { return (bits.Len64(u|1) + 6) / 7 }

func appendZigzag(b []byte, v int64) []byte {
	return appendVarint(b, zigzag(v))
}

// varints reads a stream.
type varints struct {
	b   []byte
	off int
}

func (r *varints) atEnd() bool { return r.off == len(r.b) }

func (r *varints) next() (uint64, error) {
	u, n := binary.Uvarint(r.b[r.off:])
	if n <= 0 {
		return 0, errVarint
	}
	r.off += n
	return u, nil
}

func (r *varints) byte() (byte, error) {
	if r.off >= len(r.b) {
		return 0, errVarint
	}
	r.off++
	return r.b[r.off-1], nil
}

// zigzags fills out and returns its sum.
func (r *varints) zigzags(out []int64) (sum int64, err error) {
	b, off := r.b, r.off
	for i := 0; i < len(out); {
		if len(out)-i >= 8 && off+8 <= len(b) {
			// Most values are one byte: eight at once.
			if w := binary.LittleEndian.Uint64(b[off:]); w&0x8080808080808080 == 0 {
				o := out[i : i+8 : i+8]
				o[0] = unzigzag(w & 0x7f)
				o[1] = unzigzag(w >> 8 & 0x7f)
				o[2] = unzigzag(w >> 16 & 0x7f)
				o[3] = unzigzag(w >> 24 & 0x7f)
				o[4] = unzigzag(w >> 32 & 0x7f)
				o[5] = unzigzag(w >> 40 & 0x7f)
				o[6] = unzigzag(w >> 48 & 0x7f)
				o[7] = unzigzag(w >> 56)
				sum += o[0] + o[1] + o[2] + o[3] + o[4] + o[5] + o[6] + o[7]
				i += 8
				off += 8
				continue
			}
		}
		if off < len(b) && b[off] < 0x80 {
			out[i] = unzigzag(uint64(b[off]))
			sum += out[i]
			off++
			i++
			continue
		}
		u, n := binary.Uvarint(b[off:])
		if n <= 0 {
			r.off = off
			return 0, errVarint
		}
		out[i] = unzigzag(u)
		sum += out[i]
		off += n
		i++
	}
	r.off = off
	return sum, nil
}

func appendVarint(b []byte, u uint64) []byte {
	if u < 0x80 {
		return append(b, byte(u))
	}
	return binary.AppendUvarint(b, u)
}
