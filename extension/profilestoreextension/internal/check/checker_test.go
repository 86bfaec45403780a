package check

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktest"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkwriter"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/compact"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/life"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/writer"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// fixture is a store of its own.
type fixture struct {
	*testing.T
	pool   *chconn.Pool
	tables schema.Options
	source *chunktest.Source
	// hour began three hours before this one, in Unix seconds.
	hour int64
}

func newFixture(t *testing.T) *fixture {
	pool, tables := chunktest.Open(t)
	f := &fixture{T: t, pool: pool, tables: tables, source: chunktest.NewSource(3), hour: (time.Now().Unix()/3600 - 3) * 3600}
	f.exec("INSERT INTO " + tables.Table("schema_migrations") + " (version, applied_at) VALUES (6, now() - INTERVAL 2 DAY)")
	return f
}

func (f *fixture) exec(statement string) string {
	f.Helper()
	return clickhousetest.Exec(f, clickhousetest.Start(f), statement)
}

func (f *fixture) number(statement string) uint64 {
	f.Helper()
	n, err := strconv.ParseUint(f.exec(statement), 10, 64)
	require.NoError(f, err)
	return n
}

// window makes one with profiles of two hours.
func (f *fixture) window() *profilestore.Window {
	return f.source.Window(f.hour*chunktest.Second, 7200*chunktest.Second, 60)
}

// write stores windows as a process does that knows nothing.
func (f *fixture) write(windows ...*profilestore.Window) {
	f.Helper()
	w := chunkwriter.New(f.pool, writer.Options{Tables: f.tables, KnownEntries: 1000})
	for _, win := range windows {
		require.NoError(f, w.Write(f.Context(), win))
	}
}

func (f *fixture) compact(rules compact.Rules) {
	f.Helper()
	c := compact.New(f.pool, compact.Options{
		Tables: f.tables, Holder: "test", Lease: time.Hour, Rules: rules,
		OnError: func(_ context.Context, err error) { f.Errorf("compact: %v", err) },
	})
	require.NoError(f, c.Pass(f.Context()))
}

// check checks everything twice from the begin, and returns what is found.
func (f *fixture) check(change func(*Options)) (totals Totals, found []Difference) {
	f.Helper()
	hours := 0
	o := Options{
		Tables: f.tables, First: 1, Again: 1, Lookback: 5 * time.Hour, OnHour: func(context.Context) { hours++ },
		OnDifference: func(_ context.Context, d Difference) { found = append(found, d) },
	}
	if change != nil {
		change(&o)
	}
	c := New(f.pool, o)
	require.NoError(f, c.Pass(f.Context()))
	require.Empty(f, found, "what was seen once may be under way")
	for range 2 {
		found = nil
		require.NoError(f, c.Pass(f.Context()))
	}
	require.GreaterOrEqual(f, hours, 2)
	totals, leads := c.Totals()
	require.True(f, leads)
	return totals, found
}

// exact checks that there is no difference.
func (f *fixture) exact() {
	f.Helper()
	totals, found := f.check(nil)
	require.Zero(f, totals, "%v", found)
}

// TestExact: whatever happens to what is stored, there is no difference.
func TestExact(t *testing.T) {
	f := newFixture(t)
	a, b, none := f.window(), f.window(), f.window()
	none.Groups.Batches = nil
	f.write(a, b, none, a, none)
	f.write(b)
	require.NotZero(t, f.number("SELECT sum(batch_events) FROM "+f.tables.Table("chunks")))
	require.Less(t, f.number("SELECT sum(batch_events) FROM "+f.tables.Table("chunks")), f.number("SELECT sum(events) FROM "+f.tables.Table("chunks")))
	f.exact()
	// A batch of which nothing is there has said so.
	empty := f.window()
	empty.Groups.Groups, empty.Groups.Batches[0].EventCount = nil, 0
	f.write(empty)
	f.exact()
	f.compact(compact.Rules{MinRows: 2, CloseAfter: 10 * time.Hour, Quiet: 10 * time.Hour, Latest: 10 * time.Hour})
	require.NotZero(t, f.number("SELECT count() FROM "+f.tables.Table("chunks")+" WHERE level = 1"))
	f.exact()
	f.write(f.window())
	f.compact(compact.Rules{Quiet: time.Nanosecond, Latest: time.Nanosecond})
	require.NotZero(t, f.number("SELECT count() FROM "+f.tables.Table("chunks")+" WHERE level = 2"))
	f.exact()
	// What comes late, and a repetition after the token was forgotten.
	f.write(f.window())
	for _, table := range []string{"chunks", "batches"} {
		f.exec("ALTER TABLE " + f.tables.Table(table) + " MODIFY SETTING non_replicated_deduplication_window = 0")
	}
	before := f.number("SELECT count() FROM " + f.tables.Table("batches"))
	f.write(a)
	require.Equal(t, before+1, f.number("SELECT count() FROM "+f.tables.Table("batches")))
	f.exact()
	f.compact(compact.Rules{Quiet: time.Nanosecond, Latest: time.Nanosecond})
	f.exact()
}

// TestDifferences: what is lost, doubled or left out is found.
func TestDifferences(t *testing.T) {
	f := newFixture(t)
	f.write(f.window(), f.window(), f.window())
	chunks := f.tables.Table("chunks")
	id := f.exec("SELECT id FROM " + chunks + " WHERE batch_events > 0 ORDER BY id LIMIT 1")
	lost := f.number("SELECT batch_events FROM " + chunks + " WHERE id = " + id)
	f.exec("CREATE TABLE " + f.tables.Table("kept") + " AS " + chunks + " ENGINE = MergeTree ORDER BY id")
	f.exec("INSERT INTO " + f.tables.Table("kept") + " SELECT * FROM " + chunks + " WHERE id = " + id)
	f.exec("ALTER TABLE " + chunks + " DELETE WHERE id = " + id + " SETTINGS mutations_sync = 2")
	totals, found := f.check(nil)
	assert.Equal(t, Totals{Stored: lost}, totals)
	require.Len(t, found, 1)
	assert.Equal(t, lost, found[0].Stored())
	assert.Equal(t, "anonymous", found[0].Tenant)
	assert.Equal(t, found[0].Batches-lost, found[0].Chunks)
	other, _ := f.check(func(o *Options) { o.Lead = func() bool { return true } })
	assert.Equal(t, totals, other)

	// It comes back, twice.
	f.exec("INSERT INTO " + chunks + " SELECT * FROM " + f.tables.Table("kept"))
	f.exact()
	f.exec("INSERT INTO " + chunks + " SELECT * REPLACE (id + 1 AS id) FROM " + f.tables.Table("kept"))
	totals, _ = f.check(nil)
	assert.Equal(t, Totals{Stored: lost}, totals)
	f.exec("ALTER TABLE " + chunks + " DELETE WHERE id = " + id + " + 1 SETTINGS mutations_sync = 2")
	f.exact()

	// A processor takes out what a batch has counted.
	w := f.window()
	w.Groups.Batches[0].EventCount += 7
	f.write(w)
	totals, found = f.check(nil)
	assert.Equal(t, Totals{Received: 7}, totals)
	require.Len(t, found, 1)
	assert.EqualValues(t, 7, found[0].Missing)
}

// TestLeftOut: what cannot be compared is not.
func TestLeftOut(t *testing.T) {
	f := newFixture(t)
	f.write(f.window(), f.window())
	chunks := f.tables.Table("chunks")
	f.exec("ALTER TABLE " + chunks + " DELETE WHERE kind = 'cpu' SETTINGS mutations_sync = 2")
	totals, _ := f.check(nil)
	require.NotZero(t, totals.Stored)
	left := func(what string, change func(*Options)) {
		t.Helper()
		got, _ := f.check(change)
		assert.Zero(t, got, what)
	}
	left("of that age something may have ended", func(o *Options) { o.Retention = func(string) time.Duration { return 2 * time.Hour } })
	c := New(f.pool, Options{Tables: f.tables, First: 1, Lead: func() bool { return false }})
	require.NoError(t, c.Pass(t.Context()))
	_, leads := c.Totals()
	assert.False(t, leads)
	_, all := f.check(nil)
	require.Len(t, all, 2)
	_, newer := f.check(func(o *Options) { o.Limited = true })
	require.Len(t, newer, 1, "of the first hour something may have been dropped")
	assert.Equal(t, f.hour+3600, newer[0].Hour.Unix())

	// Somebody who does not know the column compacts.
	columns := f.exec("SELECT arrayStringConcat(groupArray(name), ',') FROM system.columns WHERE database = '" + f.tables.Database + "' AND table = 'chunks' AND name NOT IN ('batch_events', 'id')")
	f.exec("INSERT INTO " + chunks + " (id, " + columns + ") SELECT id + 1, " + columns + " FROM " + chunks)
	left("rows of an earlier version", nil)
}

// TestDeletes: of what was asked to be deleted nothing is expected, and what comes
// later is checked.
func TestDeletes(t *testing.T) {
	f := newFixture(t)
	f.write(f.window(), f.window())
	f.compact(compact.Rules{Quiet: time.Nanosecond, Latest: time.Nanosecond})
	delay := 500 * time.Millisecond
	k := life.New(f.pool, life.Options{
		Tables: f.tables, DeleteDelay: delay, Sweep: time.Hour, Retention: life.Retention{Profiles: f.tables.Retention, Batches: f.tables.Retention},
	})
	j, err := k.Delete(t.Context(), profilestore.Target{Tenant: "anonymous", Scope: profilestore.ScopeAgent, Name: "agent-0"})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		require.NoError(t, k.Pass(t.Context()))
		j, err = k.DeleteJob(t.Context(), j.Target.Tenant, j.ID)
		require.NoError(t, err)
		return j.State == profilestore.JobDone
	}, time.Minute, 20*time.Millisecond)
	assert.Zero(t, f.number("SELECT count() FROM "+f.tables.Table("batches")))
	f.exact()
}

// TestAccounts: every tenant of a window has one batch with the sums of all rows.
func TestAccounts(t *testing.T) {
	f := newFixture(t)
	w := f.window()
	first := w.Groups.Batches[0]
	second := profile.Batch{Tenant: "other", AgentID: "x", Sequence: 1, ReceivedAt: first.ReceivedAt}
	for _, g := range w.Groups.Groups {
		if g.Series.Tenant == "other" {
			second.EventCount += g.Events()
		}
	}
	third := first
	third.Sequence++
	third.EventCount = 0
	w.Groups.Batches = append(w.Groups.Batches, second, third)
	f.write(w)
	batches := f.tables.Table("batches")
	assert.EqualValues(t, 2, f.number("SELECT countIf(window_id != 0) FROM "+batches))
	assert.Equal(t, w.Groups.Events, f.number("SELECT sum(arraySum(hour_events)) FROM "+batches))
	assert.Equal(t, w.Groups.Events, f.number("SELECT sum(batch_events) FROM "+f.tables.Table("chunks")))
	assert.Zero(t, f.number("SELECT sum(missing) FROM "+batches))
	f.exact()
}

// TestLeadingAgain: what was found stays known while somebody else leads, and is
// compared again before it counts.
func TestLeadingAgain(t *testing.T) {
	f := newFixture(t)
	f.write(f.window(), f.window())
	chunks := f.tables.Table("chunks")
	f.exec("CREATE TABLE " + f.tables.Table("kept") + " AS " + chunks + " ENGINE = MergeTree ORDER BY id")
	f.exec("INSERT INTO " + f.tables.Table("kept") + " SELECT * FROM " + chunks + " WHERE kind = 'cpu'")
	f.exec("ALTER TABLE " + chunks + " DELETE WHERE kind = 'cpu' SETTINGS mutations_sync = 2")
	leads := true
	c := New(f.pool, Options{Tables: f.tables, First: 1, Again: 1, Lookback: 5 * time.Hour, Lead: func() bool { return leads }})
	pass := func(lead bool) Totals {
		t.Helper()
		leads = lead
		require.NoError(t, c.Pass(t.Context()))
		totals, checks := c.Totals()
		require.Equal(t, lead, checks)
		return totals
	}
	assert.Zero(t, pass(true), "seen once")
	assert.Zero(t, pass(false))
	assert.NotZero(t, pass(true), "seen twice")
	assert.Zero(t, pass(false))
	f.exec("INSERT INTO " + chunks + " SELECT * FROM " + f.tables.Table("kept"))
	assert.Zero(t, pass(true))
}
