package profile

import "math"

// MaxValue is the largest magnitude of a value of a sample, and of the sums and
// counts of a [Group]: 2.3 years of waiting in nanoseconds, 64 PiB. It is above
// what is true of a few seconds of any program, and far enough below the bounds
// of an int64 that the totals of an hour, which the store adds up, stay clear of
// them.
const MaxValue = 1 << 56

// Add returns a+b, or the bound of an int64 that the sum is beyond.
func Add(a, b int64) int64 {
	sum := a + b
	if (a^sum)&(b^sum) < 0 { // both have the other sign
		if a < 0 {
			return math.MinInt64
		}
		return math.MaxInt64
	}
	return sum
}

// Sub returns a-b, or the bound of an int64 that the difference is beyond.
func Sub(a, b int64) int64 {
	d := a - b
	if (a^b)&(a^d) < 0 { // of other signs, and the difference has not that of a
		if a < 0 {
			return math.MinInt64
		}
		return math.MaxInt64
	}
	return d
}

// AddCount returns a+b, or the largest uint64 if the sum is beyond.
func AddCount(a, b uint64) uint64 {
	sum := a + b
	if sum < a {
		return math.MaxUint64
	}
	return sum
}

// AddValues adds b to a, value by value, as [Add] does.
func AddValues(a, b *[MaxTypes]int64) {
	for i, v := range b {
		a[i] = Add(a[i], v)
	}
}

// Bounded returns v, or the nearest value that a sample may have.
func Bounded(v int64) int64 { return min(max(v, -MaxValue), MaxValue) }

// add adds to a value, within [MaxValue].
func (e *Entry) add(slot int, v int64) { e.Values[slot] = Bounded(Add(e.Values[slot], v)) }

// count adds to the number of observations, within [MaxValue].
func (e *Entry) count(n uint64) { e.Count = min(AddCount(e.Count, n), MaxValue) }
