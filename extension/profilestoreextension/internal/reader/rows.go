package reader

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// kinds reads which kinds there are and what is known of them beside their sums.
func (r *Reader) kinds(ctx context.Context, s *scan) (map[kindKey]*kindInfo, error) {
	var key, events, profiles proto.ColUInt64
	var first, last, low, high proto.ColInt64
	var counts proto.ColUInt8
	kind, types := lowCardinality(), lowCardinality()
	out := make(map[kindKey]*kindInfo)
	q := chconn.Query{Params: s.params, Query: ch.Query{
		Body: "SELECT " + selectKind + ", kind, types, toUnixTimestamp64Nano(min(first)) AS a, toUnixTimestamp64Nano(max(last)) AS b," +
			" min(low) AS c, max(high) AS d, min(counted) AS e, sum(n) AS f, sum(m) AS g FROM (" + union(
			s.hours, "SELECT kind, types, toUInt64(events) AS n, toUInt64(profiles) AS m, first_time AS first, last_time AS last, toInt64(period_min) AS low, toInt64(period_max) AS high, toUInt8(counts_only) AS counted FROM "+
				r.opts.Tables.Table("kind_hours")+" WHERE "+s.whereHours(),
			s.raw, "SELECT kind, types, toUInt64(0) AS n, toUInt64(0) AS m, time AS first, end AS last, period AS low, period AS high, toUInt8(bitTest(same, 0) AND empty(minima) AND position(types, ',') = 0) AS counted FROM "+
				r.opts.Tables.Table("profiles")+" WHERE "+s.whereRaw(),
		) + ") GROUP BY kind, types",
		Result: proto.Results{
			{Name: "k", Data: &key},
			{Name: "kind", Data: kind},
			{Name: "types", Data: types},
			{Name: "a", Data: &first},
			{Name: "b", Data: &last},
			{Name: "c", Data: &low},
			{Name: "d", Data: &high},
			{Name: "e", Data: &counts},
			{Name: "f", Data: &events},
			{Name: "g", Data: &profiles},
		},
		OnResult: func(context.Context, proto.Block) error {
			for i := range key {
				k := &kindInfo{types: types.Row(i), countsOnly: counts[i] != 0}
				k.Kind, k.Types, k.Start, k.End = kind.Row(i), layout.DecodeTypes(k.types), first[i], last[i]
				if low[i] == high[i] {
					k.Period = low[i]
				}
				k.stamp = stamp{events[i], profiles[i], first[i], last[i], low[i], high[i], k.countsOnly}
				out[kindKey(key[i])] = k
			}
			return nil
		},
	}}
	if s.raw == "" {
		// There are a few rows by hour: finding out which conditions to read first
		// takes longer than reading them.
		q.Settings = []ch.Setting{chconn.Setting("optimize_move_to_prewhere", "0")}
	}
	if err := r.Do(ctx, "kinds", q); err != nil {
		return nil, fmt.Errorf("read kinds: %w", err)
	}
	return out, nil
}

// rowQuery is the query for the rows of a merge with the columns it fills.
type rowQuery struct {
	c              columns
	key, lock      proto.ColUInt64
	stack          proto.ColUInt128
	syscall        proto.ColInt64
	bucket, failed proto.ColUInt8
	count          proto.ColInt128
	values         [profile.MaxTypes]proto.ColInt128
	lo, hi         proto.ColInt64
}

// mergeRows reads the rows of kinds into them.
func (r *Reader) mergeRows(ctx context.Context, s *scan, kinds map[kindKey]*kindInfo, opts profilestore.MergeOptions, limit int) error {
	q := rowQuery{c: columnsFor(kinds, opts)}
	var single *kindInfo
	if !q.c.kind {
		for _, single = range kinds {
			s = s.only(single)
		}
	}
	body, result := q.build(r, s)
	settings := []ch.Setting(nil)
	if s.raw == "" && strings.Contains(s.filter, "{service:String}") {
		// The totals of one service are so few rows that handing them to several
		// threads takes longer than reading them.
		settings = append(settings, chconn.Setting("max_threads", "1"))
	}
	err := r.Do(ctx, "merge", chconn.Query{Params: s.params, Query: ch.Query{
		Body: body, Result: result, Settings: settings,
		OnResult: func(context.Context, proto.Block) error {
			if single != nil {
				single.rows.rows = slices.Grow(single.rows.rows, min(len(q.count), max(2*limit, minKept)))
			}
			for i := range q.count {
				k := single
				if k == nil {
					if k = kinds[kindKey(q.key[i])]; k == nil {
						continue // stored since the kinds were read
					}
				}
				row := q.row(i)
				k.rows.add(&row, limit)
			}
			return nil
		},
	}})
	if err != nil {
		return fmt.Errorf("merge stacks: %w", err)
	}
	return nil
}

// build returns the text of the query and the columns of its answer.
func (q *rowQuery) build(r *Reader, s *scan) (string, proto.Results) {
	var by, list []string
	var result proto.Results
	add := func(sql, name string, column proto.ColResult) {
		list = append(list, sql)
		result = append(result, proto.ResultColumn{Name: name, Data: column})
	}
	key := func(name string, column proto.ColResult) {
		by = append(by, name)
		add(name, name, column)
	}
	if q.c.kind {
		key("k", &q.key)
	}
	if q.c.stack {
		key("stack", &q.stack)
	}
	if q.c.lock {
		key("lock", &q.lock)
	}
	if q.c.syscall {
		key("syscall", &q.syscall)
		key("bucket", &q.bucket)
		key("error", &q.failed)
	}
	add(sumOf("c")+" AS cs", "cs", &q.count)
	for i := range q.c.values {
		name := fmt.Sprintf("s%d", i)
		add(sumOf(fmt.Sprintf("y%d", i))+" AS "+name, name, &q.values[i])
	}
	if q.c.bounds {
		add("min(lo) AS los", "los", &q.lo)
		add("max(hi) AS his", "his", &q.hi)
	}
	body := "SELECT " + strings.Join(list, ", ") + " FROM (" + r.source(s, q.c) + ")"
	if len(by) > 0 {
		body += " GROUP BY " + strings.Join(by, ", ")
	} else {
		// Without a key there would be a row even if there is nothing to sum.
		body += " HAVING count() > 0"
	}
	return body, result
}

func (q *rowQuery) row(i int) mergeRow {
	row := noBounds
	row.count = count64(q.count[i])
	if q.c.stack {
		row.stack = layout.FromID(q.stack[i])
	}
	if q.c.lock {
		row.lock = q.lock[i]
	}
	if q.c.syscall {
		row.syscall, row.failed = q.syscall[i], q.failed[i] != 0
		row.bucket = min(q.bucket[i], profile.LatencyBuckets-1)
	}
	for v := range q.c.values {
		row.value[v] = sum64(q.values[v][i])
	}
	if q.c.values == 0 {
		row.value[0] = sum64(q.count[i])
	}
	if q.c.bounds {
		row.lo, row.hi = q.lo[i], q.hi[i]
	}
	return row
}
