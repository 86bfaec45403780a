package chunk

import "math/bits"

// ratio predicts the values of a type from those of the one before, by the ratio
// of their totals: bytes from objects, nanoseconds from samples. It is integer
// arithmetic and part of the format: with |derived|/|base| = m/2^shift, rounded
// down to 64 significant bits, a value is predicted as |v|·m/2^shift, rounded to
// the nearest, half up, modulo 2^64, with the sign of the product of the three.
type ratio struct {
	m        uint64
	shift    uint // up to 126
	negative bool
}

func newRatio(base, derived int64) ratio {
	if base == 0 || derived == 0 {
		return ratio{}
	}
	a, b := magnitude(derived), magnitude(base)
	la, lb := bits.LeadingZeros64(a), bits.LeadingZeros64(b)
	a, b = a<<la, b<<lb
	// a/2 is less than b, so that the quotient fits.
	m, _ := bits.Div64(a>>1, a<<63, b)
	return ratio{m: m, shift: uint(63 + la - lb), negative: (base < 0) != (derived < 0)}
}

func (r ratio) predict(v int64) int64 {
	hi, lo := bits.Mul64(magnitude(v), r.m)
	var carry uint64
	if s := r.shift; s > 64 {
		hi += 1 << (s - 65)
		lo = hi >> (s - 64)
	} else if s > 0 {
		lo, carry = bits.Add64(lo, 1<<(s-1), 0)
		lo = lo>>s | (hi+carry)<<(64-s)
	}
	if r.negative != (v < 0) {
		return -int64(lo)
	}
	return int64(lo)
}

func magnitude(v int64) uint64 {
	if v < 0 {
		return -uint64(v)
	}
	return uint64(v)
}
