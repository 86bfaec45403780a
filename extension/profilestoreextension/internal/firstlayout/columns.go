package firstlayout

import (
	"fmt"
	"strings"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/internal/chunk"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// columns are those of the table profiles.
type columns struct {
	tenant, service, kind, types, periodType *proto.ColLowCardinality[string]
	start, end, period, stored               proto.ColInt64
	series                                   proto.ColUInt128
	same                                     proto.ColUInt8

	stacks, sets    proto.ColArr[proto.UInt128]
	counts, locks   proto.ColArr[uint64]
	values          [profile.MaxTypes]*proto.ColArr[int64]
	minima, maxima  proto.ColArr[int64]
	syscalls        proto.ColArr[int64]
	buckets, errors proto.ColArr[uint8]

	results proto.Results
	list    string
}

func newColumns() *columns {
	text := func() *proto.ColLowCardinality[string] { return proto.NewLowCardinality[string](new(proto.ColStr)) }
	ids := func() proto.ColArr[proto.UInt128] { return proto.ColArr[proto.UInt128]{Data: new(proto.ColUInt128)} }
	numbers := func() proto.ColArr[int64] { return proto.ColArr[int64]{Data: new(proto.ColInt64)} }
	naturals := func() proto.ColArr[uint64] { return proto.ColArr[uint64]{Data: new(proto.ColUInt64)} }
	bytes := func() proto.ColArr[uint8] { return proto.ColArr[uint8]{Data: new(proto.ColUInt8)} }
	c := &columns{
		tenant: text(), service: text(), kind: text(), types: text(), periodType: text(),
		stacks: ids(), sets: ids(), counts: naturals(), locks: naturals(), minima: numbers(), maxima: numbers(),
		syscalls: numbers(), buckets: bytes(), errors: bytes(),
	}
	var list []string
	add := func(name, expression string, to proto.ColResult) {
		c.results = append(c.results, proto.ResultColumn{Name: name, Data: to})
		if expression != "" {
			name = expression + " AS " + name
		}
		list = append(list, name)
	}
	add("tenant", "", c.tenant)
	add("service", "", c.service)
	add("kind", "", c.kind)
	add("types", "", c.types)
	add("period_type", "", c.periodType)
	add("period", "", &c.period)
	add("start_ns", "toUnixTimestamp64Nano(time)", &c.start)
	add("end_ns", "toUnixTimestamp64Nano(end)", &c.end)
	add("stored_s", "toInt64(toUnixTimestamp(stored))", &c.stored)
	add("series", "", &c.series)
	add("same", "", &c.same)
	add("stacks", "", &c.stacks)
	add("attribute_sets", "", &c.sets)
	add("counts", "", &c.counts)
	add("lock_addresses", "", &c.locks)
	add("minima", "", &c.minima)
	add("maxima", "", &c.maxima)
	add("syscalls", "", &c.syscalls)
	add("buckets", "", &c.buckets)
	add("errors", "", &c.errors)
	for i := range c.values {
		c.values[i] = &proto.ColArr[int64]{Data: new(proto.ColInt64)}
		add("v"+string(rune('0'+i)), "", c.values[i])
	}
	c.list = strings.Join(list, ", ")
	return c
}

// key returns the key of the row of chunks that a profile belongs to.
func (c *columns) key(i int, hour int64) chunkrow.Key {
	return chunkrow.Key{
		Tenant: c.tenant.Row(i), Service: c.service.Row(i), Kind: c.kind.Row(i), Types: c.types.Row(i),
		PeriodType: c.periodType.Row(i), Period: c.period[i], Hour: hour * 3600,
	}
}

// views are the arrays of one profile. All but stacks and counts may be empty.
type views struct {
	keys           chunkrow.EntryKeys
	counts         []uint64
	values         [profile.MaxTypes][]int64
	minima, maxima []int64
	same           uint8
}

func (c *columns) views(i int) (*views, error) {
	v := &views{
		keys: chunkrow.EntryKeys{
			Stacks: c.stacks.Row(i), Sets: c.sets.Row(i), Locks: c.locks.Row(i),
			Syscalls: c.syscalls.Row(i), Buckets: c.buckets.Row(i), Errors: c.errors.Row(i),
		},
		counts: c.counts.Row(i), minima: c.minima.Row(i), maxima: c.maxima.Row(i), same: c.same[i],
	}
	n := v.keys.Len()
	if len(v.counts) != n {
		return nil, fmt.Errorf("%w: counts has %d elements, stacks %d", profile.ErrInvalid, len(v.counts), n)
	}
	lengths := map[string]int{
		"attribute_sets": len(v.keys.Sets), "lock_addresses": len(v.keys.Locks), "minima": len(v.minima), "maxima": len(v.maxima),
		"syscalls": len(v.keys.Syscalls), "buckets": len(v.keys.Buckets), "errors": len(v.keys.Errors),
	}
	for k := range v.values {
		v.values[k] = c.values[k].Row(i)
		lengths["v"+string(rune('0'+k))] = len(v.values[k])
	}
	for name, have := range lengths {
		if have != 0 && have != n {
			return nil, fmt.Errorf("%w: %s has %d elements, stacks %d", profile.ErrInvalid, name, have, n)
		}
	}
	if len(v.minima) != len(v.maxima) {
		return nil, fmt.Errorf("%w: minima has %d elements, maxima %d", profile.ErrInvalid, len(v.minima), len(v.maxima))
	}
	return v, nil
}

// entry returns the entry of a profile without its index.
func (v *views) entry(i, types int) chunk.Entry {
	e := chunk.Entry{Count: v.counts[i], Min: chunk.NoMinimum, Max: chunk.NoMaximum}
	for k := range types {
		switch {
		case len(v.values[k]) > 0:
			e.Values[k] = v.values[k][i]
		case v.same>>k&1 != 0:
			e.Values[k] = int64(e.Count)
		}
	}
	if len(v.minima) > 0 && v.minima[i] <= v.maxima[i] {
		e.Min, e.Max = v.minima[i], v.maxima[i]
	}
	return e
}
