package chunkreader

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/stackdict"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
	"github.com/aperture-collector/aperture-collector/internal/chunk"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// compacted makes one row out of several of a key, which it covers.
func compacted(tb testing.TB, level uint8, seq uint32, rows []*chunkrow.Row) *chunkrow.Row {
	tb.Helper()
	out := &chunkrow.Row{Header: chunkrow.Header{Key: rows[0].Key, Level: level, Seq: seq, First: rows[0].First, Last: rows[0].Last}}
	out.ID, out.Nonce = chunkrow.CompactedRowID(&out.Key, seq), proto.UInt128{Low: uint64(seq)}
	keys, ids := map[chunkrow.EntryKey]uint32{}, map[profile.ID]uint32{}
	for _, r := range rows {
		for i := range r.Keys.Len() {
			keys[r.Keys.At(i)] = 0
		}
		for _, id := range r.SeriesIDs {
			ids[layout.FromID(id)] = 0
		}
		out.Covers = append(out.Covers, r.ID)
		out.First, out.Last = min(out.First, r.First), max(out.Last, r.Last)
		out.Profiles, out.Events, out.Stored = out.Profiles+r.Profiles, out.Events+r.Events, max(out.Stored, r.Stored)
	}
	for i, k := range slices.SortedFunc(maps.Keys(keys), func(a, b chunkrow.EntryKey) int { return a.Compare(&b) }) {
		keys[k] = uint32(i)
		out.Keys.Append(&k)
	}
	for i, id := range slices.SortedFunc(maps.Keys(ids), profile.ID.Compare) {
		ids[id] = uint32(i)
		out.SeriesIDs = append(out.SeriesIDs, layout.ID(id))
	}
	var inputs []chunk.Input
	for _, r := range rows {
		c, err := r.Chunk()
		require.NoError(tb, err)
		in := chunk.Input{Chunk: c}
		for i := range r.Keys.Len() {
			in.Entries = append(in.Entries, keys[r.Keys.At(i)])
		}
		for _, id := range r.SeriesIDs {
			in.Series = append(in.Series, ids[layout.FromID(id)])
		}
		inputs = append(inputs, in)
	}
	var m chunk.Merger
	c, err := m.Merge(inputs, len(keys))
	require.NoError(tb, err)
	out.Entries, out.Columns = uint32(len(keys)), *c.Columns()
	return out
}

// newAuthor returns one that writes dictionaries of stacks.
func newAuthor(pool *chconn.Pool, o schema.Options) *stackdict.Author {
	do := func(ctx context.Context, _ string, q chconn.Query) error { return pool.Do(ctx, q) }
	insert := func(ctx context.Context, table string, input proto.Input, _ string) error {
		return pool.Do(ctx, chconn.Query{Query: ch.Query{
			Body: "INSERT INTO " + o.Table(table) + " (" + chconn.ColumnNames(input) + ") VALUES", Input: input,
			Settings: []ch.Setting{chconn.Setting("async_insert", "0")},
		}})
	}
	return stackdict.NewAuthor(stackdict.New(stackdict.Options{Tables: o, Do: do, Bytes: 1 << 20}), insert, 1<<20)
}

// insert adds rows to the table. Most of closed hours have numbers for their stacks.
func insert(tb testing.TB, pool *chconn.Pool, o schema.Options, rows ...*chunkrow.Row) {
	tb.Helper()
	author := newAuthor(pool, o)
	b := chunkrow.NewBlock()
	for _, r := range rows {
		if r.Level == chunkrow.ClosedHour && r.Seq%3 != 0 {
			var err error
			r.Dictionary, r.Dense, err = author.Number(tb.Context(), r.Tenant, r.Service, time.Now().Unix(), r.Keys.Stacks)
			require.NoError(tb, err)
		}
		b.Append(r)
	}
	_, err := author.Drain(tb.Context(), time.Now().Unix(), nil)
	require.NoError(tb, err)
	require.NoError(tb, pool.Do(tb.Context(), chconn.Query{Query: ch.Query{
		Body:     "INSERT INTO " + o.Table("chunks") + " (" + chconn.ColumnNames(b.Input()) + ") VALUES",
		Input:    b.Input(),
		Settings: []ch.Setting{chconn.Setting("insert_deduplicate", "0"), chconn.Setting("async_insert", "0")},
	}}))
}
