package chunk

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

var (
	errBitsEnd   = errors.New("ends within an entry")
	errPositions = errors.New("position is beyond the profiles")
)

// bitReader reads what bitWriter wrote.
type bitReader struct {
	b   []byte
	pos int // in bits
}

// offset returns the byte that is read next.
func (r *bitReader) offset() int { return r.pos >> 3 }

// atEnd reports whether all has been read but the zeros that fill the last byte.
func (r *bitReader) atEnd() bool {
	if r.pos+7 < len(r.b)*8 || r.pos > len(r.b)*8 {
		return false
	}
	return r.pos&7 == 0 || r.b[r.pos>>3]>>(r.pos&7) == 0
}

// ascending fills out with Rice-coded ascending positions below total.
func (r *bitReader) ascending(out []uint32, total int) error {
	k := riceParameter(total, len(out)) & 63
	mask := uint64(1)<<k - 1
	b, pos := r.b, r.pos
	safe := len(b) - 8 // the last byte that 64 bits can be read from
	next := uint64(0)
	for i := 0; i < len(out); {
		first := i
		if at := pos >> 3; at <= safe {
			// As many as there are in 64 bits. Zeros that were shifted in never
			// complete a number.
			w := binary.LittleEndian.Uint64(b[at:]) >> (pos & 7)
			left := 64 - uint(pos&7)
			for i < len(out) {
				q := uint(bits.TrailingZeros64(w))
				n := q + 1 + k
				if n > left {
					break
				}
				next += uint64(q)<<k | w>>((q+1)&63)&mask
				out[i] = uint32(next)
				next++
				i++
				w >>= n & 63
				left -= n
			}
			pos = at<<3 + 64 - int(left)
		}
		if i > first {
			continue
		}
		r.pos = pos
		v, err := r.rice(k, uint64(total)>>k)
		if err != nil {
			return err
		}
		pos = r.pos
		next += v
		out[i] = uint32(next)
		next++
		i++
	}
	r.pos = pos
	if next > uint64(total) {
		return errPositions
	}
	return nil
}

// rice reads one number bit by bit: one near the end or with a long quotient,
// which must not be above the limit.
func (r *bitReader) rice(k uint, limit uint64) (uint64, error) {
	var q uint64
	for {
		bit, ok := r.bit()
		if !ok {
			return 0, errBitsEnd
		}
		if bit == 1 {
			break
		}
		if q++; q > limit {
			return 0, errPositions
		}
	}
	v := q << k
	for i := range k {
		bit, ok := r.bit()
		if !ok {
			return 0, errBitsEnd
		}
		v |= bit << i
	}
	return v, nil
}

func (r *bitReader) bit() (uint64, bool) {
	at := r.pos >> 3
	if at >= len(r.b) {
		return 0, false
	}
	bit := r.b[at] >> (r.pos & 7) & 1
	r.pos++
	return uint64(bit), true
}

// complement fills out with the positions below total that are not among gaps,
// which are ascending.
func complement(out, gaps []uint32, total int) {
	next, i := uint32(0), 0
	for _, g := range gaps {
		for ; next < g; next++ {
			out[i] = next
			i++
		}
		next = g + 1
	}
	for ; next < uint32(total); next++ {
		out[i] = next
		i++
	}
}
