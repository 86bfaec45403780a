package schema

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite golden files")

func ddl(t *testing.T, o Options) string {
	t.Helper()
	migrations, err := o.Migrations()
	require.NoError(t, err)
	var b strings.Builder
	for _, m := range migrations {
		for _, s := range m.Statements {
			b.WriteString(s + ";\n\n")
		}
	}
	return b.String()
}

// TestRender compares the DDL for a single server and for a cluster, which
// cannot be run in the embedded server, with golden files.
func TestRender(t *testing.T) {
	for name, o := range map[string]Options{
		"single":  {Database: "aperture", Retention: 720 * time.Hour, AlertRetention: 2160 * time.Hour},
		"cluster": {Database: "aperture", Cluster: "main", Retention: 720 * time.Hour, AlertRetention: 2160 * time.Hour},
	} {
		got := ddl(t, o)
		file := filepath.Join("testdata", name+".sql")
		if *update {
			require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Equal(t, string(want), got)
	}
}

// TestClusterTables checks what must hold for every table on a cluster.
func TestClusterTables(t *testing.T) {
	migrations, err := Options{Database: "aperture", Cluster: "main", Retention: time.Hour, AlertRetention: time.Hour}.Migrations()
	require.NoError(t, err)
	local, distributed := 0, 0
	for _, m := range migrations {
		for _, s := range m.Statements {
			require.Contains(t, s, " ON CLUSTER `main`")
			if strings.HasPrefix(s, "CREATE OR REPLACE VIEW `aperture`.`") {
				require.NotContains(t, s, "_local`")
				continue
			}
			if strings.HasPrefix(s, "ALTER TABLE `aperture`.`") {
				if !strings.Contains(s, "` ON CLUSTER `main` ADD COLUMN ") { // tables over others have columns, too
					require.Contains(t, s, "_local` ON CLUSTER")
				}
				continue
			}
			require.Contains(t, s, "CREATE TABLE IF NOT EXISTS `aperture`.`")
			if strings.Contains(s, "ENGINE = Distributed(`main`, `aperture`, ") {
				distributed++
				continue
			}
			local++
			require.Contains(t, s, "_local`")
			require.Contains(t, s, "MergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}'")
			require.Contains(t, s, "ENGINE = Replicated")
			require.NotContains(t, s, "non_replicated_deduplication_window")
		}
	}
	assert.Equal(t, len(lifetimes), local)
	assert.Equal(t, len(lifetimes), distributed)
}

func TestValidateNames(t *testing.T) {
	for _, name := range []string{"", "a-b", "a b", "a`b", "1a", "é", "a.b", "a;DROP", strings.Repeat("a", 64), "a\n"} {
		err := Options{Database: name, Retention: time.Hour, AlertRetention: time.Hour}.Validate()
		require.ErrorContains(t, err, "`database`", "%q", name)
		if name != "" {
			err = Options{Database: "a", Cluster: name, Retention: time.Hour, AlertRetention: time.Hour}.Validate()
			require.ErrorContains(t, err, "`cluster`", "%q", name)
		}
	}
	require.NoError(t, Options{Database: "_A9", Cluster: "c_1", Retention: time.Hour, AlertRetention: time.Hour}.Validate())
	require.ErrorContains(t, Options{Database: "a"}.Validate(), "`retention` is 0s")
	require.ErrorContains(t, Options{Database: "a", Retention: time.Hour}.Validate(), "`alert_retention` is 0s")
}
