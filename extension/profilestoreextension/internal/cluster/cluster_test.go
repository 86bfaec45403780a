package cluster_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// TestCluster runs everything on the same servers, each with tables of its own.
func TestCluster(t *testing.T) {
	servers := clickhousetest.Cluster(t, shards)
	for _, test := range []struct {
		name string
		run  func(*testing.T, []*clickhousetest.Node)
	}{
		{"same answers", testSameAnswers},
		{"part of a window", testPartOfWindow},
		{"more shards", testMoreShards},
		{"two stores", testTwoStores},
		{"deletes", testDeletes},
		{"retention", testRetention},
		{"limits", testLimits},
		{"first layout", testFirstLayout},
		{"check", testCheck},
		{"shard away", testShardAway}, // the last: it restarts a server
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, servers) })
	}
}

// testSameAnswers: what was written by way of any server is answered by way of any
// server, exactly as by a single one, also after compaction.
func testSameAnswers(t *testing.T, servers []*clickhousetest.Node) {
	single, cluster := newTables(t, servers, ""), newTables(t, servers, clickhousetest.ClusterName)
	all := windows(1, 12)
	write(t, single.writer(0), all...)
	for i, w := range all {
		write(t, cluster.writer(i%shards), w)
	}
	cluster.spread("chunks", "1")
	assert.Equal(t, contentsOf(all), cluster.contents(2))
	view := func(of *tables) string {
		return of.exec(0, "SELECT count(), sum(events), sum(v0) FROM "+of.Table("chunk_profiles"))
	}
	want := view(single)
	assert.Equal(t, want, view(cluster))
	for part := range shards {
		require.NoError(t, cluster.compact((part+1)%shards, part, shards))
	}
	assert.Equal(t, want, view(cluster))
	cluster.spread("chunks", "level = 2")
	cluster.drained()
	same(t, single, cluster)
	// What was replaced goes, on every shard.
	cluster.clean()
	assert.Equal(t, contentsOf(all), cluster.contents(1))
}

// testPartOfWindow: of a window that could be stored on some shards only, nothing
// is stored twice when it is repeated by another collector, by way of another
// server.
func testPartOfWindow(t *testing.T, servers []*clickhousetest.Node) {
	cluster := newTables(t, servers, clickhousetest.ClusterName)
	all := windows(2, 3)
	for i, table := range []string{"chunks_local", "stacks_local", "series_local"} {
		cluster.exec(i, "DETACH TABLE "+cluster.Table(table))
		err := cluster.writer(0).Write(t.Context(), all[i])
		require.ErrorIs(t, err, profilestore.ErrUnavailable, table)
		cluster.exec(i, "ATTACH TABLE "+cluster.Table(table))
		for server := range shards {
			write(t, cluster.writer(server), all[i])
		}
	}
	assert.Equal(t, contentsOf(all), cluster.contents(0))
	assert.Equal(t, len(all), cluster.count(0, "batches", "1"))
}

// testMoreShards: when a cluster gets another shard, services have rows on two.
// These are read and compacted together, and a window whose insert was repeated
// with the new shards is there once.
func testMoreShards(t *testing.T, servers []*clickhousetest.Node) {
	cluster := newTables(t, servers, clickhousetest.FirstCluster)
	all := windows(3, 8)
	write(t, cluster.writer(0), all[:4]...)
	require.NoError(t, cluster.compact(0, 0, 1))
	write(t, cluster.writer(1), all[4:6]...)

	cluster.Cluster = clickhousetest.ClusterName
	for _, s := range cluster.statements("ENGINE = Distributed(") {
		name := strings.Fields(strings.TrimPrefix(s, "CREATE TABLE IF NOT EXISTS "))[0]
		for server := range shards - 1 {
			cluster.exec(server, "DROP TABLE "+name)
			cluster.exec(server, s)
		}
	}
	cluster.migrate()
	write(t, cluster.writer(2), all[5:]...)
	write(t, cluster.writer(0), all[4])
	assert.Positive(t, cluster.count(2, "chunks_local", "1"))
	assert.Equal(t, contentsOf(all), cluster.contents(2))

	// Compactors that know different numbers of parts do no harm.
	for part := range shards {
		require.NoError(t, cluster.compact(part, part, shards))
		if part == 0 {
			require.NoError(t, cluster.compact(1, 1, 2))
		}
		assert.Equal(t, contentsOf(all), cluster.contents(part))
	}
	cluster.clean()
	assert.Equal(t, contentsOf(all), cluster.contents(0))
	cluster.drained()
}

// testShardAway: without one of its shards a store answers nothing rather than a
// part, and takes nothing; afterwards everything is there.
func testShardAway(t *testing.T, servers []*clickhousetest.Node) {
	cluster := newTables(t, servers, clickhousetest.ClusterName)
	all := windows(4, 4)
	w := cluster.writer(0)
	write(t, w, all[:3]...)
	servers[1].Stop(t)
	r := cluster.reader(0)
	for _, sel := range selectors()[:3] {
		_, err := r.MergeStacks(t.Context(), sel, profilestore.MergeOptions{})
		require.ErrorIs(t, err, profilestore.ErrUnavailable)
		_, err = r.CountEvents(t.Context(), sel)
		require.ErrorIs(t, err, profilestore.ErrUnavailable)
	}
	require.ErrorIs(t, w.Write(t.Context(), all[3]), profilestore.ErrUnavailable)
	comment := query("ALTER TABLE " + cluster.Table("chunks_local") + " MODIFY COMMENT 'changed'")
	err := cluster.compact(2, 0, 1)
	require.ErrorIs(t, err, profilestore.ErrUnavailable)
	require.ErrorContains(t, cluster.nodes.Do(t.Context(), comment), "use shard 2")

	servers[1].Start(t)
	write(t, cluster.writer(2), all[3])
	assert.Equal(t, contentsOf(all), cluster.contents(0))
	require.NoError(t, cluster.compact(2, 0, 1))
	assert.Equal(t, contentsOf(all), cluster.contents(1))
}
