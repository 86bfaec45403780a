package chunkrow

import (
	"slices"

	"github.com/aperture-collector/aperture-collector/internal/chunk"
)

// Clone returns a copy of r that shares no memory with the result it came from.
func (r *Row) Clone() *Row {
	out := *r
	out.Covers, out.SeriesIDs = clone(r.Covers), clone(r.SeriesIDs)
	out.Dense = clone(r.Dense)
	k := &out.Keys
	k.Stacks, k.Sets, k.Locks = clone(k.Stacks), clone(k.Sets), clone(k.Locks)
	k.Syscalls, k.Buckets, k.Errors = clone(k.Syscalls), clone(k.Buckets), clone(k.Errors)
	p, e := &out.Columns.Profiles, &out.Columns.Entries
	p.Times, p.Durations = clone(p.Times), clone(p.Durations)
	p.Series, p.Events = clone(p.Series), clone(p.Events)
	e.Profiles, e.Counts = clone(e.Profiles), clone(e.Counts)
	e.Minima, e.Maxima = clone(e.Minima), clone(e.Maxima)
	for i := range chunk.MaxTypes {
		p.Totals[i], e.Totals[i] = clone(p.Totals[i]), clone(e.Totals[i])
	}
	for _, s := range streamsOf(&out.Columns.Streams) {
		*s = clone(*s)
	}
	return &out
}

// clone returns a copy, nil for nothing.
func clone[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return slices.Clone(s)
}
