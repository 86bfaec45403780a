package chunkreader

import (
	"cmp"
	"slices"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// ranked is one row of an answer before its stack is resolved.
type ranked struct {
	stack profile.ID
	attributes
	figures
}

func (r *ranked) compareKey(o *ranked) int {
	if c := r.stack.Compare(o.stack); c != 0 {
		return c
	}
	return cmp.Or(
		cmp.Compare(r.lock, o.lock), cmp.Compare(r.syscall, o.syscall),
		cmp.Compare(r.bucket, o.bucket), cmp.Compare(r.failed, o.failed),
	)
}

// ranking sums up rows and keeps those with the largest first values.
type ranking struct {
	limit int
	rows  []ranked
	total int
	all   figures
	// stackless sums the rows without a stack.
	stackless figures
	// cut is a value that every row of the answer reaches, once cutting.
	cut     int64
	cutting bool
}

// minRanked is the least number of rows to collect before the smallest are
// forgotten.
const minRanked = 1 << 13

// add takes one row of the answer, which must come once. Memory is bounded by the
// limit, and small rows, which most are, cost a comparison.
func (r *ranking) add(stack profile.ID, a attributes, f *figures) {
	r.total++
	r.all.count += f.count
	for i := range f.values {
		r.all.values[i] += f.values[i]
	}
	if stack.IsZero() {
		r.stackless.values[0] += f.values[0]
		r.stackless.count += f.count
	}
	if r.cutting && f.values[0] < r.cut {
		return
	}
	r.rows = append(r.rows, ranked{stack, a, *f})
	if len(r.rows) >= max(2*r.limit, minRanked) {
		rows := make([]ranked, 0, cap(r.rows))
		for _, row := range r.sorted() {
			rows = append(rows, *row)
		}
		r.rows, r.cut, r.cutting = rows, rows[len(rows)-1].values[0], true
	}
}

// sorted returns the rows of the answer: the largest first values first, equal
// ones by what tells them apart.
func (r *ranking) sorted() []*ranked {
	// What is compared most lies beside the index: rows are ten times as large.
	type ref struct {
		value int64
		stack uint64
		row   *ranked
	}
	refs := make([]ref, len(r.rows))
	for i := range r.rows {
		row := &r.rows[i]
		refs[i] = ref{row.values[0], row.stack.Hi, row}
	}
	slices.SortFunc(refs, func(a, b ref) int {
		switch {
		case a.value != b.value:
			return cmp.Compare(b.value, a.value)
		case a.stack != b.stack:
			return cmp.Compare(a.stack, b.stack)
		}
		return a.row.compareKey(b.row)
	})
	out := make([]*ranked, min(r.limit, len(refs)))
	for i := range out {
		out[i] = refs[i].row
	}
	return out
}
