package chunkwriter

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktest"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/writer"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

func newWriter(pool *chconn.Pool, o schema.Options) *Writer {
	return New(pool, writer.Options{Tables: o, KnownEntries: 100_000})
}

// sql runs a statement in which %s is the quoted name of a table.
func sql(t testing.TB, o schema.Options, statement, table string) string {
	t.Helper()
	return clickhousetest.Exec(t, clickhousetest.Start(t), fmt.Sprintf(statement, o.Table(table)))
}

// TestWrite: what comes out is exactly what went in, of windows of a second, of
// several hours and of several weeks.
func TestWrite(t *testing.T) {
	pool, o := chunktest.Open(t)
	w, source, want := newWriter(pool, o), chunktest.NewSource(5), chunktest.NewContents()
	begin := time.Now().UnixMilli()
	for i, length := range []int64{1, 1, 5 * 3600, 40 * 86400} {
		// Every hour is a part of its own.
		win := source.Window(chunktest.Base+int64(i)*chunktest.Second, length*chunktest.Second, 200>>i)
		require.NoError(t, w.Write(t.Context(), win))
		want.AddWindow(win)
	}
	require.NoError(t, w.Write(t.Context(), source.Window(chunktest.Base, 1, 0)), "a window without profiles")
	assert.Equal(t, want, chunktest.Read(t, pool, o))
	rows := chunktest.ReadRows(t, pool, o, chunkrow.All)
	for _, r := range rows {
		assert.InDelta(t, begin, r.Written, float64(time.Minute/time.Millisecond))
		assert.Equal(t, writer.StoredUntil(begin/1000), r.Stored)
	}
	for i, r := range chunktest.ReadRows(t, pool, o, 0) {
		h := rows[i].Header
		h.Covers, h.BatchEvents = nil, 0
		assert.Equal(t, chunkrow.Row{Header: h}, *r, "headers alone")
	}
	assert.Equal(t, "5", sql(t, o, "SELECT count() FROM %s", "batches"))
	assertReferences(t, o)
}

// assertReferences checks that all that rows refer to is there.
func assertReferences(t *testing.T, o schema.Options) {
	t.Helper()
	for _, q := range []string{
		"SELECT tenant, service, arrayJoin(stacks) AS id FROM %[1]s.chunks WHERE id != 0 AND (tenant, service, id) NOT IN (SELECT tenant, service, stack FROM %[1]s.stacks)",
		"SELECT tenant, service, arrayJoin(series_ids) AS id FROM %[1]s.chunks WHERE (tenant, service, id) NOT IN (SELECT tenant, service, series FROM %[1]s.series)",
		"SELECT tenant, arrayJoin(attribute_sets) AS id FROM %[1]s.chunks WHERE id != 0 AND (tenant, id) NOT IN (SELECT tenant, id FROM %[1]s.attribute_sets)",
		"SELECT tenant, arrayJoin(locations) AS id FROM %[1]s.stacks WHERE (tenant, id) NOT IN (SELECT tenant, location FROM %[1]s.locations)",
		"SELECT tenant, function FROM %[1]s.locations WHERE (tenant, function) NOT IN (SELECT tenant, function FROM %[1]s.functions)",
	} {
		assert.Empty(t, clickhousetest.Exec(t, clickhousetest.Start(t), fmt.Sprintf(q+" LIMIT 1", o.Database)))
	}
	assert.NotEqual(t, "0", sql(t, o, "SELECT count() FROM %s", "functions"))
}

// TestRepeatedWrites: windows that are written again and again, also at once and
// by writers that know nothing of each other, are there once. Equal windows with
// two tokens are two.
func TestRepeatedWrites(t *testing.T) {
	pool, o := chunktest.Open(t)
	source, want := chunktest.NewSource(6), chunktest.NewContents()
	var windows []*profilestore.Window
	for i := range int64(4) {
		w := source.Window(chunktest.Base+i*chunktest.Second, 3*3600*chunktest.Second, 40)
		again := &profilestore.Window{Token: profile.ID{Hi: 1, Lo: uint64(i)}, Groups: w.Groups}
		windows = append(windows, w, again)
		want.AddWindow(w)
		want.AddWindow(again)
	}
	var wg sync.WaitGroup
	for range 3 {
		w := newWriter(pool, o)
		wg.Go(func() {
			for _, win := range windows {
				assert.NoError(t, w.Write(context.Background(), win))
			}
		})
	}
	wg.Wait()
	sql(t, o, "OPTIMIZE TABLE %s FINAL", "chunks")
	for _, win := range windows {
		require.NoError(t, newWriter(pool, o).Write(t.Context(), win))
	}
	assert.Equal(t, want, chunktest.Read(t, pool, o))
	var n int
	rows := newRows(maxRowBytes)
	for _, win := range windows {
		n += len(rowsOf(t, rows, win))
	}
	assert.Equal(t, fmt.Sprint(n), sql(t, o, "SELECT count() FROM %s", "chunks"), "no row is there twice, not even unseen")
	assert.Equal(t, fmt.Sprint(len(windows)), sql(t, o, "SELECT count() FROM %s", "batches"))
}

// TestForgottenToken: a window that is written again when its token is no longer
// remembered makes rows of the same ids, of which one counts.
func TestForgottenToken(t *testing.T) {
	pool, o := chunktest.Open(t)
	w, want := newWriter(pool, o), chunktest.NewContents()
	win := chunktest.NewSource(7).Window(chunktest.Base, chunktest.Second, 50)
	want.AddWindow(win)
	require.NoError(t, w.Write(t.Context(), win))
	n := sql(t, o, "SELECT count() FROM %s", "chunks")
	sql(t, o, "ALTER TABLE %s MODIFY SETTING non_replicated_deduplication_window = 0", "chunks")
	require.NoError(t, w.Write(t.Context(), win))
	require.NotEqual(t, n, sql(t, o, "SELECT count() FROM %s", "chunks"))
	assert.Equal(t, want, chunktest.Read(t, pool, o))
}

// TestKilledBetweenTables: ClickHouse is killed when a window's references are
// stored and its rows are not. Another process writes it again.
func TestKilledBetweenTables(t *testing.T) {
	pool, o := chunktest.Open(t)
	server := clickhousetest.Start(t)
	source, want := chunktest.NewSource(8), chunktest.NewContents()
	for i := range int64(2) {
		w := newWriter(pool, o)
		win := source.Window(chunktest.Base+i*chunktest.Second, 2*3600*chunktest.Second, 30)
		want.AddWindow(win)
		clickhousetest.Exec(t, server, "RENAME TABLE "+o.Table("chunks")+" TO "+o.Table("hidden"))
		err := w.Write(t.Context(), win)
		require.ErrorIs(t, err, profilestore.ErrUnavailable)
		require.ErrorContains(t, err, "rows to chunks")
		assert.NotEqual(t, "0", sql(t, o, "SELECT count() FROM %s", "stacks"))
		clickhousetest.Kill(t, server)
		clickhousetest.WaitReady(t, server)
		clickhousetest.Exec(t, server, "RENAME TABLE "+o.Table("hidden")+" TO "+o.Table("chunks"))
		for _, w := range []*Writer{w, newWriter(pool, o)} {
			require.Eventually(t, func() bool { return w.Write(t.Context(), win) == nil }, time.Minute, 10*time.Millisecond)
		}
		clickhousetest.Kill(t, server)
		clickhousetest.WaitReady(t, server)
		require.Eventually(t, func() bool { return w.Write(t.Context(), win) == nil }, time.Minute, 10*time.Millisecond)
		require.Equal(t, want, chunktest.Read(t, pool, o))
	}
	assertReferences(t, o)
}

// TestForget: a writer whose tables were lost writes all that new rows refer to.
func TestForget(t *testing.T) {
	pool, o := chunktest.Open(t)
	w, source := newWriter(pool, o), chunktest.NewSource(9)
	require.NoError(t, w.Write(t.Context(), source.Window(chunktest.Base, 1, 50)))
	assert.NotZero(t, w.KnownEntries())
	for _, table := range []string{"chunks", "stacks", "series", "locations", "functions", "attribute_sets"} {
		sql(t, o, "TRUNCATE TABLE %s", table)
	}
	w.Forget()
	assert.Zero(t, w.KnownEntries())
	require.NoError(t, w.Write(t.Context(), source.Window(chunktest.Base, 1, 50)))
	assertReferences(t, o)
}

// TestInvalid: what the tables cannot hold is refused for good.
func TestInvalid(t *testing.T) {
	pool, o := chunktest.Open(t)
	w := newWriter(pool, o)
	for _, at := range []int64{-1, profile.MaxTime} {
		win := chunktest.NewSource(10).Window(chunktest.Base, 1, 1)
		win.Groups.Groups[0].Start = at
		require.ErrorIs(t, w.Write(t.Context(), win), profile.ErrInvalid)
	}
	assert.Equal(t, "0", sql(t, o, "SELECT count() FROM %s", "series"))
}
