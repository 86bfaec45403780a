package writer

import (
	"cmp"
	"slices"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// profileRows are the rows of the table profiles: one per group.
type profileRows struct {
	tenant, service, kind, types, periodType *lowCardinality
	start, end                               *nanoseconds
	series                                   proto.ColUInt128
	period                                   proto.ColInt64
	events                                   proto.ColUInt64
	same                                     proto.ColUInt8
	stored                                   seconds

	stacks, sets    idArray
	counts          uint64Array
	values          [profile.MaxTypes]int64Array
	minima, maxima  int64Array
	locks           uint64Array
	syscalls        int64Array
	buckets, errors uint8Array

	input proto.Input
	order []sortKey
}

// sortKey orders the entries of a group by stack: equal stacks of neighbouring
// rows then compress well, and so do the values of one stack.
type sortKey struct {
	id    profile.ID
	attrs int32
	entry int32
}

func newProfileRows() *profileRows {
	r := &profileRows{
		tenant: newLowCardinality(), service: newLowCardinality(), kind: newLowCardinality(),
		types: newLowCardinality(), periodType: newLowCardinality(),
		start: newNanoseconds(), end: newNanoseconds(),
		stacks: newIDs(), sets: newIDs(), counts: newUint64s(),
		minima: newInt64s(), maxima: newInt64s(), locks: newUint64s(),
		syscalls: newInt64s(), buckets: newUint8s(), errors: newUint8s(),
	}
	r.input = proto.Input{
		{Name: "tenant", Data: r.tenant},
		{Name: "service", Data: r.service},
		{Name: "kind", Data: r.kind},
		{Name: "time", Data: r.start},
		{Name: "end", Data: r.end},
		{Name: "series", Data: &r.series},
		{Name: "types", Data: r.types},
		{Name: "period_type", Data: r.periodType},
		{Name: "period", Data: &r.period},
		{Name: "events", Data: &r.events},
		{Name: "stacks", Data: &r.stacks},
		{Name: "attribute_sets", Data: &r.sets},
		{Name: "counts", Data: &r.counts},
		{Name: "same", Data: &r.same},
		{Name: "minima", Data: &r.minima},
		{Name: "maxima", Data: &r.maxima},
		{Name: "lock_addresses", Data: &r.locks},
		{Name: "syscalls", Data: &r.syscalls},
		{Name: "buckets", Data: &r.buckets},
		{Name: "errors", Data: &r.errors},
		{Name: "stored", Data: &r.stored},
	}
	for i, name := range [profile.MaxTypes]string{"v0", "v1", "v2", "v3"} {
		r.values[i] = newInt64s()
		r.input = append(r.input, proto.InputColumn{Name: name, Data: &r.values[i]})
	}
	return r
}

// countsOnly reports whether the counts alone say everything that was observed.
func (f *features) countsOnly(g *profile.Group) bool {
	return len(g.Types) == 1 && f.equal&1 != 0 && !f.bounds
}

// features say which optional arrays of a group hold anything.
type features struct {
	sets, bounds, locks, syscalls, buckets, errors bool
	// equal and zero have a bit for each value: all equal to the counts, all 0.
	equal, zero uint8
}

func featuresOf(g *profile.Group, d *profile.Dictionary) features {
	f := features{equal: 1<<profile.MaxTypes - 1, zero: 1<<profile.MaxTypes - 1}
	for i := range g.Entries {
		e := &g.Entries[i]
		if e.Attrs != 0 {
			a := &d.Attributes[e.Attrs]
			f.sets = f.sets || !a.LabelsID.IsZero()
			f.locks = f.locks || a.LockAddress != 0
			f.syscalls = f.syscalls || a.Syscall != layout.NoSyscall
			f.buckets = f.buckets || a.Bucket != 0
			f.errors = f.errors || a.Error
		}
		if !f.bounds {
			lo, hi := bounds(g, e)
			f.bounds = lo <= hi
		}
		for k := range e.Values {
			if e.Values[k] != 0 {
				f.zero &^= 1 << k
			}
			if e.Values[k] != int64(e.Count) {
				f.equal &^= 1 << k
			}
		}
	}
	f.equal &^= f.zero
	return f
}

// bounds returns the extremes of an entry's observations, or NoMinimum and
// NoMaximum where they are not known. (0, 0) means unknown, but for our own
// kinds of durations a sum of 0 says that all were 0.
func bounds(g *profile.Group, e *profile.Entry) (lo, hi int64) {
	if e.Min != 0 || e.Max != 0 {
		return e.Min, e.Max
	}
	if e.Count > 0 && e.Values[0] == 0 && len(profile.Types(g.Kind)) == 2 {
		return 0, 0
	}
	return layout.NoMinimum, layout.NoMaximum
}

func (r *profileRows) add(g *profile.Group, d *profile.Dictionary, f *features, types string, stored int64) {
	r.tenant.Append(g.Series.Tenant)
	r.service.Append(g.Series.Service)
	r.kind.Append(g.Kind)
	r.types.Append(types)
	r.periodType.Append(layout.EncodeType(g.PeriodType))
	r.start.add(g.Start)
	r.end.add(g.End)
	r.series = append(r.series, layout.ID(g.Series.ID))
	r.period = append(r.period, g.Period)
	r.events = append(r.events, g.Events())
	r.stored.add(stored)
	r.same = append(r.same, f.equal)
	r.sort(g, d)
	for _, k := range r.order {
		e := &g.Entries[k.entry]
		*r.stacks.data = append(*r.stacks.data, layout.ID(k.id))
		*r.counts.data = append(*r.counts.data, e.Count)
		if f.bounds {
			lo, hi := bounds(g, e)
			*r.minima.data = append(*r.minima.data, lo)
			*r.maxima.data = append(*r.maxima.data, hi)
		}
		r.attributes(f, &d.Attributes[e.Attrs])
	}
	for k := range r.values {
		if (f.equal|f.zero)>>k&1 == 0 {
			data := r.values[k].data
			for _, o := range r.order {
				*data = append(*data, g.Entries[o.entry].Values[k])
			}
		}
		r.values[k].end()
	}
	r.stacks.end()
	r.sets.end()
	r.counts.end()
	r.minima.end()
	r.maxima.end()
	r.locks.end()
	r.syscalls.end()
	r.buckets.end()
	r.errors.end()
}

func (r *profileRows) attributes(f *features, a *profile.SampleAttributes) {
	if f.sets {
		*r.sets.data = append(*r.sets.data, layout.ID(a.LabelsID))
	}
	if f.locks {
		*r.locks.data = append(*r.locks.data, a.LockAddress)
	}
	if f.syscalls {
		*r.syscalls.data = append(*r.syscalls.data, a.Syscall)
	}
	if f.buckets {
		*r.buckets.data = append(*r.buckets.data, a.Bucket)
	}
	if f.errors {
		*r.errors.data = append(*r.errors.data, flag(a.Error))
	}
}

func (r *profileRows) sort(g *profile.Group, d *profile.Dictionary) {
	r.order = r.order[:0]
	for i := range g.Entries {
		e := &g.Entries[i]
		r.order = append(r.order, sortKey{id: d.StackIDs[e.Stack], attrs: e.Attrs, entry: int32(i)})
	}
	slices.SortFunc(r.order, func(a, b sortKey) int {
		if c := cmp.Compare(a.id.Hi, b.id.Hi); c != 0 {
			return c
		}
		if c := cmp.Compare(a.id.Lo, b.id.Lo); c != 0 {
			return c
		}
		return cmp.Compare(a.attrs, b.attrs)
	})
}
