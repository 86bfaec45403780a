package cluster_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/check"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktest"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/firstlayout"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/life"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// deleteDelay is for how long replaced rows stay in these tests.
const deleteDelay = 2 * time.Second

// keeper deletes by way of one of the servers.
func (t *tables) keeper(server int, change func(*life.Options)) *life.Keeper {
	o := life.Options{
		Tables: t.Options, Everywhere: t.nodes, Holder: "test", DeleteDelay: deleteDelay, Sweep: time.Nanosecond,
		Retention: life.Retention{Profiles: t.Retention, Batches: t.Retention},
		OnError:   func(_ context.Context, err error) { t.Errorf("keep: %v", err) },
	}
	if change != nil {
		change(&o)
	}
	return life.New(t.pool(server), o)
}

// eventually passes until something is so.
func eventually(t *testing.T, k *life.Keeper, done func() bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		require.NoError(t, k.Pass(t.Context()))
		return done()
	}, 3*time.Minute, 50*time.Millisecond)
}

// without returns windows without the groups that go.
func without(all []*profilestore.Window, goes func(*profile.Series) bool) []*profilestore.Window {
	out := make([]*profilestore.Window, len(all))
	for i, w := range all {
		g := *w.Groups
		g.Groups = slices.DeleteFunc(slices.Clone(g.Groups), func(g *profile.Group) bool { return goes(g.Series) })
		out[i] = &profilestore.Window{Token: w.Token, Groups: &g}
	}
	return out
}

// testDeletes: what is asked to be deleted goes on all shards, of rows of all levels.
func testDeletes(t *testing.T, servers []*clickhousetest.Node) {
	cluster := newTables(t, servers, clickhousetest.ClusterName)
	all := windows(6, 4)
	write(t, cluster.writer(0), all[:2]...)
	for part := range shards {
		require.NoError(t, cluster.compact(part, part, shards))
	}
	write(t, cluster.writer(1), all[2:]...)
	jobs := []profilestore.Target{
		{Tenant: "anonymous", Scope: profilestore.ScopeAgent, Name: "agent-0"},
		{Tenant: "other", Scope: profilestore.ScopeTenant, Name: "other"},
	}
	k := cluster.keeper(2, nil)
	for _, target := range jobs {
		_, err := k.Delete(t.Context(), target)
		require.NoError(t, err)
	}
	eventually(t, k, func() bool {
		for _, target := range jobs {
			list, err := k.DeleteJobs(t.Context(), target.Tenant)
			require.NoError(t, err)
			require.Len(t, list, 1)
			require.Empty(t, list[0].Error)
			if list[0].State != profilestore.JobDone {
				return false
			}
		}
		return true
	})
	assert.Equal(t, contentsOf(without(all, func(s *profile.Series) bool { return s.Tenant == "other" || s.AgentID() == "agent-0" })), cluster.contents(0))
	assert.Zero(t, cluster.count(0, "batches", "1"), "all were of the agent")
	assert.Zero(t, cluster.count(1, "chunks", "tenant = 'other' AND level = 2 AND profiles_n > 0"), "what others replaced goes with the next compaction")
}

// testRetention: what lives shorter than the tables say goes on all shards.
func testRetention(t *testing.T, servers []*clickhousetest.Node) {
	cluster := newTables(t, servers, clickhousetest.ClusterName)
	all := windows(7, 4)
	write(t, cluster.writer(0), all...)
	for server := range servers {
		for _, table := range []string{"chunks_local", "batches_local"} {
			cluster.exec(server, "ALTER TABLE "+cluster.Table(table)+" UPDATE stored = now() - INTERVAL 5 HOUR WHERE 1 SETTINGS mutations_sync = 2")
		}
	}
	k := cluster.keeper(0, func(o *life.Options) {
		o.Retention.Overrides = []life.Override{{Tenant: "other", Retention: 2 * time.Hour}}
	})
	eventually(t, k, func() bool { return cluster.count(0, "chunks", "tenant = 'other'") == 0 })
	assert.Equal(t, contentsOf(without(all, func(s *profile.Series) bool { return s.Tenant == "other" })), cluster.contents(1))
}

// testLimits: the oldest hours go on all shards, and the newest never does.
func testLimits(t *testing.T, servers []*clickhousetest.Node) {
	cluster := newTables(t, servers, clickhousetest.ClusterName)
	all := windows(8, 8)
	write(t, cluster.writer(0), all...)
	newest := fmt.Sprintf("hour = toDateTime(%d, 'UTC')", chunktest.Base/chunktest.Second+3600)
	before := cluster.count(0, "chunks", newest)
	k := cluster.keeper(1, func(o *life.Options) { o.Limits.MaxBytes = 1 })
	eventually(t, k, func() bool { return cluster.count(0, "chunks", "NOT "+newest) == 0 })
	require.NoError(t, k.Pass(t.Context()))
	assert.Equal(t, before, cluster.count(2, "chunks", newest))
	u, err := k.Usage(t.Context())
	require.NoError(t, err)
	assert.NotEmpty(t, u.Short)
}

// testFirstLayout: rows of the first layout move to chunks, on whatever shard they are,
// and its tables go from all servers.
func testFirstLayout(t *testing.T, servers []*clickhousetest.Node) {
	cluster := newTables(t, servers, clickhousetest.ClusterName)
	script, err := os.ReadFile("../firstlayout/testdata/first.sql")
	require.NoError(t, err)
	statements, err := cluster.Render("first", string(script))
	require.NoError(t, err)
	for server := range servers {
		for _, s := range statements {
			cluster.exec(server, s)
		}
	}
	// Whoever looks for the tables finds none before they have rows.
	var rows []string
	for i := range 300 {
		at := chunktest.Base + int64(i)*20*chunktest.Second
		time := func(ns int64) string { return fmt.Sprintf("fromUnixTimestamp64Nano(%d, 'UTC')", ns) }
		rows = append(rows, fmt.Sprintf("('t', 'service-%d', 'cpu', %s, %s, %d, 'samples/count,cpu/nanoseconds', 'p/n', 7, %d, [%d, %d], [], [%d, 2], 1, [], [%d, 9], [], [], [], [], [], [], [], [], now())",
			i%7, time(at), time(at+5), i%3, i+2, i%5+1, 10+i%4, i, i))
	}
	cluster.exec(0, "INSERT INTO "+cluster.Table("profiles")+" SETTINGS distributed_foreground_insert = 1 VALUES "+strings.Join(rows, ", "))
	cluster.spread("profiles", "1")
	want := cluster.exec(0, "SELECT service, time, series, sum(events), sum(arraySum(counts)), sum(arraySum(v1)) FROM "+cluster.Table("profiles")+
		" GROUP BY service, time, series ORDER BY service, time, series")
	o := firstlayout.Options{Tables: cluster.Options, Everywhere: cluster.nodes, MaxMemoryUsage: 256 << 20}
	require.NoError(t, firstlayout.Convert(t.Context(), cluster.pool(1), o))
	require.NoError(t, firstlayout.Convert(t.Context(), cluster.pool(0), o))
	assert.Equal(t, want, cluster.exec(2, "SELECT service, time, series, sum(events), sum(v0), sum(v1) FROM "+cluster.Table("chunk_profiles")+
		" GROUP BY service, time, series ORDER BY service, time, series"))
	cluster.spread("chunks", "1")
	for server := range servers {
		assert.Equal(t, "0", cluster.exec(server, "SELECT count() FROM system.tables WHERE database = '"+cluster.Database+"' AND name LIKE 'profiles%'"))
	}
}

// testCheck: batches and what is stored are compared over all shards.
func testCheck(t *testing.T, servers []*clickhousetest.Node) {
	cluster := newTables(t, servers, clickhousetest.ClusterName)
	source := chunktest.NewSource(9)
	for i := range 4 {
		write(t, cluster.writer(i%shards), source.Window((time.Now().Unix()/3600-2)*3600*chunktest.Second, 3600*chunktest.Second, 50))
	}
	for server := range servers {
		cluster.exec(server, "INSERT INTO "+cluster.Table("schema_migrations")+" (version, applied_at) VALUES (6, now() - INTERVAL 2 DAY)")
	}
	checked := func(o schema.Options) check.Totals {
		hours := 0
		c := check.New(cluster.pool(0), check.Options{Tables: o, First: 1, Again: 1, Lookback: 4 * time.Hour, OnHour: func(context.Context) { hours++ }})
		for range 2 {
			require.NoError(t, c.Pass(t.Context()))
		}
		require.Positive(t, hours)
		totals, _ := c.Totals()
		return totals
	}
	require.Zero(t, checked(cluster.Options))
	for part := range shards {
		require.NoError(t, cluster.compact(part, part, shards))
	}
	require.Zero(t, checked(cluster.Options))
	lost := cluster.count(1, "chunks_local", "level = 2 AND batch_events > 0")
	require.Positive(t, lost)
	cluster.exec(1, "ALTER TABLE "+cluster.Table("chunks_local")+" DELETE WHERE level = 2 AND batch_events > 0 SETTINGS mutations_sync = 2")
	// What they replaced counts again, as far as it is there.
	cluster.exec(1, "ALTER TABLE "+cluster.Table("chunks_local")+" DELETE WHERE level = 0 AND kind = 'cpu' SETTINGS mutations_sync = 2")
	assert.NotZero(t, checked(cluster.Options).Stored)
}
