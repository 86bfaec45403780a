package apertureapiextension

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/export"
)

// checkDiffSVG expects exportProfiles of scale 1, and an hour later of scale 3.
func checkDiffSVG(t *testing.T, f *fixture, tenant string) {
	const hour = int64(time.Hour)
	header := []string{"X-Scope-OrgID", tenant}
	sides := fmt.Sprintf("?baseline_start_ns=%d&baseline_end_ns=%d&time_start_ns=%d&service=exported",
		exportStart, exportStart+hour/2, exportStart+hour)
	resp, body := f.do(t, http.MethodGet, "/api/export/svg"+sides, "", header...)
	require.Equal(t, http.StatusOK, resp.StatusCode, body)
	assert.Equal(t, "image/svg+xml", resp.Header.Get("Content-Type"))
	assert.Equal(t, `inline; filename="aperture-cpu-diff.svg"`, resp.Header.Get("Content-Disposition"))
	assert.Equal(t, export.SVGPolicy, resp.Header.Get("Content-Security-Policy"))
	assert.Empty(t, resp.Header.Get(truncatedHeader))
	totals := svgTotals(t, body)
	assert.Equal(t, "540", totals["all"])
	assert.Equal(t, "450", totals["work"])
	assert.Contains(t, body, ">CPU differential flame graph of exported</text>")
	assert.Contains(t, body, "what is compared: shares of the totals")
	assert.Contains(t, body, "inlined (450 samples, 83.33%; baseline 150 samples, 83.33%; +0.00 points, +0.0%, p = 1)")
	assert.NotContains(t, body, "<script>alert")

	baseline := f.get(t, "/api/export/svg"+sides+"&differential=baseline&normalize=none&title=T", header...)
	assert.Equal(t, "180", svgTotals(t, baseline)["all"])
	assert.Contains(t, baseline, ">T</text>")
	assert.Contains(t, baseline, "inlined (450 samples, 83.33%; baseline 150 samples, 83.33%; +300 samples, +200.0%")
	rate := f.get(t, "/api/export/svg"+sides+"&normalize=rate&differential=comparison", header...)
	assert.Contains(t, rate, "what is compared: samples per second")

	for kind, total := range map[string]string{"lock": "653", "syscall": "7", "off_cpu": "60"} {
		assert.Equal(t, total, svgTotals(t, f.get(t, "/api/export/svg"+sides+"&event_type="+kind, header...))["all"], kind)
	}
	// The limit is of stacks of each side.
	resp, body = f.do(t, http.MethodGet, "/api/export/svg"+sides+"&limit=1", "", header...)
	assert.Equal(t, "true", resp.Header.Get(truncatedHeader))
	assert.Equal(t, "300", svgTotals(t, body)["all"])
	assert.Contains(t, body, "there are more stacks than the limit allows")
	resp, _ = f.do(t, http.MethodGet, "/api/export/svg"+sides+"&limit=0", "", header...)
	assert.Equal(t, http.StatusOK, resp.StatusCode)

	// A baseline of its own agent and labels.
	agents := sides + "&agent_id=agent-x"
	assert.Contains(t, f.get(t, "/api/export/svg"+agents, header...), "baseline: 180 samples", "both sides are of the agent")
	assert.Contains(t, f.get(t, "/api/export/svg"+agents+"&baseline_agent_id=other", header...), "540 samples in 500ms; baseline: 0 samples in 30m0s")
	labels := sides + "&label.aperture.agent.id=agent-x"
	assert.Contains(t, f.get(t, "/api/export/svg"+labels, header...), "baseline: 180 samples")
	assert.Contains(t, f.get(t, "/api/export/svg"+labels+"&baseline.label.host.name=none", header...), "baseline: 0 samples")
}

func TestExportDiffSVG(t *testing.T) {
	f := start(t, options{store: newMemoryStore()})
	f.storeProfiles(t, "red", exportProfiles(exportStart, 1))
	f.storeProfiles(t, "red", exportProfiles(exportStart+int64(time.Hour), 3))
	checkDiffSVG(t, f, "red")

	for query, want := range map[string]string{
		"baseline_start_ns=x":                            "invalid `baseline_start_ns`",
		"baseline_end_ns=-1":                             "invalid `baseline_end_ns`: it is -1",
		"baseline_start_ns=2000&baseline_end_ns=1000":    "invalid `baseline_end_ns`: it is 1000, before `baseline_start_ns`, which is 2000",
		"baseline_agent_id=a&baseline_agent_id=b":        "invalid `baseline_agent_id`: it is there 2 times",
		"baseline_agent_id=" + strings.Repeat("x", 1025): "invalid `baseline_agent_id`: it is 1025 bytes long",
		"baseline.label.=x":                              "invalid `baseline.label.NAME`: a name is empty",
		"baseline_start_ns=1&normalize=all":              "invalid `normalize`",
		"baseline_start_ns=1&differential=both":          "invalid `differential`: it is \"both\"",
		"baseline_start_ns=1&width=1":                    "invalid `width`",
		"baseline_start_ns=1&event_type=of+no+profile":   "event_type must be cpu, lock, or syscall, got of no profile",
		"baseline_start_ns=1&time_start_ns=-1":           "invalid `time_start_ns`",
	} {
		resp, body := f.do(t, http.MethodGet, "/api/export/svg?"+query, "", "X-Scope-OrgID", "red")
		assert.Equal(t, http.StatusBadRequest, resp.StatusCode, query)
		assert.Contains(t, errorOf(t, body), want, query)
		assert.Empty(t, resp.Header.Get("Content-Disposition"))
	}
	resp, body := f.do(t, http.MethodGet, "/api/export/svg?baseline_start_ns=1", "", "X-Scope-OrgID", "nobody")
	assert.Equal(t, http.StatusNotFound, resp.StatusCode)
	assert.Equal(t, "No CPU profile data available", body)
}
