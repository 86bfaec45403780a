package chunkreader

import (
	"slices"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// figures are the sums of some observations.
type figures struct {
	values [profile.MaxTypes]int64
	count  uint64
	lo, hi int64
}

// none are the figures of no observation.
func none() figures { return figures{lo: layout.NoMinimum, hi: layout.NoMaximum} }

// add adds o. Sums of values are modulo 2^64, as those of chunks and of ClickHouse:
// whatever the order, they are exact if the sum is one of an int64, which takes
// 128 of the largest values that there are ([profile.MaxValue]) to leave. Stopping
// at the bounds would depend on the order where values have both signs.
func (f *figures) add(o *figures) {
	for j := range f.values {
		f.values[j] += o.values[j]
	}
	f.count = profile.AddCount(f.count, o.count)
	if o.lo <= o.hi {
		f.lo, f.hi = min(f.lo, o.lo), max(f.hi, o.hi)
	}
}

// table holds figures by row, in columns: most have one value, which is their count
// as well, and no extremes.
type table struct {
	n      int
	types  int // values of each row
	values [profile.MaxTypes][]int64
	counts []uint64 // nil while each is the first value
	lo, hi []int64  // nil while none is known
}

// newTable returns an empty table for rows with so many values.
func newTable(types int) table { return table{types: min(max(types, 1), profile.MaxTypes)} }

// extend adds n rows of no observation.
func (t *table) extend(n int) {
	t.n += n
	for j := range t.types {
		t.values[j] = extended(t.values[j], t.n, 0)
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
		f.values[j] = t.values[j][i]
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
		t.values[j][i] += f.values[j]
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

// total sums all rows.
func (t *table) total() figures {
	f := none()
	if t.counts == nil && t.n > 0 {
		// Counts do not stop where values do.
		for _, v := range t.values[0] {
			f.count = profile.AddCount(f.count, uint64(v))
		}
	}
	for j := range t.types {
		for _, v := range t.values[j] {
			f.values[j] += v
		}
	}
	for _, n := range t.counts {
		f.count = profile.AddCount(f.count, n)
	}
	for i, lo := range t.lo {
		if lo <= t.hi[i] {
			f.lo, f.hi = min(f.lo, lo), max(f.hi, t.hi[i])
		}
	}
	return f
}
