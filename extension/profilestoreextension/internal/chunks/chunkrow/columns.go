package chunkrow

import (
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/internal/chunk"
)

type (
	uint8s  = chconn.Array[uint8, proto.ColUInt8, *proto.ColUInt8]
	uint32s = chconn.Array[uint32, proto.ColUInt32, *proto.ColUInt32]
	uint64s = chconn.Array[uint64, proto.ColUInt64, *proto.ColUInt64]
	int64s  = chconn.Array[int64, proto.ColInt64, *proto.ColInt64]
	ids     = chconn.Array[proto.UInt128, proto.ColUInt128, *proto.ColUInt128]
)

// names is a LowCardinality(String) column.
type names = proto.ColLowCardinality[string]

// columns are those of the table, for both directions.
type columns struct {
	tenant, service, kind, types, periodType *names
	period                                   proto.ColInt64
	hour, stored                             proto.ColDateTime
	level                                    proto.ColUInt8
	seq, profiles, entries                   proto.ColUInt32
	id, events, batchEvents, dictionary      proto.ColUInt64
	nonce                                    proto.ColUInt128
	first, last, written                     proto.ColDateTime64
	covers                                   uint64s

	times, durations int64s
	series, dense    uint32s
	seriesIDs        ids
	eventsByProfile  uint64s
	profileTotals    [chunk.MaxTypes]int64s

	stacks, sets    ids
	locks           uint64s
	syscalls        int64s
	buckets, errors uint8s
	entryProfiles   uint32s
	counts          uint64s
	totals          [chunk.MaxTypes]int64s
	minima, maxima  int64s

	streams [len(streamNames)]proto.ColBytes
}

// streamNames are the columns of chunk.Streams in the order of streamsOf.
var streamNames = [...]string{
	"head", "positions", "small", "v0", "v1", "v2", "v3",
	"count_stream", "minimum_stream", "maximum_stream", "exemplars",
}

func streamsOf(s *chunk.Streams) [len(streamNames)]*[]byte {
	return [...]*[]byte{
		&s.Head, &s.Positions, &s.Small, &s.Values[0], &s.Values[1], &s.Values[2], &s.Values[3],
		&s.Counts, &s.Minima, &s.Maxima, &s.Exemplars,
	}
}

// column is a column of the table and what it is part of; 0 for what is always read.
type column struct {
	name   string
	fields Fields
	data   proto.Column
}

func newColumns() *columns {
	c := new(columns)
	for _, n := range []**names{&c.tenant, &c.service, &c.kind, &c.types, &c.periodType} {
		*n = proto.NewLowCardinality[string](new(proto.ColStr))
	}
	c.first.WithPrecision(proto.PrecisionNano)
	c.last.WithPrecision(proto.PrecisionNano)
	c.written.WithPrecision(proto.PrecisionMilli)
	for _, a := range []interface{ Init() }{
		&c.covers, &c.times, &c.durations, &c.series, &c.seriesIDs, &c.eventsByProfile,
		&c.stacks, &c.dense, &c.sets, &c.locks, &c.syscalls, &c.buckets, &c.errors, &c.entryProfiles, &c.counts, &c.minima, &c.maxima,
	} {
		a.Init()
	}
	for i := range chunk.MaxTypes {
		c.profileTotals[i].Init()
		c.totals[i].Init()
	}
	return c
}

// writtenColumn is the one that the server fills in.
const writtenColumn = "written"

func (c *columns) all() []column {
	out := []column{
		{"tenant", Names, c.tenant},
		{"service", Names, c.service},
		{"kind", 0, c.kind},
		{"types", 0, c.types},
		{"period_type", Rest, c.periodType},
		{"period", 0, &c.period},
		{"hour", 0, &c.hour},
		{"level", 0, &c.level},
		{"seq", Order, &c.seq},
		{"id", 0, &c.id},
		{"nonce", Order, &c.nonce},
		{"dictionary", 0, &c.dictionary},
		{"covers", Covers, &c.covers},
		{"first_time", 0, &c.first},
		{"last_time", 0, &c.last},
		{"profiles_n", Rest, &c.profiles},
		{"events", Rest, &c.events},
		{"batch_events", BatchEvents, &c.batchEvents},
		{"entries_n", 0, &c.entries},
		{writtenColumn, Order, &c.written},
		{"stored", Rest, &c.stored},
		{"times", Begins, &c.times},
		{"durations", Durations, &c.durations},
		{"series", Series, &c.series},
		{"series_ids", Series, &c.seriesIDs},
		{"events_by_profile", ProfileEvents, &c.eventsByProfile},
		{"stacks", Stacks, &c.stacks},
		{"dense", Stacks, &c.dense},
		{"attribute_sets", Attributes, &c.sets},
		{"lock_addresses", Attributes, &c.locks},
		{"syscalls", Attributes, &c.syscalls},
		{"buckets", Attributes, &c.buckets},
		{"errors", Attributes, &c.errors},
		{"entry_profiles", EntryProfiles, &c.entryProfiles},
		{"counts", Counts, &c.counts},
		{"minima", Bounds, &c.minima},
		{"maxima", Bounds, &c.maxima},
	}
	for i := range chunk.MaxTypes {
		n := string(rune('0' + i))
		out = append(out, column{"pt" + n, ProfileTotal(i), &c.profileTotals[i]}, column{"t" + n, Total(i), &c.totals[i]})
	}
	for i, name := range streamNames {
		f := Streams
		if name == "exemplars" {
			f = Exemplars
		}
		out = append(out, column{name, f, &c.streams[i]})
	}
	return out
}
