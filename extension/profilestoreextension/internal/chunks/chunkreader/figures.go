package chunkreader

import (
	"math"
	"slices"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// figures are the sums of some observations, as they are told: a sum that is beyond an
// int64 is the bound.
type figures struct {
	values [profile.MaxTypes]int64
	count  uint64
	lo, hi int64
}

// none are the figures of no observation.
func none() figures { return figures{lo: layout.NoMinimum, hi: layout.NoMaximum} }

// table holds figures by row, in columns: most have one value, which is their count
// as well, and no extremes. Sums are exact while they are added up, whatever the order,
// and stop at the bounds when they are told: stopping earlier would depend on the order
// where values have both signs.
type table struct {
	n      int
	types  int // values of each row
	values [profile.MaxTypes][]int64
	// carries is what is to be added to values, times 2^64; nil while there is nothing.
	carries [profile.MaxTypes][]int32
	counts  []uint64 // nil while each is the first value
	lo, hi  []int64  // nil while none is known
}

// newTable returns an empty table for rows with so many values.
func newTable(types int) table { return table{types: min(max(types, 1), profile.MaxTypes)} }

// extend adds n rows of no observation.
func (t *table) extend(n int) {
	t.n += n
	for j := range t.types {
		t.values[j] = extended(t.values[j], t.n, 0)
		if t.carries[j] != nil {
			t.carries[j] = extended(t.carries[j], t.n, 0)
		}
	}
	if t.counts != nil {
		t.counts = extended(t.counts, t.n, 0)
	}
	if t.lo != nil {
		t.lo, t.hi = extended(t.lo, t.n, layout.NoMinimum), extended(t.hi, t.n, layout.NoMaximum)
	}
}

// extended returns s with n elements, the new ones v.
func extended[T comparable](s []T, n int, v T) []T {
	from := len(s)
	s = slices.Grow(s, n-from)[:n]
	for i := from; i < n; i++ {
		s[i] = v
	}
	return s
}

// reserve makes room for n more rows.
func (t *table) reserve(n int) {
	if want := t.n + n; want > cap(t.values[0]) {
		n = max(n, t.n) // append would grow long slices by a quarter only
		for j := range t.types {
			t.values[j] = slices.Grow(t.values[j], n)
		}
		if t.counts != nil {
			t.counts = slices.Grow(t.counts, n)
		}
		if t.lo != nil {
			t.lo, t.hi = slices.Grow(t.lo, n), slices.Grow(t.hi, n)
		}
	}
}

// push adds one row of no observation and returns its number.
func (t *table) push() int {
	i := t.n
	t.n++
	for j := range t.types {
		t.values[j] = append(t.values[j], 0)
		if t.carries[j] != nil {
			t.carries[j] = append(t.carries[j], 0)
		}
	}
	if t.counts != nil {
		t.counts = append(t.counts, 0)
	}
	if t.lo != nil {
		t.lo, t.hi = append(t.lo, layout.NoMinimum), append(t.hi, layout.NoMaximum)
	}
	return i
}

// countApart gives rows counts of their own.
func (t *table) countApart() {
	if t.counts != nil {
		return
	}
	t.counts = make([]uint64, t.n, cap(t.values[0]))
	for i, v := range t.values[0] {
		t.counts[i] = uint64(v)
	}
}

// bound gives rows extremes.
func (t *table) bound() {
	if t.lo == nil {
		t.lo = extended(make([]int64, 0, cap(t.values[0])), t.n, layout.NoMinimum)
		t.hi = extended(make([]int64, 0, cap(t.values[0])), t.n, layout.NoMaximum)
	}
}

// at returns the figures of a row.
func (t *table) at(i int) figures {
	f := none()
	for j := range t.types {
		f.values[j] = t.value(j, i)
	}
	f.count = uint64(f.values[0])
	if t.counts != nil {
		f.count = t.counts[i]
	}
	if t.lo != nil {
		f.lo, f.hi = t.lo[i], t.hi[i]
	}
	return f
}

// add adds to a row.
func (t *table) add(i int, f *figures) {
	if t.counts == nil && (f.count != uint64(f.values[0]) || overflows(t.values[0][i], f.values[0])) {
		t.countApart()
	}
	for j := range t.types {
		t.addValue(j, i, f.values[j])
	}
	if t.counts != nil {
		t.counts[i] = profile.AddCount(t.counts[i], f.count)
	}
	if f.lo <= f.hi {
		t.bound()
		t.lo[i], t.hi[i] = min(t.lo[i], f.lo), max(t.hi[i], f.hi)
	}
}

// overflows reports whether a sum is beyond an int64.
func overflows(a, b int64) bool {
	sum := a + b
	return (a^sum)&(b^sum) < 0
}

// value returns a value of a row, or the bound that it is beyond.
func (t *table) value(j, i int) int64 {
	if t.carries[j] == nil {
		return t.values[j][i]
	}
	return bounded(t.values[j][i], t.carries[j][i])
}

// bounded returns v + carry * 2^64, or the bound that it is beyond.
func bounded(v int64, carry int32) int64 {
	switch {
	case carry > 0:
		return math.MaxInt64
	case carry < 0:
		return math.MinInt64
	}
	return v
}

// carryOf returns what is carried when v is added to sum.
func carryOf(sum, v int64) int32 {
	switch {
	case !overflows(sum, v):
		return 0
	case v < 0:
		return -1
	}
	return 1
}

func (t *table) addValue(j, i int, v int64) {
	if c := carryOf(t.values[j][i], v); c != 0 {
		t.carry(j, i, c)
	}
	t.values[j][i] += v
}

// carry adds n * 2^64 to a value.
func (t *table) carry(j, i int, n int32) {
	if t.carries[j] == nil {
		t.carries[j] = make([]int32, t.n, cap(t.values[j]))
	}
	t.carries[j][i] += n
}

// addRow adds a row of another table with as many values.
func (t *table) addRow(i int, from *table, row int) {
	f := from.at(row)
	for j := range t.types {
		if from.carries[j] != nil {
			// What at returns is not exact.
			if n := from.carries[j][row]; n != 0 {
				f.values[j] = from.values[j][row]
				t.carry(j, i, n)
			}
		}
	}
	if from.counts != nil {
		t.countApart()
	}
	t.add(i, &f)
}

// addAll adds all rows of a table with as many values to a row.
func (t *table) addAll(i int, from *table) {
	if from.n == 0 {
		return
	}
	sum := none()
	for j := range t.types {
		v, carry := from.sum(j)
		sum.values[j] = v
		if carry != 0 {
			t.carry(j, i, carry)
		}
	}
	if from.counts == nil {
		// Counts do not stop where values do.
		for _, v := range from.values[0] {
			sum.count = profile.AddCount(sum.count, uint64(v))
		}
	}
	for _, n := range from.counts {
		sum.count = profile.AddCount(sum.count, n)
	}
	for k, lo := range from.lo {
		if lo <= from.hi[k] {
			sum.lo, sum.hi = min(sum.lo, lo), max(sum.hi, from.hi[k])
		}
	}
	t.countApart()
	t.add(i, &sum)
}

// sum adds up a column.
func (t *table) sum(j int) (sum int64, carry int32) {
	for _, v := range t.values[j] {
		carry += carryOf(sum, v)
		sum += v
	}
	for _, n := range t.carries[j] {
		carry += n
	}
	return sum, carry
}

// total sums all rows.
func (t *table) total() figures {
	all := newTable(t.types)
	all.extend(1)
	all.addAll(0, t)
	return all.at(0)
}
