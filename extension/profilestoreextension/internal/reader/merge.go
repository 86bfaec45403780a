package reader

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	"golang.org/x/sync/errgroup"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// kindKey is the hash of a kind and its types, by which the queries of a merge
// are joined here: grouping by one integer is several times cheaper than by
// two strings.
type kindKey uint64

// mergeRow is one row of the answer before its stack is resolved.
type mergeRow struct {
	stack profile.ID
	lock  uint64
	count uint64
	value [profile.MaxTypes]int64
	lo    int64
	hi    int64
}

// kindRows collects the rows of one kind.
type kindRows struct {
	rows   []mergeRow
	total  int
	sums   [profile.MaxTypes]int64
	events uint64
	// The parts of sums[0] and events without a stack.
	stacklessValue  int64
	stacklessEvents uint64

	info *profilestore.KindMerge
}

// MergeStacks implements [profilestore.Reader].
func (r *Reader) MergeStacks(ctx context.Context, sel profilestore.Selector, opts profilestore.MergeOptions) (*profilestore.Merge, error) {
	s, err := newScan(r.opts.Tables, sel)
	if err != nil {
		return nil, err
	}
	if s.empty {
		return &profilestore.Merge{}, nil
	}
	limit := r.opts.MaxStacks
	if opts.MaxStacks > 0 {
		limit = opts.MaxStacks
	}
	var (
		kinds    map[kindKey]*kindRows
		infos    map[kindKey]*profilestore.KindMerge
		syscalls map[kindKey][]profilestore.SyscallStats
	)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		kinds, err = r.mergeRows(gctx, s, sel.Kinds, opts, limit)
		return err
	})
	g.Go(func() (err error) {
		infos, err = r.kindInfos(gctx, s)
		return err
	})
	if opts.BySyscall {
		g.Go(func() (err error) {
			syscalls, err = r.syscalls(gctx, s)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for key := range kinds {
		if infos[key] == nil {
			// A kind that was stored for the first time between the two queries.
			if infos, err = r.kindInfos(ctx, s); err != nil {
				return nil, err
			}
			break
		}
	}
	return r.assemble(ctx, sel, kinds, infos, syscalls, limit)
}

// assemble joins the answers of the queries of a merge and resolves its stacks.
func (r *Reader) assemble(ctx context.Context, sel profilestore.Selector, kinds map[kindKey]*kindRows, infos map[kindKey]*profilestore.KindMerge, syscalls map[kindKey][]profilestore.SyscallStats, limit int) (*profilestore.Merge, error) {
	sorted := make([]*kindRows, 0, len(kinds))
	for key, k := range kinds {
		info := infos[key]
		if info == nil {
			continue // expired meanwhile
		}
		info.Totals, info.Events, info.TotalRows = k.sums, k.events, k.total
		info.StacklessValue, info.StacklessEvents = k.stacklessValue, k.stacklessEvents
		info.Syscalls = syscalls[key]
		k.info = info
		sorted = append(sorted, k)
	}
	slices.SortFunc(sorted, func(a, b *kindRows) int {
		return cmp.Or(cmp.Compare(a.info.Kind, b.info.Kind),
			cmp.Compare(layout.EncodeTypes(a.info.Types), layout.EncodeTypes(b.info.Types)))
	})
	out := &profilestore.Merge{Kinds: make([]profilestore.KindMerge, len(sorted))}
	var ids []profile.ID
	index := make(map[profile.ID]int32)
	for i, k := range sorted {
		k.info.Rows = k.finish(limit, func(stack profile.ID) int32 {
			n, ok := index[stack]
			if !ok {
				n = int32(len(ids))
				index[stack] = n
				ids = append(ids, stack)
			}
			return n
		})
		out.Kinds[i] = *k.info
	}
	frames, err := r.stacks.Resolve(ctx, sel.Tenant, sel.Service, ids)
	if err != nil {
		return nil, err
	}
	out.Stacks = make([]profilestore.Stack, len(ids))
	for i := range ids {
		out.Stacks[i] = profilestore.Stack{ID: ids[i], Frames: frames[i]}
	}
	return out, nil
}

// finish returns the rows to answer with.
func (k *kindRows) finish(limit int, index func(profile.ID) int32) []profilestore.Row {
	rows := k.top(limit)
	out := make([]profilestore.Row, len(rows))
	for i := range rows {
		row := &rows[i]
		lo, hi := known(row.lo, row.hi)
		out[i] = profilestore.Row{
			Stack: index(row.stack), LockAddress: row.lock, Values: row.value,
			Count: row.count, Min: lo, Max: hi,
		}
	}
	return out
}

// known turns bounds that no observation gave into 0.
func known(lo, hi int64) (int64, int64) {
	if lo > hi {
		return 0, 0
	}
	return lo, hi
}

// top returns the largest rows in order.
func (k *kindRows) top(limit int) []mergeRow {
	slices.SortFunc(k.rows, func(a, b mergeRow) int {
		if c := cmp.Compare(b.value[0], a.value[0]); c != 0 {
			return c
		}
		if c := a.stack.Compare(b.stack); c != 0 {
			return c
		}
		return cmp.Compare(a.lock, b.lock)
	})
	if len(k.rows) > limit {
		k.rows = k.rows[:limit]
	}
	return k.rows
}

// add appends a row. Of more rows than four times the limit the smallest are
// forgotten, so that memory is bounded by what is asked for.
func (k *kindRows) add(row mergeRow, limit int) {
	k.total++
	k.events += row.count
	for i := range k.sums {
		k.sums[i] += row.value[i]
	}
	k.rows = append(k.rows, row)
	if len(k.rows) >= 4*max(limit, 1<<14) {
		k.top(limit)
	}
}

// valueCount returns how many values the kinds can have: reading fewer columns
// is quicker.
func valueCount(kinds []string) int {
	n := 0
	for _, k := range kinds {
		types := profile.Types(k)
		if types == nil {
			return profile.MaxTypes
		}
		n = max(n, len(types))
	}
	if n == 0 {
		return profile.MaxTypes
	}
	return n
}

// columns of the observations that a query needs.
type columns struct {
	stack, lock, syscall bool
	values               int
}

// source returns a select of the observations of a scan, one row for each: k,
// the columns asked for, c (count), y0 and so on (values), lo and hi.
func (r *Reader) source(s *scan, c columns) string {
	return union(s.hours, r.hourSource(s, c), s.raw, r.rawSource(s, c))
}

func (r *Reader) hourSource(s *scan, c columns) string {
	var b strings.Builder
	b.WriteString("SELECT cityHash64(kind, types) AS k")
	if c.stack {
		b.WriteString(", stack")
	}
	if c.lock {
		b.WriteString(", lock_address AS lock")
	}
	if c.syscall {
		b.WriteString(", syscall, bucket, error")
	}
	b.WriteString(", count AS c")
	for i := range c.values {
		fmt.Fprintf(&b, ", v%d AS y%d", i, i)
	}
	// The conversions take SimpleAggregateFunction off the types.
	b.WriteString(", toInt64(minimum) AS lo, toInt64(maximum) AS hi FROM " + r.opts.Tables.Table("stack_hours") + " WHERE " + s.whereHours())
	if c.syscall {
		b.WriteString(" AND syscall >= 0")
	}
	return b.String()
}

// rawSource unfolds the arrays of the table profiles. Arrays that were left
// empty are filled with zeros by the join; what else they mean is computed per
// profile before it.
func (r *Reader) rawSource(s *scan, c columns) string {
	var inner, join, outer strings.Builder
	inner.WriteString("SELECT cityHash64(kind, types) AS k, counts, minima, maxima, empty(minima) AS unbounded, same")
	join.WriteString("counts AS c, minima AS lo0, maxima AS hi0")
	outer.WriteString("SELECT k")
	add := func(column, alias string) {
		inner.WriteString(", " + column)
		join.WriteString(", " + column + " AS " + alias)
		outer.WriteString(", " + alias)
	}
	if c.stack {
		add("stacks", "stack")
	}
	if c.lock {
		add("lock_addresses", "lock")
	}
	if c.syscall {
		add("syscalls", "syscall")
		add("buckets", "bucket")
		add("errors", "error")
	}
	outer.WriteString(", c")
	for i := range c.values {
		fmt.Fprintf(&inner, ", v%d", i)
		fmt.Fprintf(&join, ", v%d AS x%d", i, i)
		fmt.Fprintf(&outer, ", if(bitTest(same, %d), toInt64(c), x%d) AS y%d", i, i, i)
	}
	fmt.Fprintf(&outer, ", if(unbounded, %d, lo0) AS lo, if(unbounded, %d, hi0) AS hi", layout.NoMinimum, layout.NoMaximum)
	where := s.whereRaw()
	if c.syscall {
		where += " AND notEmpty(syscalls)"
	}
	out := outer.String() + " FROM (" + inner.String() + " FROM " + r.opts.Tables.Table("profiles") + " WHERE " + where + ") ARRAY JOIN " + join.String()
	if c.syscall {
		out += " WHERE syscall >= 0"
	}
	return out
}

func (r *Reader) mergeRows(ctx context.Context, s *scan, kindNames []string, opts profilestore.MergeOptions, limit int) (map[kindKey]*kindRows, error) {
	c := columns{stack: !opts.NoStacks, lock: opts.ByLock, values: valueCount(kindNames)}
	var (
		key, lock, count proto.ColUInt64
		stack            proto.ColUInt128
		values           [profile.MaxTypes]proto.ColInt64
		lo, hi           proto.ColInt64
	)
	by := []string{"k"}
	result := proto.Results{{Name: "k", Data: &key}}
	if c.stack {
		by = append(by, "stack")
		result = append(result, proto.ResultColumn{Name: "stack", Data: &stack})
	}
	if c.lock {
		by = append(by, "lock")
		result = append(result, proto.ResultColumn{Name: "lock", Data: &lock})
	}
	sums := "sum(c) AS cs, min(lo) AS los, max(hi) AS his"
	result = append(result, proto.ResultColumn{Name: "cs", Data: &count},
		proto.ResultColumn{Name: "los", Data: &lo}, proto.ResultColumn{Name: "his", Data: &hi})
	for i := range c.values {
		sums += fmt.Sprintf(", sum(y%d) AS s%d", i, i)
		result = append(result, proto.ResultColumn{Name: fmt.Sprintf("s%d", i), Data: &values[i]})
	}
	keys := strings.Join(by, ", ")
	out := make(map[kindKey]*kindRows)
	q := chconn.Query{Params: s.params, Query: ch.Query{
		Body:   "SELECT " + keys + ", " + sums + " FROM (" + r.source(s, c) + ") GROUP BY " + keys,
		Result: result,
		OnResult: func(context.Context, proto.Block) error {
			for i := range key {
				row := mergeRow{count: count[i], lo: lo[i], hi: hi[i]}
				if c.stack {
					row.stack = layout.FromID(stack[i])
				}
				if c.lock {
					row.lock = lock[i]
				}
				for v := range c.values {
					row.value[v] = values[v][i]
				}
				k := out[kindKey(key[i])]
				if k == nil {
					k = new(kindRows)
					out[kindKey(key[i])] = k
				}
				k.add(row, limit)
				if c.stack && row.stack.IsZero() {
					k.stacklessValue += row.value[0]
					k.stacklessEvents += row.count
				}
			}
			return nil
		},
	}}
	if err := r.do(ctx, "merge", q); err != nil {
		return nil, fmt.Errorf("merge stacks: %w", err)
	}
	return out, nil
}

// kindInfos reads what is known of each kind beside its sums.
func (r *Reader) kindInfos(ctx context.Context, s *scan) (map[kindKey]*profilestore.KindMerge, error) {
	var key proto.ColUInt64
	var first, last, low, high proto.ColInt64
	kind, types := lowCardinality(), lowCardinality()
	out := make(map[kindKey]*profilestore.KindMerge)
	q := chconn.Query{Params: s.params, Query: ch.Query{
		Body: "SELECT cityHash64(kind, types) AS k, kind, types, toUnixTimestamp64Nano(min(first)) AS a, toUnixTimestamp64Nano(max(last)) AS b, min(low) AS c, max(high) AS d FROM (" + union(
			s.hours, "SELECT kind, types, first_time AS first, last_time AS last, toInt64(period_min) AS low, toInt64(period_max) AS high FROM "+r.opts.Tables.Table("kind_hours")+" WHERE "+s.whereHours(),
			s.raw, "SELECT kind, types, time AS first, end AS last, period AS low, period AS high FROM "+r.opts.Tables.Table("profiles")+" WHERE "+s.whereRaw(),
		) + ") GROUP BY kind, types",
		Result: proto.Results{
			{Name: "k", Data: &key},
			{Name: "kind", Data: kind},
			{Name: "types", Data: types},
			{Name: "a", Data: &first},
			{Name: "b", Data: &last},
			{Name: "c", Data: &low},
			{Name: "d", Data: &high},
		},
		OnResult: func(context.Context, proto.Block) error {
			for i := range key {
				info := &profilestore.KindMerge{
					Kind: kind.Row(i), Types: layout.DecodeTypes(types.Row(i)), Start: first[i], End: last[i],
				}
				if low[i] == high[i] {
					info.Period = low[i]
				}
				out[kindKey(key[i])] = info
			}
			return nil
		},
	}}
	if err := r.do(ctx, "kinds", q); err != nil {
		return nil, fmt.Errorf("read kinds: %w", err)
	}
	return out, nil
}
