package writer

import (
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// kindHour is what the hourly totals are kept by, but for the stack: one row of
// the table kind_hours.
type kindHour struct {
	tenant, service, kind, types string
	hour                         int64 // Unix hours
}

type kindHourSums struct {
	events, profiles     uint64
	first, last          int64
	periodMin, periodMax int64
	countsOnly           bool
}

// observed is the part of a sample's attributes that the hourly totals keep.
type observed struct {
	lock    uint64
	syscall int64
	bucket  uint8
	err     bool
	name    string
}

// stackHour identifies a row of the table stack_hours by indices.
type stackHour struct {
	kindHour, stack, observed int32
}

type stackHourSums struct {
	stackHour
	count    uint64
	values   [profile.MaxTypes]int64
	min, max int64
}

// totals sums a window by hour before it is sent. ClickHouse would do it too,
// but a row that is not sent costs least.
type totals struct {
	kinds     map[kindHour]int32
	kindKeys  []kindHour
	kindSums  []kindHourSums
	observeds map[observed]int32
	observe   []observed
	attrs     []int32 // by index in Dictionary.Attributes; -1 is not known yet
	stacks    map[stackHour]int32
	rows      []stackHourSums
}

func newTotals() *totals {
	return &totals{
		kinds: make(map[kindHour]int32), observeds: make(map[observed]int32),
		stacks: make(map[stackHour]int32),
	}
}

func (t *totals) reset() {
	clear(t.kinds)
	clear(t.observeds)
	clear(t.stacks)
	clear(t.observe)
	clear(t.kindKeys)
	t.kindKeys, t.kindSums, t.observe = t.kindKeys[:0], t.kindSums[:0], t.observe[:0]
	t.attrs, t.rows = t.attrs[:0], t.rows[:0]
}

// add sums a group. For every stack that is new to its hour, it calls fresh.
func (t *totals) add(g *profile.Group, d *profile.Dictionary, f *features, types string, fresh func(stack int32)) {
	key := kindHour{g.Series.Tenant, g.Series.Service, g.Kind, types, g.Start / layout.Hour}
	k, ok := t.kinds[key]
	if !ok {
		k = int32(len(t.kindKeys))
		t.kinds[key] = k
		t.kindKeys = append(t.kindKeys, key)
		t.kindSums = append(t.kindSums, kindHourSums{first: g.Start, last: g.End, periodMin: g.Period, periodMax: g.Period, countsOnly: true})
	}
	s := &t.kindSums[k]
	s.profiles++
	s.first, s.last = min(s.first, g.Start), max(s.last, g.End)
	s.periodMin, s.periodMax = min(s.periodMin, g.Period), max(s.periodMax, g.Period)
	s.countsOnly = s.countsOnly && f.countsOnly(g)
	for i := range g.Entries {
		e := &g.Entries[i]
		s.events = profile.AddCount(s.events, e.Count)
		key := stackHour{k, e.Stack, t.observed(d, e.Attrs)}
		n, ok := t.stacks[key]
		if !ok {
			n = int32(len(t.rows))
			t.stacks[key] = n
			t.rows = append(t.rows, stackHourSums{stackHour: key, min: layout.NoMinimum, max: layout.NoMaximum})
			fresh(e.Stack)
		}
		row := &t.rows[n]
		// ClickHouse adds up the rows of an hour, and its sums wrap.
		row.count = min(profile.AddCount(row.count, e.Count), profile.MaxValue)
		for v, value := range &e.Values {
			row.values[v] = profile.Bounded(profile.Add(row.values[v], value))
		}
		lo, hi := bounds(g, e)
		row.min, row.max = min(row.min, lo), max(row.max, hi)
	}
}

func (t *totals) observed(d *profile.Dictionary, attrs int32) int32 {
	for int(attrs) >= len(t.attrs) {
		t.attrs = append(t.attrs, -1)
	}
	if n := t.attrs[attrs]; n >= 0 {
		return n
	}
	a := &d.Attributes[attrs]
	o := observed{lock: a.LockAddress, syscall: a.Syscall, bucket: a.Bucket, err: a.Error}
	if a.Syscall != layout.NoSyscall {
		o.name = a.Label(profile.AttrSyscallName)
	}
	n, ok := t.observeds[o]
	if !ok {
		n = int32(len(t.observe))
		t.observeds[o] = n
		t.observe = append(t.observe, o)
	}
	t.attrs[attrs] = n
	return n
}

// stackHourRows are rows of the table stack_hours.
type stackHourRows struct {
	tenant, service, kind, types, name *lowCardinality
	hour, stored                       seconds
	stack                              proto.ColUInt128
	lock, count                        proto.ColUInt64
	syscall, min, max                  proto.ColInt64
	bucket, err                        proto.ColUInt8
	values                             [profile.MaxTypes]proto.ColInt64

	input proto.Input
}

func newStackHourRows() *stackHourRows {
	r := &stackHourRows{
		tenant: newLowCardinality(), service: newLowCardinality(), kind: newLowCardinality(),
		types: newLowCardinality(), name: newLowCardinality(),
	}
	r.input = proto.Input{
		{Name: "tenant", Data: r.tenant},
		{Name: "service", Data: r.service},
		{Name: "kind", Data: r.kind},
		{Name: "types", Data: r.types},
		{Name: "hour", Data: &r.hour},
		{Name: "stack", Data: &r.stack},
		{Name: "lock_address", Data: &r.lock},
		{Name: "syscall", Data: &r.syscall},
		{Name: "bucket", Data: &r.bucket},
		{Name: "error", Data: &r.err},
		{Name: "syscall_name", Data: r.name},
		{Name: "count", Data: &r.count},
		{Name: "v0", Data: &r.values[0]},
		{Name: "v1", Data: &r.values[1]},
		{Name: "v2", Data: &r.values[2]},
		{Name: "v3", Data: &r.values[3]},
		{Name: "minimum", Data: &r.min},
		{Name: "maximum", Data: &r.max},
		{Name: "stored", Data: &r.stored},
	}
	return r
}

func (r *stackHourRows) fill(t *totals, d *profile.Dictionary, stored int64) {
	for i := range t.rows {
		s := &t.rows[i]
		k, o := &t.kindKeys[s.kindHour], &t.observe[s.observed]
		r.tenant.Append(k.tenant)
		r.service.Append(k.service)
		r.kind.Append(k.kind)
		r.types.Append(k.types)
		r.hour.add(k.hour * 3600)
		r.stack = append(r.stack, layout.ID(d.StackIDs[s.stack]))
		r.lock = append(r.lock, o.lock)
		r.syscall = append(r.syscall, o.syscall)
		r.bucket = append(r.bucket, o.bucket)
		r.err = append(r.err, flag(o.err))
		r.name.Append(o.name)
		r.count = append(r.count, s.count)
		for v := range r.values {
			r.values[v] = append(r.values[v], s.values[v])
		}
		r.min = append(r.min, s.min)
		r.max = append(r.max, s.max)
		r.stored.add(stored)
	}
}

// kindHourRows are rows of the table kind_hours.
type kindHourRows struct {
	tenant, service, kind, types *lowCardinality
	hour, stored                 seconds
	events, profiles             proto.ColUInt64
	first, last                  *nanoseconds
	periodMin, periodMax         proto.ColInt64
	countsOnly                   proto.ColUInt8

	input proto.Input
}

func newKindHourRows() *kindHourRows {
	r := &kindHourRows{
		tenant: newLowCardinality(), service: newLowCardinality(), kind: newLowCardinality(),
		types: newLowCardinality(), first: newNanoseconds(), last: newNanoseconds(),
	}
	r.input = proto.Input{
		{Name: "tenant", Data: r.tenant},
		{Name: "service", Data: r.service},
		{Name: "kind", Data: r.kind},
		{Name: "types", Data: r.types},
		{Name: "hour", Data: &r.hour},
		{Name: "events", Data: &r.events},
		{Name: "profiles", Data: &r.profiles},
		{Name: "first_time", Data: r.first},
		{Name: "last_time", Data: r.last},
		{Name: "period_min", Data: &r.periodMin},
		{Name: "period_max", Data: &r.periodMax},
		{Name: "counts_only", Data: &r.countsOnly},
		{Name: "stored", Data: &r.stored},
	}
	return r
}

func (r *kindHourRows) fill(t *totals, stored int64) {
	for i := range t.kindKeys {
		k, s := &t.kindKeys[i], &t.kindSums[i]
		r.tenant.Append(k.tenant)
		r.service.Append(k.service)
		r.kind.Append(k.kind)
		r.types.Append(k.types)
		r.hour.add(k.hour * 3600)
		r.events = append(r.events, s.events)
		r.profiles = append(r.profiles, s.profiles)
		r.first.add(s.first)
		r.last.add(s.last)
		r.periodMin = append(r.periodMin, s.periodMin)
		r.periodMax = append(r.periodMax, s.periodMax)
		r.countsOnly = append(r.countsOnly, flag(s.countsOnly))
		r.stored.add(stored)
	}
}
