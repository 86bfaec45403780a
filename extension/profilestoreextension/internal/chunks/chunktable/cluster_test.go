package chunktable

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
)

// TestCluster: on a cluster the rows are in a replicated table, with a distributed
// one over it. The embedded server cannot run that.
func TestCluster(t *testing.T) {
	o := schema.Options{Database: "aperture", Cluster: "main", Retention: time.Hour, AlertRetention: time.Hour}
	statements, err := o.Render(Name, script)
	require.NoError(t, err)
	require.Len(t, statements, 2)
	assert.Contains(t, statements[0], "CREATE TABLE IF NOT EXISTS `aperture`.`chunks_local` ON CLUSTER `main`")
	assert.Contains(t, statements[0], "ENGINE = ReplicatedMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}')")
	assert.Contains(t, statements[0], "TTL stored + toIntervalSecond(3600)")
	assert.Contains(t, statements[0], " replicated_deduplication_window = 100000")
	assert.Contains(t, statements[1], "CREATE TABLE IF NOT EXISTS `aperture`.`chunks` ON CLUSTER `main` AS `aperture`.`chunks_local`")
	assert.Contains(t, statements[1], "ENGINE = Distributed(`main`, `aperture`, `chunks_local`, cityHash64(tenant, service))")

	_, err = schema.Options{Database: "a-b"}.Render(Name, script)
	require.ErrorContains(t, err, "`database`")
	_, err = o.Render(Name, "{{ nothing }}")
	require.ErrorContains(t, err, "parse script chunks")
}
