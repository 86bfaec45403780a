package life

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktable"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/compact"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/stackdict"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// eraser replaces the rows of one job's target. It is not safe for concurrent use.
type eraser struct {
	t      *tables
	job    *job
	series map[proto.UInt128]struct{} // of an agent; nil: all series go
	filter filter
	merger compact.Merger
	block  *chunkrow.Block
	dicts  *stackdict.Cache
}

func newEraser(ctx context.Context, t *tables, j *job) (*eraser, error) {
	e := &eraser{t: t, job: j, block: chunkrow.NewBlock()}
	e.dicts = stackdict.New(stackdict.Options{Tables: t.options, Do: t.read, Bytes: 16 << 20})
	if j.target.Scope == profilestore.ScopeAgent {
		var err error
		if e.series, err = e.agentSeries(ctx); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// agentSeries returns the series of an agent. A series is stored before what
// refers to it.
func (e *eraser) agentSeries(ctx context.Context) (map[proto.UInt128]struct{}, error) {
	var id proto.ColUInt128
	out := make(map[proto.UInt128]struct{})
	q := chconn.Query{Query: ch.Query{
		Body: "SELECT DISTINCT series FROM " + e.t.name("series") +
			" WHERE tenant = {tenant:String} AND labels['" + profile.AttrAgentID + "'] = {name:String}",
		Result: proto.Results{{Name: "series", Data: &id}},
		OnResult: func(context.Context, proto.Block) error {
			for _, v := range id {
				out[v] = struct{}{}
			}
			return nil
		},
	}}
	q.Params.String("tenant", e.job.target.Tenant)
	q.Params.String("name", e.job.target.Name)
	return out, e.t.read(ctx, "series of an agent", q)
}

// goes reports whether profiles of a series are to be deleted.
func (e *eraser) goes(id proto.UInt128) bool {
	_, ok := e.series[id]
	return ok || e.series == nil
}

func (e *eraser) stays(id proto.UInt128) bool { return !e.goes(id) }

// wanted is the temporary table of the series that go.
func (e *eraser) wanted() []ch.ExternalTable {
	if e.series == nil {
		return nil
	}
	ids := make(proto.ColUInt128, 0, len(e.series))
	for id := range e.series {
		ids = append(ids, id)
	}
	return []ch.ExternalTable{{Name: "wanted", Data: proto.Input{{Name: "series", Data: ids}}}}
}

// where is the condition for rows that may have something of the target.
func (e *eraser) where(p *chconn.Params) string {
	p.String("tenant", e.job.target.Tenant)
	p.String("name", e.job.target.Name)
	s := "tenant = {tenant:String} AND profiles_n > 0"
	switch e.job.target.Scope {
	case profilestore.ScopeService:
		s += " AND service = {name:String}"
	case profilestore.ScopeAgent:
		s += " AND arrayExists(s -> s IN (SELECT series FROM wanted), series_ids)"
	}
	return s
}

// key is one that has rows of the target, and how many.
type key struct {
	chunkrow.Key
	rows   uint64
	active bool // it has rows that may become others
}

// compare is the order that keys are worked on in: the newest first.
func (k *key) compare(other *key) int {
	return cmp.Or(cmp.Compare(other.Hour, k.Hour), k.Key.Compare(&other.Key))
}

// keys returns those with rows of the target, the newest first.
func (e *eraser) keys(ctx context.Context) (out []key, now int64, err error) {
	if e.series != nil && len(e.series) == 0 {
		return nil, 0, nil
	}
	columns := chunkrow.NewKeyColumns()
	var clock proto.ColInt64
	var rows, low proto.ColUInt64
	q := chconn.Query{Query: ch.Query{
		Result: columns.Results(
			proto.ResultColumn{Name: "n", Data: &rows},
			proto.ResultColumn{Name: "low", Data: &low},
			proto.ResultColumn{Name: "clock", Data: &clock}),
		OnResult: func(context.Context, proto.Block) error {
			for i := range columns.Rows() {
				out = append(out, key{columns.Key(i), rows[i], low[i] > 0})
				now = clock[i]
			}
			return nil
		},
		ExternalTables: e.wanted(),
	}}
	q.Body = "SELECT " + columns.Select() + ", count() AS n," +
		" countIf(level < 2) AS low, toUnixTimestamp64Milli(now64(3)) AS clock FROM " + e.t.name(chunktable.Name) + " WHERE " + e.where(&q.Params) +
		" GROUP BY " + chunkrow.KeyNames + " ORDER BY at DESC, tenant, service, kind, types, period_type, period"
	return out, now, e.t.read(ctx, "keys of chunks", q)
}

// erase replaces the rows of a key that have something of the target which was
// stored before the cut, and returns how many those were. A compacted row may have
// what was stored later as well, which it keeps, and is replaced if it was written
// until fence.
func (e *eraser) erase(ctx context.Context, k *chunkrow.Key, fence int64) (int, error) {
	rows, err := e.headers(ctx, k)
	if err != nil {
		return 0, err
	}
	visible := chunkrow.Visible(rows)
	n := 0
	for i, r := range rows {
		if !visible[i] || !e.due(r, fence) {
			continue
		}
		l := e.later(r, rows)
		if l.all {
			continue
		}
		if err := e.replace(ctx, r, &l); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// due reports whether a row that counts may have to be replaced.
func (e *eraser) due(r *chunkrow.Row, fence int64) bool {
	switch {
	case r.Profiles == 0, r.Nonce.High == e.job.mark():
		return false
	case r.Level == chunkrow.Written && r.Written > e.job.cut, r.Written > fence:
		return false
	}
	return slices.ContainsFunc(r.SeriesIDs, e.goes)
}

// later is what of a row was stored after the cut.
type later struct {
	// rows are those that windows brought then and that it was made of.
	rows []*chunkrow.Row
	// byTime says that not all are there that it was made of. What began after the
	// cut came later, and so did what of rows began before.
	byTime bool
	// all says that nothing of it was stored before.
	all bool
}

// later finds out what of a row that counts was stored after the cut. What a row was
// made of stays for longer than it usually takes to come here, see the fence.
func (e *eraser) later(r *chunkrow.Row, rows []*chunkrow.Row) (out later) {
	if r.Written <= e.job.cut {
		return out
	}
	covered := make(map[uint64]bool, len(r.Covers)) // by windows
	for _, id := range r.Covers {
		covered[id] = true
	}
	for seq := range r.Seq {
		delete(covered, chunkrow.CompactedRowID(&r.Key, seq))
	}
	n, before := len(covered), false
	for _, l := range rows { // those of one id in the order that decides
		if l.Level != chunkrow.Written || !covered[l.ID] {
			continue
		}
		delete(covered, l.ID)
		switch {
		case l.Written <= e.job.cut:
			before = true
		case l.Profiles > 0 && slices.ContainsFunc(l.SeriesIDs, e.goes):
			out.rows = append(out.rows, l)
		}
	}
	out.byTime = len(covered) > 0 || n == 0
	out.all = !before && (!out.byTime || r.First > e.job.cutTime())
	return out
}

// replace stores a row of the same id in place of one: without the target, but for
// what of it came later.
func (e *eraser) replace(ctx context.Context, old *chunkrow.Row, l *later) error {
	row, err := e.rest(ctx, old, l)
	if err != nil {
		return err
	}
	row.Header.Covers = old.Covers
	row.Nonce = e.job.nonce()
	e.block.Reset()
	e.block.Append(row)
	written := milliseconds()
	written.Data = append(written.Data, proto.DateTime64(old.Written-1))
	token := fmt.Sprintf("%s-%016x-%d-%x-%x", e.job.id, old.ID, old.Written, old.Nonce.High, old.Nonce.Low)
	return e.t.insert(ctx, chunktable.Name, append(slices.Clone(e.block.Input()), proto.InputColumn{Name: "written", Data: written}), token)
}

// rest returns what is left of a row: nothing of one that nobody sees any more, whose
// dictionary may have ended.
func (e *eraser) rest(ctx context.Context, old *chunkrow.Row, l *later) (*chunkrow.Row, error) {
	if time.Duration(e.job.cut/1000-old.Stored)*time.Second > e.t.options.Retention {
		return e.filter.empty(old)
	}
	var parts []*chunkrow.Row
	add := func(r *chunkrow.Row, keep func(series proto.UInt128, begin int64) bool) error {
		full, err := e.load(ctx, r)
		if err != nil {
			return err
		}
		part, err := e.filter.row(full, keep)
		if err == nil && part.Profiles > 0 {
			parts = append(parts, part)
		}
		return err
	}
	cut := e.job.cutTime()
	if e.series != nil && slices.ContainsFunc(old.SeriesIDs, e.stays) || l.byTime && old.Last > cut {
		err := add(old, func(series proto.UInt128, begin int64) bool { return e.stays(series) || l.byTime && begin > cut })
		if err != nil {
			return nil, err
		}
	}
	for _, r := range l.rows {
		err := add(r, func(series proto.UInt128, begin int64) bool { return e.goes(series) && (!l.byTime || begin <= cut) })
		if err != nil {
			return nil, err
		}
	}
	if len(parts) == 0 {
		return e.filter.empty(old)
	}
	merged := parts[0]
	if len(parts) > 1 {
		var err error
		if merged, err = e.merger.Merge(parts); err != nil {
			return nil, err
		}
	}
	row := *merged
	row.Level, row.Seq, row.ID, row.Stored = old.Level, old.Seq, old.ID, old.Stored
	return &row, nil
}
