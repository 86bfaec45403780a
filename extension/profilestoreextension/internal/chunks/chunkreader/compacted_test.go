package chunkreader

import (
	"maps"
	"slices"
	"testing"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
	"github.com/aperture-collector/aperture-collector/internal/chunk"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// compacted makes one row out of several of a key, which it covers.
func compacted(tb testing.TB, level uint8, seq uint32, rows []*chunkrow.Row) *chunkrow.Row {
	tb.Helper()
	out := &chunkrow.Row{Header: chunkrow.Header{Key: rows[0].Key, Level: level, Seq: seq, First: rows[0].First, Last: rows[0].Last}}
	out.ID, out.Nonce = chunkrow.CompactedRowID(&out.Key, level, seq), proto.UInt128{Low: uint64(seq)}
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

// insert adds rows to the table.
func insert(tb testing.TB, pool *chconn.Pool, o schema.Options, rows ...*chunkrow.Row) {
	tb.Helper()
	b := chunkrow.NewBlock()
	for _, r := range rows {
		b.Append(r)
	}
	require.NoError(tb, pool.Do(tb.Context(), chconn.Query{Query: ch.Query{
		Body:     "INSERT INTO " + o.Table("chunks") + " (" + chconn.ColumnNames(b.Input()) + ") VALUES",
		Input:    b.Input(),
		Settings: []ch.Setting{chconn.Setting("insert_deduplicate", "0"), chconn.Setting("async_insert", "0")},
	}}))
}
