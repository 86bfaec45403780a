package stackdict

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// Table holds the segments, Log the stacks by their hashes as they come.
const (
	Table = "stack_segments"
	Log   = "stacks"
)

// Key names a dictionary.
type Key struct {
	Tenant, Service string
	// ID is drawn at random and never 0.
	ID uint64
}

// Do runs a query under a name for telemetry and errors. It must be safe for
// concurrent use.
type Do func(ctx context.Context, name string, q chconn.Query) error

// tables reads the tables.
type tables struct {
	schema.Options
	do Do
}

// wanted is a dictionary of which the segments after one are to be read.
type wanted struct {
	Key
	after uint32
}

// segments reads segments of dictionaries of one tenant in order, and calls f with
// each; it is valid until f returns.
func (t *tables) segments(ctx context.Context, keys []wanted, f func(Key, *Segment) error) error {
	type at struct {
		service string
		id      uint64
	}
	after := make(map[at]uint32, len(keys))
	least := ^uint32(0)
	services := proto.NewLowCardinality[string](new(proto.ColStr))
	var ids proto.ColUInt64
	for _, k := range keys {
		after[at{k.Service, k.ID}] = k.after
		least = min(least, k.after)
		services.Append(k.Service)
		ids = append(ids, k.ID)
	}
	tenant := keys[0].Tenant
	c := newColumns()
	var list []byte
	var result proto.Results
	for i, col := range c.all() {
		if i > 0 {
			list = append(list, ", "...)
		}
		list = append(list, col.name...)
		result = append(result, proto.ResultColumn{Name: col.name, Data: col.data})
	}
	q := chconn.Query{Query: ch.Query{
		// Of the same segment stored twice, one.
		Body: "SELECT " + string(list) + " FROM " + t.Table(Table) + " WHERE tenant = {tenant:String}" +
			" AND (service, dictionary) IN (SELECT service, dictionary FROM wanted) AND seq > {after:Int64}" +
			" ORDER BY service, dictionary, seq LIMIT 1 BY service, dictionary, seq",
		Result: result,
		OnResult: func(context.Context, proto.Block) error {
			for i := range c.seq {
				k := Key{tenant, c.service.Row(i), c.dictionary[i]}
				if c.seq[i] <= after[at{k.Service, k.ID}] {
					continue
				}
				s := c.segment(i)
				if err := f(k, &s); err != nil {
					return fmt.Errorf("segment %d of dictionary %016x of service %q: %w", s.Seq, k.ID, k.Service, err)
				}
			}
			return nil
		},
		ExternalTables: []ch.ExternalTable{{Name: "wanted", Data: proto.Input{{Name: "service", Data: services}, {Name: "dictionary", Data: ids}}}},
	}}
	q.Params.String("tenant", tenant)
	q.Params.Int("after", int64(least))
	if err := t.do(ctx, "dictionaries", q); err != nil {
		return fmt.Errorf("read %d stack dictionaries: %w", len(keys), err)
	}
	return nil
}

// listed is a dictionary that is stored.
type listed struct {
	Key
	epoch    int64  // Unix seconds
	segments uint32 // highest seq
	stacks   int    // that it has at least, the empty one too
}

// list returns the dictionaries of a tenant and service, or of all its services if
// that is empty, the newest first.
func (t *tables) list(ctx context.Context, tenant, service string) (out []listed, err error) {
	services := proto.NewLowCardinality[string](new(proto.ColStr))
	var id proto.ColUInt64
	var epoch proto.ColInt64
	var segments proto.ColUInt32
	var stacks proto.ColUInt64
	q := chconn.Query{Query: ch.Query{
		Result: proto.Results{
			{Name: "service", Data: services},
			{Name: "dictionary", Data: &id},
			{Name: "at", Data: &epoch},
			{Name: "segments", Data: &segments},
			{Name: "stacks", Data: &stacks},
		},
		OnResult: func(context.Context, proto.Block) error {
			for i := range id {
				out = append(out, listed{Key{tenant, services.Row(i), id[i]}, epoch[i], segments[i], int(stacks[i])})
			}
			return nil
		},
	}}
	q.Params.String("tenant", tenant)
	where := "tenant = {tenant:String}"
	if service != "" {
		where += " AND service = {service:String}"
		q.Params.String("service", service)
	}
	q.Body = "SELECT service, dictionary, toInt64(toUnixTimestamp(min(epoch))) AS at, max(seq) AS segments, toUInt64(max(first + length(nodes))) AS stacks FROM " +
		t.Table(Table) + " WHERE " + where + " GROUP BY service, dictionary ORDER BY max(written) DESC, dictionary"
	if err := t.do(ctx, "dictionary_list", q); err != nil {
		return nil, fmt.Errorf("list stack dictionaries: %w", err)
	}
	return out, nil
}

// count returns the number of segments of a dictionary.
func (t *tables) count(ctx context.Context, k Key) (n uint64, err error) {
	var col proto.ColUInt64
	q := chconn.Query{Query: ch.Query{
		Body: "SELECT uniqExact(seq) AS n FROM " + t.Table(Table) +
			" WHERE tenant = {tenant:String} AND service = {service:String} AND dictionary = {dictionary:UInt64}",
		Result: proto.Results{{Name: "n", Data: &col}},
		OnResult: func(context.Context, proto.Block) error {
			for _, v := range col {
				n = v
			}
			return nil
		},
	}}
	q.Params.String("tenant", k.Tenant)
	q.Params.String("service", k.Service)
	q.Params.Int("dictionary", int64(k.ID))
	if err := t.do(ctx, "dictionary_segments", q); err != nil {
		return 0, fmt.Errorf("count segments of a stack dictionary: %w", err)
	}
	return n, nil
}

// logged reads stacks of the log by their ids, and adds them to out. service may be
// empty.
func (t *tables) logged(ctx context.Context, tenant, service string, ids []profile.ID, out map[profile.ID][]profile.ID) error {
	wanted := make(proto.ColUInt128, len(ids))
	for i, id := range ids {
		wanted[i] = layout.ID(id)
	}
	q := chconn.Query{Query: ch.Query{
		ExternalTables: []ch.ExternalTable{{Name: "ids", Data: proto.Input{{Name: "id", Data: wanted}}}},
	}}
	q.Params.String("tenant", tenant)
	where := "tenant = {tenant:String}"
	if service != "" {
		where += " AND service = {service:String}"
		q.Params.String("service", service)
	}
	if err := t.log(ctx, q, where+" AND stack IN (SELECT id FROM ids)", math.MaxInt, out); err != nil {
		return fmt.Errorf("read %d stacks: %w", len(ids), err)
	}
	return nil
}

// some reads stacks of the log, not too many, and adds them to out.
func (t *tables) some(ctx context.Context, k service, out map[profile.ID][]profile.ID) error {
	var q chconn.Query
	q.Params.String("tenant", k.tenant)
	q.Params.String("service", k.name)
	if err := t.log(ctx, q, "tenant = {tenant:String} AND service = {service:String} AND length(locations) <= "+
		strconv.Itoa(usualDepth)+" LIMIT "+strconv.Itoa(extraStacks), extraFrames, out); err != nil {
		return fmt.Errorf("read stacks: %w", err)
	}
	return nil
}

// log reads stacks, and leaves out what would be more than so many frames.
func (t *tables) log(ctx context.Context, q chconn.Query, where string, frames int, out map[profile.ID][]profile.ID) error {
	var id, data proto.ColUInt128
	locations := proto.ColArr[proto.UInt128]{Data: &data}
	q.Body = "SELECT stack, locations FROM " + t.Table(Log) + " WHERE " + where
	q.Result = proto.Results{{Name: "stack", Data: &id}, {Name: "locations", Data: &locations}}
	q.OnResult = func(context.Context, proto.Block) error {
		first := uint64(0)
		for i := range id {
			end := locations.Offsets[i]
			key := layout.FromID(id[i])
			if _, ok := out[key]; !ok && end-first <= uint64(frames) {
				frames -= int(end - first)
				path := make([]profile.ID, 0, end-first)
				for _, l := range data[first:end] {
					path = append(path, layout.FromID(l))
				}
				out[key] = path
			}
			first = end
		}
		return nil
	}
	return t.do(ctx, "stacks", q)
}

// sorted orders keys, each once.
func sorted(keys []Key) []Key {
	out := slices.Clone(keys)
	slices.SortFunc(out, compareKeys)
	return slices.Compact(out)
}
