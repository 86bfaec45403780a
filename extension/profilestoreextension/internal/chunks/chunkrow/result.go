package chunkrow

import (
	"strings"

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
}

// NewResult returns a result with the columns of the header and those asked for.
func NewResult(fields Fields) *Result {
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
	if r.fields&Times != 0 {
		p.Times, p.Durations = c.times.row(i), c.durations.row(i)
	}
	if r.fields&Series != 0 {
		p.Series, row.SeriesIDs = c.series.row(i), c.seriesIDs.row(i)
	}
	if r.fields&ProfileTotals != 0 {
		p.Events = c.eventsByProfile.row(i)
		for j := range chunk.MaxTypes {
			p.Totals[j] = c.profileTotals[j].row(i)
		}
	}
	if r.fields&Stacks != 0 {
		k.Stacks = c.stacks.row(i)
	}
	if r.fields&Attributes != 0 {
		k.Sets, k.Locks, k.Syscalls = c.sets.row(i), c.locks.row(i), c.syscalls.row(i)
		k.Buckets, k.Errors = c.buckets.row(i), c.errors.row(i)
	}
	if r.fields&EntryProfiles != 0 {
		e.Profiles = c.entryProfiles.row(i)
	}
	if r.fields&Totals != 0 {
		for j := range chunk.MaxTypes {
			e.Totals[j] = c.totals[j].row(i)
		}
	}
	if r.fields&Counts != 0 {
		e.Counts = c.counts.row(i)
	}
	if r.fields&Bounds != 0 {
		e.Minima, e.Maxima = c.minima.row(i), c.maxima.row(i)
	}
	r.streams(i, &row.Columns.Streams)
}

func (r *Result) header(i int, h *Header) {
	c := r.columns
	h.Key = Key{
		Tenant: c.tenant.Row(i), Service: c.service.Row(i), Kind: c.kind.Row(i), Types: c.types.Row(i),
		PeriodType: c.periodType.Row(i), Period: c.period[i], Hour: int64(c.hour.Data[i]),
	}
	h.Level, h.Seq, h.ID, h.Nonce = c.level[i], c.seq[i], c.id[i], c.nonce[i]
	h.First, h.Last = int64(c.first.Data[i]), int64(c.last.Data[i])
	h.Profiles, h.Entries, h.Events = c.profiles[i], c.entries[i], c.events[i]
	h.Written, h.Stored = int64(c.written.Data[i]), int64(c.stored.Data[i])
	if r.fields&Covers != 0 {
		h.Covers = c.covers.row(i)
	}
}

func (r *Result) streams(i int, s *chunk.Streams) {
	for j, to := range streamsOf(s) {
		if f := Streams; streamNames[j] == "exemplars" && r.fields&Exemplars != 0 || streamNames[j] != "exemplars" && r.fields&f != 0 {
			*to = r.columns.streams[j].Row(i)
		}
	}
}
