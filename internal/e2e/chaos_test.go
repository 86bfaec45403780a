package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/chaos"
)

// Whatever is ended, killed or cut at a random moment under load: what was
// acknowledged is stored once after recovery. `make chaos` does it longer, with
// more faults.
func TestChaos(t *testing.T) {
	if testing.Short() {
		t.Skip("needs the built distribution")
	}
	dist := filepath.Join(root(t), "dist")
	o := chaos.Options{
		Collector: filepath.Join(dist, "aperture-collector"), Launcher: filepath.Join(dist, "clickhouse-embedded"),
		Library: filepath.Join(dist, "lib", "libchdb.so"), Config: filepath.Join(root(t), "config"),
		Faults: []chaos.Fault{chaos.KillCollector, chaos.KillClickHouse, chaos.KillBoth, chaos.Terminate, chaos.CutConnection},
		Cycles: 5, Seed: uint64(os.Getpid()), Dir: t.TempDir(), Log: t.Output(),
	}
	t.Logf("seed %d", o.Seed)
	results, err := chaos.Run(t.Context(), o)
	require.NoError(t, err)
	require.Len(t, results, o.Cycles)
	for _, r := range results {
		assert.Falsef(t, r.Failed(), "cycle %d, %s", r.Cycle, r.Fault)
	}
}
