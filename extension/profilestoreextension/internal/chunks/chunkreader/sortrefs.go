package chunkreader

import (
	"math/bits"
	"slices"
)

// ref is a row of sums with what it is sorted by: the largest value first, then the
// begin of the id.
type ref struct {
	value int64
	stack uint64
	row   int32
}

// sortRefs sorts rows, those with equal value and begin of the id by rest. It may
// return another slice. Most values are small, so that a few passes of a radix sort
// take a fraction of what comparing does.
func sortRefs(refs []ref, rest func(a, b ref) int) []ref {
	if len(refs) < 2 {
		return refs
	}
	lo, hi := refs[0].value, refs[0].value
	for i := range refs {
		lo, hi = min(lo, refs[i].value), max(hi, refs[i].value)
	}
	// 16 bits of the hash tell nearly all apart; equal ones are compared below.
	other := make([]ref, len(refs))
	for _, shift := range [...]int{48, 56} {
		radix(refs, other, func(r *ref) byte { return byte(r.stack >> shift) })
		refs, other = other, refs
	}
	for shift := 0; shift < bits.Len64(uint64(hi)-uint64(lo)); shift += 8 {
		radix(refs, other, func(r *ref) byte { return byte((uint64(hi) - uint64(r.value)) >> shift) })
		refs, other = other, refs
	}
	for from := 0; from < len(refs); {
		to := from + 1
		for to < len(refs) && refs[to].value == refs[from].value && refs[to].stack>>48 == refs[from].stack>>48 {
			to++
		}
		if to-from > 1 {
			slices.SortFunc(refs[from:to], func(a, b ref) int {
				switch {
				case a.stack < b.stack:
					return -1
				case a.stack > b.stack:
					return 1
				}
				return rest(a, b)
			})
		}
		from = to
	}
	return refs
}

// radix copies from into to in order of one byte; equal ones stay in their order.
func radix(from, to []ref, key func(*ref) byte) {
	var places [256]int
	for i := range from {
		places[key(&from[i])]++
	}
	at := 0
	for i, n := range places {
		places[i], at = at, at+n
	}
	for i := range from {
		k := key(&from[i])
		to[places[k]] = from[i]
		places[k]++
	}
}
