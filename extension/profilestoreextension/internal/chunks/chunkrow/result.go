package chunkrow

import (
	"strings"
	"sync"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/internal/chunk"
)

// Result takes the rows of a SELECT. It is not safe for concurrent use.
//
//	res := chunkrow.NewResult(chunkrow.Covers | chunkrow.Keys | chunkrow.Totals)
//	q.Body = "SELECT " + res.Columns() + " FROM " + table + " WHERE ..."
//	q.Result = res.Results()
//	q.OnResult = func(context.Context, proto.Block) error {
//		for i := range res.Rows() {
//			var row chunkrow.Row
//			res.Row(i, &row)
//			...
//
// More columns can be added to Results, behind those of the list.
type Result struct {
	columns *columns
	fields  Fields
	results proto.Results
	list    string
	// block is what the rows of the present block take that were looked at, largest
	// the most of any block, in bytes.
	block, largest int
}

// NewResult returns a result with the columns of the header and those asked for.
func NewResult(fields Fields) *Result { return NewNarrowResult(fields | HeaderFields) }

// NewNarrowResult returns a result with the columns that are asked for and those
// that are always read. What is not read of the header is zero.
func NewNarrowResult(fields Fields) *Result {
	r := &Result{columns: newColumns(), fields: fields}
	var list []string
	for _, c := range r.columns.all() {
		if c.fields == 0 || c.fields&fields != 0 {
			r.results = append(r.results, proto.ResultColumn{Name: c.name, Data: c.data})
			list = append(list, c.name)
		}
	}
	r.list = strings.Join(list, ", ")
	return r
}

// maxReused bounds the rows of a block in a result that is used again, in bytes.
const maxReused = 4 << 20

// results are those to be used again, a pool for each combination of fields.
var results sync.Map

// ReuseResult is [NewNarrowResult] of memory that another query is done with, if there
// is any. Hand it back with [Result.Release].
func ReuseResult(fields Fields) *Result {
	pool, ok := results.Load(fields)
	if !ok {
		pool, _ = results.LoadOrStore(fields, new(sync.Pool))
	}
	if r, ok := pool.(*sync.Pool).Get().(*Result); ok {
		return r
	}
	return NewNarrowResult(fields)
}

// Release hands r back once its query has ended well and nothing refers to its rows.
// Results that hold much are left to the garbage collector.
func (r *Result) Release() {
	if pool, ok := results.Load(r.fields); ok && r.largest <= maxReused {
		pool.(*sync.Pool).Put(r)
	}
}

// Columns returns the list of columns for the SELECT, which come as Results has
// them.
func (r *Result) Columns() string { return r.list }

// Results returns where the columns go.
func (r *Result) Results() proto.Results { return r.results }

// Fields returns what was asked for.
func (r *Result) Fields() Fields { return r.fields }

// Rows returns the number of rows of the block that was received last.
func (r *Result) Rows() int { return len(r.columns.id) }

// Row fills in what was asked for; other fields become empty. The arrays and
// streams of row share the memory of the result, and are valid until the next
// block: see [Row.Clone]. Nothing is checked yet, see [Row.Chunk].
func (r *Result) Row(i int, row *Row) {
	*row = Row{}
	r.header(i, &row.Header)
	c, p, e, k := r.columns, &row.Columns.Profiles, &row.Columns.Entries, &row.Keys
	if r.fields&Begins != 0 {
		p.Times = c.times.Elements(i)
	}
	if r.fields&Durations != 0 {
		p.Durations = c.durations.Elements(i)
	}
	if r.fields&Series != 0 {
		p.Series, row.SeriesIDs = c.series.Elements(i), c.seriesIDs.Elements(i)
	}
	if r.fields&ProfileEvents != 0 {
		p.Events = c.eventsByProfile.Elements(i)
	}
	for j := range chunk.MaxTypes {
		if r.fields&ProfileTotal(j) != 0 {
			p.Totals[j] = c.profileTotals[j].Elements(i)
		}
		if r.fields&Total(j) != 0 {
			e.Totals[j] = c.totals[j].Elements(i)
		}
	}
	if r.fields&Stacks != 0 {
		k.Stacks, row.Dense = c.stacks.Elements(i), c.dense.Elements(i)
	}
	if r.fields&Attributes != 0 {
		k.Sets, k.Locks, k.Syscalls = c.sets.Elements(i), c.locks.Elements(i), c.syscalls.Elements(i)
		k.Buckets, k.Errors = c.buckets.Elements(i), c.errors.Elements(i)
	}
	if r.fields&EntryProfiles != 0 {
		e.Profiles = c.entryProfiles.Elements(i)
	}
	if r.fields&Counts != 0 {
		e.Counts = c.counts.Elements(i)
	}
	if r.fields&Bounds != 0 {
		e.Minima, e.Maxima = c.minima.Elements(i), c.maxima.Elements(i)
	}
	r.streams(i, &row.Columns.Streams)
	if i == 0 {
		r.block = 0
	}
	r.block += row.Bytes()
	r.largest = max(r.largest, r.block)
}

func (r *Result) header(i int, h *Header) {
	c := r.columns
	h.Kind, h.Types, h.Period, h.Hour = c.kind.Row(i), c.types.Row(i), c.period[i], int64(c.hour.Data[i])
	h.Dictionary = c.dictionary[i]
	h.Level, h.ID, h.First, h.Last, h.Entries = c.level[i], c.id[i], int64(c.first.Data[i]), int64(c.last.Data[i]), c.entries[i]
	if r.fields&Names != 0 {
		h.Tenant, h.Service = c.tenant.Row(i), c.service.Row(i)
	}
	if r.fields&Order != 0 {
		h.Seq, h.Nonce, h.Written = c.seq[i], c.nonce[i], int64(c.written.Data[i])
	}
	if r.fields&Rest != 0 {
		h.PeriodType, h.Profiles, h.Events, h.Stored = c.periodType.Row(i), c.profiles[i], c.events[i], int64(c.stored.Data[i])
	}
	if r.fields&BatchEvents != 0 {
		h.BatchEvents = c.batchEvents[i]
	}
	if r.fields&Covers != 0 {
		h.Covers = c.covers.Elements(i)
	}
}

func (r *Result) streams(i int, s *chunk.Streams) {
	for j, to := range streamsOf(s) {
		if f := Streams; streamNames[j] == "exemplars" && r.fields&Exemplars != 0 || streamNames[j] != "exemplars" && r.fields&f != 0 {
			*to = r.columns.streams[j].Row(i)
		}
	}
}
