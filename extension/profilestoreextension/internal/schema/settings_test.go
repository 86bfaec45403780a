package schema

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestSettings: statements over replicas ask one that is up to date, the same each
// time; no cluster leaves rows out.
func TestSettings(t *testing.T) {
	f := func(o Options, want map[string]string) {
		t.Helper()
		got := make(map[string]string)
		for _, s := range o.Settings() {
			got[s.Key] = s.Value
			assert.True(t, s.Important, s.Key)
		}
		assert.Equal(t, want, got)
	}
	f(Options{}, map[string]string{})
	f(Options{Cluster: "main", Unreplicated: true}, map[string]string{"distributed_foreground_insert": "1", "skip_unavailable_shards": "0"})
	f(Options{Cluster: "main", Replica: 7}, map[string]string{
		"distributed_foreground_insert": "1", "skip_unavailable_shards": "0",
		"load_balancing": "first_or_random", "load_balancing_first_offset": "7", "prefer_localhost_replica": "0",
		"max_replica_delay_for_distributed_queries": "300", "fallback_to_stale_replicas_for_distributed_queries": "0",
	})
}

// TestUnreplicated: a cluster without Keeper has plain tables, made one by one.
func TestUnreplicated(t *testing.T) {
	text := ddl(t, Options{Database: "aperture", Cluster: "main", Unreplicated: true, Retention: 1e12, AlertRetention: 1e12})
	assert.NotContains(t, text, "ON CLUSTER")
	assert.NotContains(t, text, "Replicated")
	assert.NotContains(t, text, " replicated_deduplication_window")
	assert.Contains(t, text, "CREATE TABLE IF NOT EXISTS `aperture`.`chunks_local`")
	assert.Contains(t, text, "ENGINE = Distributed(`main`, `aperture`, `chunks_local`, cityHash64(tenant, service))")
	assert.Contains(t, text, "GLOBAL NOT IN")
}
