package apertureapiextension

import (
	"testing"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
)

// What goes into the real store comes out of the exports, and the tools that they
// are for read it.
func TestExportsOfClickHouse(t *testing.T) {
	server := clickhousetest.New(t, t.TempDir(), nil)
	f := start(t, options{store: newClickHouseStore(t, server.Endpoint())})
	f.waitReady(t)
	f.storeProfiles(t, "once", exportProfiles(exportStart, 1))
	f.storeProfiles(t, "anonymous", exportProfiles(exportStart, 1))
	f.storeProfiles(t, "anonymous", exportProfiles(exportStart+int64(time.Hour), 3))
	t.Run("pprof", func(t *testing.T) { checkPprof(t, f, "once") })
	t.Run("speedscope", func(t *testing.T) { checkSpeedscope(t, f, "once") })
	t.Run("svg", func(t *testing.T) { checkSVG(t, f, "once") })
	t.Run("svg of a diff", func(t *testing.T) { checkDiffSVG(t, f, "anonymous") })
	t.Run("otlp", func(t *testing.T) { checkOTLP(t, f, "once") })
	t.Run("pprof tool", func(t *testing.T) { checkPprofTool(t, f) })
}
