package chunkreader

import (
	"math"
	"math/big"
)

// exactSums adds up numbers in place. They are told by settle.
type exactSums map[*int64]*big.Int

func (s exactSums) add(to *int64, v int64) {
	if s[to] == nil {
		s[to] = big.NewInt(0)
	}
	s[to].Add(s[to], big.NewInt(v))
}

// settle fills in all sums, or the bound that one is beyond.
func (s exactSums) settle() {
	for to, sum := range s {
		switch {
		case sum.IsInt64():
			*to = sum.Int64()
		case sum.Sign() < 0:
			*to = math.MinInt64
		default:
			*to = math.MaxInt64
		}
	}
}
