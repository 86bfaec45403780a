package apertureapiextension

import (
	"encoding/json"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/alert"
)

func TestCombine(t *testing.T) {
	one := map[string]float64{
		bufferUtilization: 0.5, recentPushesOK: 9, recentPushErrors: 1, pushErrorsTotal: 10, clickHouseFlushErrors: 1, clickHousePendingRows: 7, eventThroughput: 100,
	}
	two := map[string]float64{
		bufferUtilization: 0.25, recentPushesOK: 9, recentPushErrors: 1, pushErrorsTotal: 30, clickHouseFlushErrors: 2, clickHousePendingRows: 8, eventThroughput: 50.5,
	}
	s := combine(map[string]map[string]float64{"a": one, "b": two, "gone": {}})
	assert.Empty(t, s.errs)
	text, err := json.Marshal(s)
	require.NoError(t, err)
	assert.Equal(t, `{"buffer_utilization":0.5,"push_error_rate":0.1,"push_errors_total":40.0,"clickhouse_flush_errors":3.0,`+
		`"clickhouse_pending_rows":15.0,"event_throughput":150.5}`, string(text))

	// A sum of which a part is not known is not known.
	delete(two, recentPushesOK)
	delete(two, eventThroughput)
	s = combine(map[string]map[string]float64{"a": one, "b": two})
	require.ErrorContains(t, s.errs[eventThroughput], "replica b does not know `event_throughput`")
	require.ErrorContains(t, s.errs[pushErrorRate], "`push_ok_recent`")
	assert.NoError(t, s.errs[pushErrorsTotal])

	none := combine(map[string]map[string]float64{"a": {bufferUtilization: 0, recentPushesOK: 0, recentPushErrors: 0, pushErrorsTotal: 3}})
	assert.Zero(t, none.values[pushErrorRate])
	assert.NoError(t, none.errs[pushErrorRate])
}

func TestThroughput(t *testing.T) {
	var r throughput
	begin := time.Now()
	observe := func(after time.Duration, events float64) (float64, bool) { return r.observe(begin.Add(after), events) }
	_, known := observe(0, 1000)
	assert.False(t, known, "one snapshot tells no rate")
	_, known = observe(500*time.Millisecond, 2000)
	assert.False(t, known)
	rate, known := observe(2*time.Second, 5000)
	assert.True(t, known)
	assert.InDelta(t, 2000.0, rate, 1e-9)
	rate, _ = observe(2*time.Second, 5000)
	assert.InDelta(t, 2000.0, rate, 1e-9, "the same snapshot")
	rate, _ = observe(time.Second, 1)
	assert.InDelta(t, 2000.0, rate, 1e-9, "one from before")
	rate, _ = observe(12*time.Second, 5000)
	assert.InDelta(t, 0.0, rate, 1e-9)
	rate, _ = observe(13*time.Second, 10)
	assert.InDelta(t, 0.0, rate, 1e-9, "a counter that begins anew has no rate yet")
	rate, _ = observe(14*time.Second, 20)
	assert.InDelta(t, 10.0, rate, 1e-9)
}

func TestFloats(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0.0", 1: "1.0", 0.9: "0.9", 75000: "75000.0", -2.5: "-2.5", 1e21: "1000000000000000000000.0", 1e-7: "0.0000001",
		math.Inf(1): "null",
	} {
		text, err := json.Marshal(float(v))
		require.NoError(t, err)
		assert.Equal(t, want, string(text))
	}
}

func TestSystemMessage(t *testing.T) {
	rule := alert.Rule{Name: "High buffer usage", Operator: alert.Greater, Threshold: 0.9}
	assert.Equal(t, "High buffer usage: Buffer Utilization > 0.9 (current: 0.95)", systemMessage(&rule, bufferUtilization, 0.95))
	rule.Threshold, rule.Operator = 1, alert.Equal
	assert.Equal(t, "High buffer usage: Event Throughput == 1 (current: 75000.00)", systemMessage(&rule, eventThroughput, 75000))
}

// event_throughput is a rate per second, and the other metrics are those that
// /api/health shows.
func TestSystemMetrics(t *testing.T) {
	f := start(t, options{store: newAlertingStore()})
	for _, metric := range systemMetrics() {
		f.create(t, `{"name":"`+metric+`","metric":"`+metric+`","operator":"gte","threshold":0,"severity":"info"}`)
	}
	first := f.evaluate(t)
	assert.Len(t, first.Fired, 5)
	assert.Len(t, first.Errors, 1, "the rate is not known yet")
	assert.Contains(t, first.Errors["alert-6"], "does not know `event_throughput`")

	f.tel.mu.Lock()
	f.tel.text = strings.Replace(f.tel.text, `push_events_total{otel_scope_name="r"} 75000`, `push_events_total{otel_scope_name="r"} 175000`, 1)
	f.tel.mu.Unlock()
	time.Sleep(scrapeEvery + 10*time.Millisecond)
	second := f.evaluate(t)
	assert.Len(t, second.Fired, 6)
	rate := second.Snapshot[eventThroughput]
	assert.Positive(t, rate)
	assert.LessOrEqual(t, rate, 100_000.0)
	assert.InDelta(t, rate, second.Fired[5].Value, 0, "fired and snapshot are of the same values")
	health := decode[map[string]any](t, f.get(t, "/api/health"))
	assert.InDelta(t, health["push_total_error"], second.Snapshot[pushErrorsTotal], 0)
	assert.InDelta(t, health["clickhouse_pending_rows"], second.Snapshot[clickHousePendingRows], 0)
	assert.InDelta(t, health["clickhouse_flush_error"], second.Snapshot[clickHouseFlushErrors], 0)
	assert.InDelta(t, health["buffer_utilization"], second.Snapshot[bufferUtilization], 0)
	resp, _ := f.do(t, http.MethodGet, "/api/alerts/evaluate", "")
	assert.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode)
}
