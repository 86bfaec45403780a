package chunkrow

import (
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/internal/chunk"
)

// Block collects rows to be inserted. It is not safe for concurrent use.
type Block struct {
	columns *columns
	input   proto.Input
	bytes   int
}

// NewBlock returns an empty block.
func NewBlock() *Block {
	b := &Block{columns: newColumns()}
	for _, c := range b.columns.all() {
		if c.name != writtenColumn {
			b.input = append(b.input, proto.InputColumn{Name: c.name, Data: c.data})
		}
	}
	return b
}

// Input returns the columns of the rows, to be inserted. It stays the same.
func (b *Block) Input() proto.Input { return b.input }

// Rows returns the number of rows.
func (b *Block) Rows() int { return len(b.columns.id) }

// Bytes returns about how large the arrays and streams of the rows are.
func (b *Block) Bytes() int { return b.bytes }

// Reset forgets all rows and keeps the memory.
func (b *Block) Reset() {
	for _, c := range b.input {
		c.Data.(proto.Resettable).Reset()
	}
	b.bytes = 0
}

// Append copies a row.
func (b *Block) Append(r *Row) {
	c := b.columns
	c.tenant.Append(r.Tenant)
	c.service.Append(r.Service)
	c.kind.Append(r.Kind)
	c.types.Append(r.Types)
	c.periodType.Append(r.PeriodType)
	c.period = append(c.period, r.Period)
	c.hour.Data = append(c.hour.Data, proto.DateTime(r.Hour))
	c.level = append(c.level, r.Level)
	c.seq = append(c.seq, r.Seq)
	c.id = append(c.id, r.ID)
	c.nonce = append(c.nonce, r.Nonce)
	c.dictionary = append(c.dictionary, r.Dictionary)
	c.covers.Add(r.Covers)
	c.first.Data = append(c.first.Data, proto.DateTime64(r.First))
	c.last.Data = append(c.last.Data, proto.DateTime64(r.Last))
	c.profiles = append(c.profiles, r.Profiles)
	c.events = append(c.events, r.Events)
	c.batchEvents = append(c.batchEvents, r.BatchEvents)
	c.entries = append(c.entries, r.Entries)
	c.stored.Data = append(c.stored.Data, proto.DateTime(r.Stored))
	b.profiles(&r.Columns.Profiles, r.SeriesIDs)
	if r.Dictionary == 0 {
		c.stacks.Add(r.Keys.Stacks)
		c.dense.Add(nil)
	} else {
		c.stacks.Add(nil)
		c.dense.Add(r.Dense)
	}
	b.entries(&r.Columns.Entries, &r.Keys)
	for i, s := range streamsOf(&r.Columns.Streams) {
		c.streams[i].Append(*s)
	}
	b.bytes += r.Bytes()
}

func (b *Block) profiles(p *chunk.ProfileColumns, series []proto.UInt128) {
	c := b.columns
	c.times.Add(p.Times)
	c.durations.Add(p.Durations)
	c.series.Add(p.Series)
	c.seriesIDs.Add(series)
	c.eventsByProfile.Add(p.Events)
	for i := range p.Totals {
		c.profileTotals[i].Add(p.Totals[i])
	}
}

func (b *Block) entries(e *chunk.EntryColumns, k *EntryKeys) {
	c := b.columns
	c.sets.Add(k.Sets)
	c.locks.Add(k.Locks)
	c.syscalls.Add(k.Syscalls)
	c.buckets.Add(k.Buckets)
	c.errors.Add(k.Errors)
	c.entryProfiles.Add(e.Profiles)
	c.counts.Add(e.Counts)
	for i := range e.Totals {
		c.totals[i].Add(e.Totals[i])
	}
	c.minima.Add(e.Minima)
	c.maxima.Add(e.Maxima)
}

// Bytes returns about how large the arrays and streams of the row are.
func (r *Row) Bytes() int {
	p, e, k := &r.Columns.Profiles, &r.Columns.Entries, &r.Keys
	n := 8*(len(r.Covers)+len(p.Times)+len(p.Durations)+len(p.Events)) + 4*len(p.Series) + 16*len(r.SeriesIDs)
	n += 16*(len(k.Stacks)+len(k.Sets)) + 8*(len(k.Locks)+len(k.Syscalls)) + len(k.Buckets) + len(k.Errors)
	n += 4*(len(e.Profiles)+len(r.Dense)) + 8*(len(e.Counts)+len(e.Minima)+len(e.Maxima))
	for i := range p.Totals {
		n += 8 * (len(p.Totals[i]) + len(e.Totals[i]))
	}
	for _, s := range streamsOf(&r.Columns.Streams) {
		n += len(*s)
	}
	return n
}
