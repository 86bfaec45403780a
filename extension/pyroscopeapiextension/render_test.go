package pyroscopeapiextension

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// renderRange are the parameters for what writeMixed wrote.
func (f *fixture) renderRange(params ...string) []string {
	return append([]string{"from", strconv.FormatInt(f.ms(0), 10), "until", strconv.FormatInt(f.ms(60), 10)}, params...)
}

func (f *fixture) render(t testing.TB, params ...string) map[string]any {
	t.Helper()
	status, body := f.get(t, "/pyroscope/render", params...)
	require.Equal(t, http.StatusOK, status, body)
	var out map[string]any
	require.NoError(t, json.Unmarshal([]byte(body), &out))
	return out
}

func TestRender(t *testing.T) {
	f := start(t, func(c *Config) { c.Compatibility.CoarseTimeline = true })
	f.writeMixed(t)
	status, body := f.get(t, "/pyroscope/render", f.renderRange("query", cpuID+`{service_name="app"}`)...)
	require.Equal(t, http.StatusOK, status, body)
	// Profiles begin after 0, 20 and 40 s; points are every 15 s from 0 on, each with
	// what began in the 15 s before. The range has the four steps after its begin.
	assert.JSONEq(t, fmt.Sprintf(`{"version":1,
		"flamebearer":{"names":["total","main","work","hash","idle"],
			"levels":[[0,80000123,0,0],[0,80000123,0,1],[0,10000000,10000000,4,0,70000123,20000123,2],[30000123,50000000,50000000,3]],
			"numTicks":80000123,"maxSelf":50000000},
		"metadata":{"format":"single","spyName":"","sampleRate":1000000000,"units":"samples","name":"cpu"},
		"timeline":{"startTime":%d,"samples":[40000000,0,20000000,20000123],"durationDelta":15,"watermarks":null},
		"groups":null,"heatmap":null}`, f.base.Unix()), body)

	got := f.render(t, f.renderRange("query", "memory:inuse_space:bytes::{}")...)
	assert.Equal(t, map[string]any{"format": "single", "spyName": "", "sampleRate": 100.0, "units": "bytes", "name": "inuse_space"}, got["metadata"])
	got = f.render(t, f.renderRange("query", "memory:inuse_objects:count::", "max-nodes", "1")...)
	assert.Equal(t, "objects", got["metadata"].(map[string]any)["units"])
	assert.Equal(t, []any{"total", "serve", "alloc"}, got["flamebearer"].(map[string]any)["names"], "two have the largest total")

	got = f.render(t, f.renderRange("query", cpuID+"{}", "groupBy", "region", "groupBy", "service_name")...)
	groups := got["groups"].(map[string]any)
	assert.Len(t, groups, 3)
	assert.Equal(t, []any{4e7, 0.0, 0.0, 0.0}, groups["eu"].(map[string]any)["samples"])
	assert.Equal(t, []any{0.0, 0.0, 0.0, 20_000_123.0}, groups["us"].(map[string]any)["samples"])
	assert.Contains(t, groups, "*")
	assert.Equal(t, []any{0.0, 0.0, 0.0, 0.0}, got["timeline"].(map[string]any)["samples"], "there are several series")

	// Only the first name parts the groups: each has the sum of all with its value.
	f.write(t, sent{service: "zoned", labels: []string{"zone", "a", "disk", "x"}, at: 10, stacks: map[string][]int64{"main": {1}}},
		sent{service: "zoned", labels: []string{"zone", "a", "disk", "y"}, at: 10, stacks: map[string][]int64{"main": {2}}})
	got = f.render(t, f.renderRange("query", cpuID+`{zone="a"}`, "groupBy", "zone", "groupBy", "disk")...)
	assert.Equal(t, []any{0.0, 3e7, 0.0, 0.0}, got["groups"].(map[string]any)["a"].(map[string]any)["samples"])
	assert.Equal(t, []any{0.0, 3e7, 0.0, 0.0}, got["timeline"].(map[string]any)["samples"])

	got = f.render(t, f.renderRange("query", "process_cpu:samples:count:cpu:nanoseconds{k8s_pod_name=~\"pod-(1|2)\"}", "aggregation", "avg")...)
	assert.Equal(t, []any{4.0, 0.0, 4.0, 0.0}, got["timeline"].(map[string]any)["samples"])

	nothing := f.render(t, f.renderRange("query", cpuID+`{service_name="nobody"}`)...)
	assert.Equal(t, map[string]any{"names": []any{"total"}, "levels": []any{[]any{0.0, 0.0, 0.0, 0.0}}, "numTicks": 0.0, "maxSelf": 0.0}, nothing["flamebearer"])

	f.now = func() time.Time { return f.base.Add(time.Hour) }
	got = f.render(t, "query", cpuID+`{service_name="app"}`, "from", "now-1h")
	assert.EqualValues(t, 80_000_123, got["flamebearer"].(map[string]any)["numTicks"])
	got = f.render(t, "query", cpuID)
	assert.EqualValues(t, 0, got["flamebearer"].(map[string]any)["numTicks"], "without from it is now")
}

func TestRenderDot(t *testing.T) {
	f := start(t, nil)
	f.writeMixed(t)
	status, body := f.get(t, "/pyroscope/render", f.renderRange("query", cpuID+`{service_name="app"}`, "format", "dot")...)
	require.Equal(t, http.StatusOK, status, body)
	assert.Contains(t, body, `digraph "unnamed" {`)
	for _, text := range []string{"main", "work", "hash", "idle", "50ms (62.50%)", "->"} {
		assert.Contains(t, body, text)
	}
	status, body = f.get(t, "/pyroscope/render", f.renderRange("query", cpuID+`{service_name="nobody"}`, "format", "dot")...)
	assert.Equal(t, http.StatusOK, status)
	assert.Empty(t, body)
}

func TestRenderDiff(t *testing.T) {
	f := start(t, nil)
	f.writeMixed(t)
	from, until := strconv.FormatInt(f.ms(0), 10), strconv.FormatInt(f.ms(60), 10)
	diff := func(left, right string, more ...string) (int, string) {
		return f.get(t, "/pyroscope/render-diff", append([]string{
			"leftQuery", left, "leftFrom", from, "leftUntil", until, "rightQuery", right, "rightFrom", from, "rightUntil", until,
		}, more...)...)
	}
	const samples = "process_cpu:samples:count:cpu:nanoseconds"
	status, body := diff(samples+`{k8s_pod_name="pod-1"}`, samples+`{k8s_pod_name="pod-2"}`)
	require.Equal(t, http.StatusOK, status, body)
	assert.JSONEq(t, `{"version":1,
		"flamebearer":{"names":["total","main","work","hash","idle"],
			"levels":[[0,4,0,0,4,0,0],[0,4,0,0,4,0,1],[0,1,1,0,0,0,4,0,3,0,0,4,0,2],[1,3,3,0,4,4,3]],"numTicks":8,"maxSelf":4},
		"metadata":{"format":"double","spyName":"","sampleRate":100,"units":"objects","name":"samples"},
		"timeline":null,"groups":null,"heatmap":null,"leftTicks":4,"rightTicks":4}`, body)
	status, body = diff(samples+`{k8s_pod_name="pod-1"}`, samples+`{k8s_pod_name="none"}`, "max-nodes", "10")
	require.Equal(t, http.StatusOK, status, body)
	assert.NotContains(t, body, "rightTicks")

	status, body = diff(samples, cpuID)
	assert.Equal(t, http.StatusBadRequest, status)
	code, message := errorOf(t, body)
	assert.Equal(t, []string{"invalid_argument", "profile types must match"}, []string{code, message})
}

func TestRenderErrors(t *testing.T) {
	f := start(t, func(c *Config) { c.Limits.MaxFlamegraphNodesMax, c.Compatibility.RefuseMaxNodes = 10_000, true })
	now := f.base.Add(time.Hour)
	f.now = func() time.Time { return now }
	for want, params := range map[string][]string{
		`"query" is required`:                                 {},
		`failed to parse "query"`:                             {"query", `{`},
		`"query" must contain a profile-type selection`:       {"query", `{a="b"}`},
		`missing time range in the query`:                     {"query", cpuID, "from", "0"},
		`query start time is after end time`:                  {"query", cpuID, "from", "now", "until", "now-1h"},
		`max flamegraph nodes limit 99999999 is greater than`: {"query", cpuID, "from", "now-1h", "maxNodes", "99999999"},
		`the query time range exceeds the limit (max_query_length, actual: 72h0m0s, limit: 1d)`: {"query", cpuID, "from", "now-72h"},
		`aggregation is "max"`: {"query", cpuID, "from", "now-1h", "aggregation", "max"},
		`max nodes is -1`:      {"query", cpuID, "from", "now-1h", "maxNodes", "-1"},
		`found 1 parts`:        {"query", "cpu{}", "from", "now-1h"},
	} {
		status, body := f.get(t, "/pyroscope/render", params...)
		code, message := errorOf(t, body)
		assert.Equal(t, http.StatusBadRequest, status, want)
		assert.Equal(t, "invalid_argument", code, want)
		assert.Contains(t, message, want)
	}
	status, _ := f.do(t, http.MethodGet, "/pyroscope/render?query=%zz", "")
	assert.Equal(t, http.StatusBadRequest, status)
	status, _ = f.do(t, http.MethodPost, "/pyroscope/render", "")
	assert.Equal(t, http.StatusMethodNotAllowed, status)
	// What is before the lookback is not there; a range that reaches into it is cut.
	got := f.render(t, "query", cpuID, "from", "now-10d", "until", "now-9d")
	assert.EqualValues(t, 0, got["flamebearer"].(map[string]any)["numTicks"])
	f.render(t, "query", cpuID, "from", "now-8d", "until", "now-6d-12h")
}

func TestTimelineStep(t *testing.T) {
	fine, coarse := &CompatibilityConfig{}, &CompatibilityConfig{CoarseTimeline: true}
	for seconds, want := range map[int64]int64{0: 10, 18_750: 10, 18_752: 15, 26_252: 20, 86_400: 60} {
		assert.Equal(t, want*1000, fine.timelineStep(timeRange{0, seconds * 1000}), seconds)
	}
	for seconds, want := range map[int64]int64{
		0: 15, 3600: 15, 26_250: 15, 26_252: 20, 86_400: 60, 7 * 86_400: 300, 31 * 86_400: 1800, 366 * 86_400: 21_600, 1 << 40: 30 * 86_400,
	} {
		assert.Equal(t, want*1000, coarse.timelineStep(timeRange{0, seconds * 1000}), seconds)
	}
	assert.EqualValues(t, 15_000, coarse.timelineStep(timeRange{10, 5}))
}

func TestNodes(t *testing.T) {
	c := createDefaultConfig().(*Config)
	c.Limits.MaxFlamegraphNodesMax = 100
	for asked, want := range map[int64]int64{0: 8192, 1: 1, 100: 100, 101: 100} {
		got, err := c.nodes(asked)
		require.NoError(t, err)
		assert.Equal(t, want, got, asked)
	}
	c.Compatibility.RefuseMaxNodes = true
	_, err := c.nodes(101)
	require.ErrorContains(t, err, "max flamegraph nodes limit 101 is greater than allowed 100")
}
