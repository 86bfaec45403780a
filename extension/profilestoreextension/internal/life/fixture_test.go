package life

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktest"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkwriter"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/compact"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/writer"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// delay is for how long replaced rows stay in most of these tests: longer than
// compactors and keepers take on a busy machine.
const delay = 10 * time.Second

// fixture is a store of its own, and the windows that were written to it.
type fixture struct {
	*testing.T
	pool   *chconn.Pool
	tables schema.Options
	writer *chunkwriter.Writer
	source *chunktest.Source
	delay  time.Duration

	mu      sync.Mutex
	windows []*profilestore.Window
}

func newFixture(t *testing.T) *fixture {
	pool, tables := chunktest.Open(t)
	return &fixture{
		T: t, pool: pool, tables: tables, source: chunktest.NewSource(uint64(len(t.Name()))),
		writer: chunkwriter.New(pool, writer.Options{Tables: tables, KnownEntries: 100_000}), delay: delay,
	}
}

func (f *fixture) exec(statement string) string {
	f.Helper()
	return clickhousetest.Exec(f, clickhousetest.Start(f), statement)
}

// write writes a window with profiles of an hour, hours before the present one.
func (f *fixture) write(ctx context.Context, hours int64, n int) {
	f.writeAt(ctx, (time.Now().Unix()/3600-hours)*3600*chunktest.Second, 3590*chunktest.Second, n)
}

// writeAt writes a window with profiles that begin in a time, in Unix nanoseconds.
func (f *fixture) writeAt(ctx context.Context, start, span int64, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.source.Window(start, span, n)
	require.NoError(f, f.writer.Write(ctx, w))
	f.windows = append(f.windows, w)
}

// compactor returns one that has always something to do.
func (f *fixture) compactor(db compact.DB) *compact.Compactor {
	return compact.New(db, compact.Options{
		Tables: f.tables, Holder: "test", Lease: time.Hour,
		Rules:   compact.Rules{MinRows: 3, Quiet: time.Millisecond, Latest: time.Millisecond, DeleteDelay: f.delay},
		OnError: func(_ context.Context, err error) { f.Logf("compact: %v", err) }, // a deadline, on a busy machine
	})
}

// closer returns a compactor that closes every hour at once.
func (f *fixture) closer(db compact.DB) *compact.Compactor {
	return compact.New(db, compact.Options{
		Tables: f.tables, Holder: "test", Lease: time.Hour,
		Rules: compact.Rules{CloseAfter: -2 * time.Hour, Quiet: time.Nanosecond, DeleteDelay: time.Hour},
	})
}

func (f *fixture) keeper(db DB, change func(*Options)) *Keeper {
	o := Options{
		Tables: f.tables, Holder: "test", DeleteDelay: f.delay, Every: 20 * time.Millisecond, Sweep: time.Nanosecond,
		Retention: Retention{Profiles: f.tables.Retention, Batches: f.tables.Retention},
	}
	if change != nil {
		change(&o)
	}
	return New(db, o)
}

func (f *fixture) written() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.windows)
}

// of reports whether a group is of a target.
func of(t profilestore.Target, g *profile.Group) bool {
	if g.Series.Tenant != t.Tenant {
		return false
	}
	switch t.Scope {
	case profilestore.ScopeService:
		return g.Series.Service == t.Name
	case profilestore.ScopeAgent:
		for _, l := range g.Series.Labels {
			if l.Name == profile.AttrAgentID {
				return l.Value == t.Name
			}
		}
		return false
	}
	return true
}

// without returns a window without what goes.
func without(w *profilestore.Window, goes func(*profile.Group) bool) *profilestore.Window {
	g := *w.Groups
	g.Groups = nil
	for _, group := range w.Groups.Groups {
		if !goes(group) {
			g.Groups = append(g.Groups, group)
		}
	}
	return &profilestore.Window{Token: w.Token, Groups: &g}
}

func contents(windows []*profilestore.Window, goes func(*profile.Group) bool) *chunktest.Contents {
	c := chunktest.NewContents()
	for _, w := range windows {
		c.AddWindow(without(w, goes))
	}
	return c
}

func nothing(*profile.Group) bool { return false }

// finish passes until a job is done.
func (f *fixture) finish(k *Keeper, tenant, id string) {
	f.Helper()
	require.Eventually(f, func() bool {
		require.NoError(f, k.Pass(f.Context()))
		j, err := k.DeleteJob(f.Context(), tenant, id)
		require.NoError(f, err)
		require.Empty(f, j.Error)
		return j.State == profilestore.JobDone
	}, 3*time.Minute, 50*time.Millisecond)
}

// check compares what is visible.
func (f *fixture) check(want *chunktest.Contents) {
	f.Helper()
	got := chunktest.Read(f, f.pool, f.tables)
	require.Equal(f, len(want.Profiles), len(got.Profiles), "profiles")
	require.Equal(f, want.Profiles, got.Profiles)
	require.Equal(f, want.Places, got.Places)
}

// rows counts rows of the table.
func (f *fixture) rows(where string) string {
	return f.exec("SELECT count() FROM " + f.tables.Table("chunks") + " WHERE " + where)
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }
