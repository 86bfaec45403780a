package chunk

import (
	"encoding/binary"
	"math/bits"
)

// riceParameter returns the number of low bits that are written as they are for n
// ascending positions below total: the best for geometric gaps of the mean
// (total-n)/n, whose logarithm is rounded at ln 2/√2 = 0.490129. It is part of the
// format and integer arithmetic for that reason. n must not be 0.
func riceParameter(total, n int) uint {
	return uint(bits.Len64(uint64(total-n) * 490_129 / (uint64(n) * 1_000_000)))
}

// bitWriter appends bits, the lowest first.
type bitWriter struct {
	b   []byte
	acc uint64
	n   uint // bits in acc, less than 32
}

func (w *bitWriter) reset() { w.b, w.acc, w.n = w.b[:0], 0, 0 }

// bits appends the low n bits of v, whose other bits are 0; n is at most 32.
func (w *bitWriter) bits(v uint64, n uint) {
	w.acc |= v << w.n
	if w.n += n; w.n >= 32 {
		w.b = binary.LittleEndian.AppendUint32(w.b, uint32(w.acc))
		w.acc >>= 32
		w.n -= 32
	}
}

// rice appends the quotient of v in unary (zeros and a one) and k bits of rest.
func (w *bitWriter) rice(v uint64, k uint) {
	q := v >> k
	for ; q >= 32; q -= 32 {
		w.bits(0, 32)
	}
	if uint(q)+1+k <= 32 {
		w.bits(1<<q|(v&(1<<k-1))<<(q+1), uint(q)+1+k)
		return
	}
	w.bits(1<<q, uint(q)+1)
	w.bits(v&(1<<k-1), k)
}

// flush fills the last byte with zeros.
func (w *bitWriter) flush() {
	for n := int(w.n); n > 0; n -= 8 {
		w.b = append(w.b, byte(w.acc))
		w.acc >>= 8
	}
	w.acc, w.n = 0, 0
}

// positions appends strictly ascending positions below total, or where they are
// more than half, the ones that are missing. All and none need no bits.
func (w *bitWriter) positions(ps []uint32, total int) {
	n := len(ps)
	switch {
	case n == 0 || n == total:
	case n > total/2:
		k := riceParameter(total, total-n)
		next, last := uint32(0), uint32(0) // expected position, one behind the last missing
		for _, p := range ps {
			for ; next < p; next++ {
				w.rice(uint64(next-last), k)
				last = next + 1
			}
			next = p + 1
		}
		for ; next < uint32(total); next++ {
			w.rice(uint64(next-last), k)
			last = next + 1
		}
	default:
		k := riceParameter(total, n)
		next := uint32(0)
		for _, p := range ps {
			w.rice(uint64(p-next), k)
			next = p + 1
		}
	}
}
