package chunkreader

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// aggregator is a sink that lets ClickHouse sum up rows that count as a whole,
// which is cheaper than fetching the entries of many services. It returns the rows
// that are left for whole.
type aggregator interface {
	aggregate(ctx context.Context, g *gathering, rows []*chunkrow.Row) (left []*chunkrow.Row, err error)
}

// aggregate implements [aggregator].
func (k *kinds) aggregate(ctx context.Context, g *gathering, rows []*chunkrow.Row) (left []*chunkrow.Row, err error) {
	if g.service != "" || !k.plain() {
		return rows, nil
	}
	byKind := make(map[kindKey][]*chunkrow.Row)
	for _, row := range rows {
		if _, twice := g.twice[row.ID]; twice || row.Dictionary != 0 {
			left = append(left, row)
			continue
		}
		key := k.key(row)
		byKind[key] = append(byKind[key], row)
	}
	for key, rows := range byKind {
		a := aggregation{g: g, kind: key, rows: len(rows), wanted: idTable(rows)}
		// The largest are found by ClickHouse if it sums everything.
		if len(left) == 0 && len(g.scan.cut) == 0 {
			a.keep = k.keep
		}
		for _, row := range rows {
			a.to = k.of(row, row.First, row.Last)
		}
		if err := a.run(ctx, k); err != nil {
			return nil, err
		}
	}
	return left, nil
}

// aggregation sums up rows of one kind by stack.
type aggregation struct {
	g      *gathering
	kind   kindKey
	rows   int // that are wanted
	wanted ch.ExternalTable
	to     *kindSums
	keep   int // rows, 0 for all
}

// split returns v and carry of a sum of v + carry * 2^64. That of int64 is never so
// large that the carry does not fit.
func split(sum proto.Int128) (v int64, carry int32) {
	v = int64(sum.Low)
	carry = int32(sum.High)
	if v < 0 {
		carry++
	}
	return v, carry
}

// boundedCount returns n, or the largest uint64 if it is beyond.
func boundedCount(n proto.UInt128) uint64 {
	if n.High != 0 {
		return math.MaxUint64
	}
	return n.Low
}

// rowMark is an entry that the query adds to each row, with the first value 1: its
// sum is how many rows were read. No stack has this id.
var rowMark = proto.UInt128{Low: math.MaxUint64, High: math.MaxUint64}

// check returns an error unless all rows were read, each once: some may have been
// deleted since the headers were read, or be there twice by now.
func (a *aggregation) check(rows int64) error {
	switch {
	case rows < int64(a.rows):
		return gone(a.rows-int(rows), a.rows)
	case rows > int64(a.rows):
		return fmt.Errorf("%w: %d rows of chunks are there twice by now", profilestore.ErrUnavailable, rows-int64(a.rows))
	}
	return nil
}

func (a *aggregation) query(list string) chconn.Query {
	q := chconn.Query{Params: a.g.params.Clone(), Query: ch.Query{ExternalTables: []ch.ExternalTable{a.wanted}}}
	q.Params.String("kind", a.kind.kind)
	q.Params.String("types", a.kind.types)
	q.Body = "SELECT " + list + " FROM " + a.g.from + " WHERE " + a.g.of(a.g.scan.whole) + " AND kind = {kind:String} AND types = {types:String}" + isWanted
	return q
}

// look finds out whether any row has counts and extremes of its own, and, if only
// the largest rows are kept, the sums of all: those of profiles are the same as
// those of entries, in less to read.
func (a *aggregation) look(ctx context.Context) (counts, bounds bool, err error) {
	var n, m, rows proto.ColUInt64
	var events proto.ColUInt128
	var totals [profile.MaxTypes]proto.ColInt128
	list := "max(length(counts)) AS n, max(length(minima)) AS m, count() AS r"
	result := proto.Results{{Name: "n", Data: &n}, {Name: "m", Data: &m}, {Name: "r", Data: &rows}}
	if a.keep > 0 {
		list += ", sum(toUInt128(events)) AS e"
		result = append(result, proto.ResultColumn{Name: "e", Data: &events})
		for j := range a.to.types {
			name := fmt.Sprintf("p%d", j)
			list += fmt.Sprintf(", sum(arraySum(arrayMap(v -> toInt128(v), pt%d))) AS %s", j, name)
			result = append(result, proto.ResultColumn{Name: name, Data: &totals[j]})
		}
	}
	found := int64(0)
	q := a.query(list)
	q.Result = result
	q.OnResult = func(context.Context, proto.Block) error {
		for i := range n {
			found += int64(rows[i])
			counts, bounds = n[i] > 0, m[i] > 0
			if a.keep > 0 {
				a.to.largest = &largest{all: figures{count: boundedCount(events[i])}}
				for j := range a.to.types {
					a.to.largest.all.values[j] = bounded(split(totals[j][i]))
				}
			}
		}
		return nil
	}
	if err := a.g.base.Do(ctx, "look", q); err != nil {
		return false, false, fmt.Errorf("read chunks: %w", err)
	}
	return counts, bounds, a.check(found)
}

func (a *aggregation) run(ctx context.Context, k *kinds) error {
	counts, bounds := false, false
	if !k.values || a.keep > 0 {
		var err error
		if counts, bounds, err = a.look(ctx); err != nil {
			return err
		}
		counts, bounds = counts && !k.values, bounds && !k.values
	}
	var stack proto.ColUInt128
	var values [profile.MaxTypes]proto.ColInt128
	var count proto.ColUInt128
	var lo, hi proto.ColInt64
	result := proto.Results{{Name: "stack", Data: &stack}}
	mark := "bitNot(toUInt128(0))" // rowMark
	inner, join, outer := []string{"arrayPushBack(stacks, " + mark + ") AS ids"}, []string{"ids AS stack"}, []string{"stack"}
	for j := range a.to.types {
		name := fmt.Sprintf("s%d", j)
		if j == 0 {
			// Shorter arrays are filled up with zeros by the join.
			inner = append(inner, "arrayPushBack(t0, 1) AS x0")
		} else {
			inner = append(inner, fmt.Sprintf("t%d AS x%d", j, j))
		}
		join = append(join, fmt.Sprintf("x%d AS y%d", j, j))
		outer = append(outer, fmt.Sprintf("sum(toInt128(y%d)) AS %s", j, name))
		result = append(result, proto.ResultColumn{Name: name, Data: &values[j]})
	}
	if counts {
		inner = append(inner, "if(empty(counts), arrayMap(v -> toUInt64(v), t0), counts) AS ns")
		join = append(join, "ns AS n")
		outer = append(outer, "sum(toUInt128(n)) AS c")
		result = append(result, proto.ResultColumn{Name: "c", Data: &count})
	}
	if bounds {
		inner = append(inner, "minima", "maxima", "empty(minima) AS unbounded")
		join = append(join, "minima AS l", "maxima AS h")
		outer = append(outer,
			fmt.Sprintf("min(if(unbounded OR l > h, %d, l)) AS lo", layout.NoMinimum),
			fmt.Sprintf("max(if(unbounded OR l > h, %d, h)) AS hi", layout.NoMaximum))
		result = append(result, proto.ResultColumn{Name: "lo", Data: &lo}, proto.ResultColumn{Name: "hi", Data: &hi})
	}
	q := a.query(strings.Join(inner, ", "))
	q.Body = "SELECT " + strings.Join(outer, ", ") + " FROM (" + q.Body + ") ARRAY JOIN " + strings.Join(join, ", ") + " GROUP BY stack"
	q.Result = result
	var groups uint64
	if a.keep > 0 {
		// The row without a stack is needed, however small it is.
		q.Body += fmt.Sprintf(" ORDER BY stack IN (0, %s) DESC, s0 DESC, stack LIMIT %d", mark, a.keep+2)
		q.Settings = append(q.Settings, chconn.Setting("exact_rows_before_limit", "1"))
		q.OnProfile = func(_ context.Context, p proto.Profile) error {
			groups = p.RowsBeforeLimit
			return nil
		}
	}
	rows := int64(0)
	q.OnResult = func(context.Context, proto.Block) error {
		k.mu.Lock()
		defer k.mu.Unlock()
		a.to.sums.grow(len(stack))
		for i := range stack {
			if stack[i] == rowMark {
				rows, _ = split(values[0][i])
				continue
			}
			f := none()
			row := a.to.sums.row(layout.FromID(stack[i]))
			for j := range a.to.types {
				var carry int32
				if f.values[j], carry = split(values[j][i]); carry != 0 {
					a.to.sums.carry(j, row, carry)
				}
			}
			f.count = boundedCount(proto.UInt128(values[0][i]))
			if counts {
				f.count = boundedCount(count[i])
			}
			if bounds {
				f.lo, f.hi = lo[i], hi[i]
			}
			a.to.sums.add(row, &f)
			if l := a.to.largest; l != nil && stack[i] == (proto.UInt128{}) {
				l.stackless = a.to.sums.at(row)
			}
		}
		return k.bounded()
	}
	if err := a.g.base.Do(ctx, "merge", q); err != nil {
		return fmt.Errorf("sum up chunks: %w", err)
	}
	if err := a.check(rows); err != nil {
		return err
	}
	if a.keep > 0 && a.to.largest != nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		a.to.largest.rows = int(groups) - 1 // rowMark
		return k.bounded()
	}
	return nil
}
