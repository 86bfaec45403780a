package clickhousetest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/chserver"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
)

// TestCluster reads from all shards by way of each.
func TestCluster(t *testing.T) {
	servers := clickhousetest.Cluster(t, 2)
	for i, s := range servers {
		clickhousetest.Exec(t, s.Server, "CREATE DATABASE d")
		clickhousetest.Exec(t, s.Server, "CREATE TABLE d.t_local (n UInt64) ENGINE = MergeTree ORDER BY n")
		clickhousetest.Exec(t, s.Server, "CREATE TABLE d.t AS d.t_local ENGINE = Distributed(main, d, t_local, n)")
		assert.Equal(t, string(rune('1'+i)), clickhousetest.Exec(t, s.Server, "SELECT getMacro('shard')"))
	}
	clickhousetest.Exec(t, servers[0].Server, "INSERT INTO d.t SELECT number FROM numbers(10) SETTINGS distributed_foreground_insert = 1")
	servers[1].Stop(t)
	_, err := clickhousetest.Query(servers[0].Endpoint(), chserver.User, servers[0].Endpoint().Password, "SELECT count() FROM d.t")
	require.ErrorContains(t, err, "ALL_CONNECTION_TRIES_FAILED")
	servers[1].Start(t)
	for _, s := range servers {
		assert.Equal(t, "5", clickhousetest.Exec(t, s.Server, "SELECT count() FROM d.t_local"))
		assert.Equal(t, "10\t45", clickhousetest.Exec(t, s.Server, "SELECT count(), sum(n) FROM d.t"))
	}
}
