package apertureapiextension

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/extensiontest"

	"github.com/aperture-collector/aperture-collector/internal/apertureapi"
)

func TestMetrics(t *testing.T) {
	f := start(t, options{store: newMemoryStore()})
	resp, body := f.do(t, http.MethodGet, "/metrics", "")
	assert.Equal(t, "text/plain; version=0.0.4; charset=utf-8", resp.Header.Get("Content-Type"))
	source, err := os.ReadFile(filepath.Join("testdata", "collector.prom"))
	require.NoError(t, err)
	ours, ok := strings.CutSuffix(body, string(source))
	require.True(t, ok, "the collector's own metrics follow unchanged")
	golden(t, "metrics.prom", ours)

	parser := expfmt.NewTextParser(model.LegacyValidation)
	_, err = parser.TextToMetricFamilies(strings.NewReader(body))
	require.NoError(t, err, "the whole is well-formed")
}

func TestMetricsAreThereFromTheStart(t *testing.T) {
	f := start(t, options{store: newMemoryStore()})
	f.tel.set(http.StatusOK, "")
	golden(t, "metrics_empty.prom", f.get(t, "/metrics"))
}

func TestMetricsUnreadable(t *testing.T) {
	for name, change := range map[string]func(*telemetry){
		"status":    func(tel *telemetry) { tel.set(http.StatusInternalServerError, "") },
		"malformed": func(tel *telemetry) { tel.set(http.StatusOK, "a b c d\n") },
		"away":      func(tel *telemetry) { tel.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, options{store: newMemoryStore()})
			change(f.tel)
			resp, body := f.do(t, http.MethodGet, "/metrics", "")
			assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
			assert.Equal(t, "1", resp.Header.Get("Retry-After"))
			assert.Contains(t, errorOf(t, body), "read `telemetry_endpoint: "+f.tel.URL)
			h := f.healthOf(t)
			assert.Equal(t, "healthy", h.Status)
			assert.Contains(t, h.Reason, "telemetry_endpoint")
		})
	}
}

func TestMetricsLoopIsNoticed(t *testing.T) {
	f := start(t, options{store: newMemoryStore()})
	resp, body := f.do(t, http.MethodGet, "/metrics", "", scrapeHeader, "1")
	assert.Equal(t, http.StatusLoopDetected, resp.StatusCode)
	assert.Contains(t, errorOf(t, body), "leads back")
}

func TestMetricsAreScrapedOnceASecond(t *testing.T) {
	f := start(t, options{store: newMemoryStore()})
	for range 20 {
		f.get(t, "/metrics")
		f.get(t, "/api/health")
		f.Backpressure()
	}
	assert.Less(t, f.tel.scrapes(), 20)
}

func TestCanonicalName(t *testing.T) {
	for name, want := range map[string]string{
		"otelcol_receiver_aperture_push_total":                "receiver_aperture_push",
		"otelcol_receiver_aperture_push":                      "receiver_aperture_push",
		"receiver_aperture_push_duration":                     "receiver_aperture_push_duration",
		"otelcol_receiver_aperture_push_duration_seconds":     "receiver_aperture_push_duration",
		"otelcol_processor_profile_buffer_batches":            "processor_profile_buffer_batches",
		"otelcol_process_uptime_seconds_total":                "process_uptime",
		"otelcol_processor_profile_buffer_batches_size_bytes": "processor_profile_buffer_batches_size",
	} {
		assert.Equal(t, want, canonicalName(name), name)
	}
}

func TestHistogramWithOtherBounds(t *testing.T) {
	s, err := parseScrape([]byte(`# TYPE otelcol_receiver_aperture_push_duration_seconds histogram
otelcol_receiver_aperture_push_duration_seconds_bucket{le="0.002"} 2
otelcol_receiver_aperture_push_duration_seconds_bucket{le="0.3"} 7
otelcol_receiver_aperture_push_duration_seconds_bucket{le="+Inf"} 9
otelcol_receiver_aperture_push_duration_seconds_sum NaN
otelcol_receiver_aperture_push_duration_seconds_count 9
`))
	require.NoError(t, err)
	h := s.histogram(sourcePushDuration, pushBuckets).GetHistogram()
	var counts []uint64
	for _, b := range h.GetBucket() {
		counts = append(counts, b.GetCumulativeCount())
	}
	assert.Equal(t, []uint64{0, 2, 2, 2, 2, 2, 2, 7, 7}, counts)
	assert.EqualValues(t, 9, h.GetSampleCount())
	assert.Zero(t, h.GetSampleSum())
}

func (f *fixture) healthOf(t *testing.T) healthJSON {
	t.Helper()
	var h healthJSON
	require.NoError(t, json.Unmarshal([]byte(f.get(t, "/api/health")), &h))
	return h
}

func TestHealth(t *testing.T) {
	f := start(t, options{store: newMemoryStore(), noBuffer: true})
	remove := f.RegisterLiveView(fixedView{stats: apertureapi.BufferStats{Batches: 150, Utilization: 0.015}})
	defer remove()
	// The queue is read in the background.
	require.Eventually(t, func() bool { return f.healthOf(t).QueueUtilization != 0 }, 10*time.Second, 10*time.Millisecond)
	assert.JSONEq(t, `{
		"status": "healthy", "buffer_batches": 150, "buffer_utilization": 0.015, "storage_enabled": true,
		"push_total_ok": 1500, "push_total_error": 4, "push_events_total": 75000,
		"clickhouse_flush_ok": 33, "clickhouse_flush_error": 0, "clickhouse_pending_rows": 12,
		"queue_utilization": 0.012, "ready": true
	}`, f.get(t, "/api/health"))
}

func TestHealthIsDegradedByAFullQueueOnly(t *testing.T) {
	f := start(t, options{store: newMemoryStore(), noBuffer: true})
	remove := f.RegisterLiveView(fixedView{stats: apertureapi.BufferStats{Utilization: 1, QueueUtilization: 0.94}})
	assert.Equal(t, "healthy", f.healthOf(t).Status)
	remove()
	remove = f.RegisterLiveView(fixedView{stats: apertureapi.BufferStats{QueueUtilization: 0.95}})
	defer remove()
	assert.Equal(t, "degraded", f.healthOf(t).Status)
}

func TestBackpressure(t *testing.T) {
	f := start(t, options{store: newMemoryStore(), noBuffer: true})
	assert.False(t, f.Backpressure())
	remove := f.RegisterLiveView(fixedView{stats: apertureapi.BufferStats{QueueUtilization: 0.8, Utilization: 1}})
	assert.False(t, f.Backpressure(), "0.8 is not above")
	remove()
	remove = f.RegisterLiveView(fixedView{stats: apertureapi.BufferStats{QueueUtilization: 0.81}})
	assert.True(t, f.Backpressure())
	remove()
	assert.False(t, f.Backpressure())

	queue := func(size string) {
		f.tel.set(http.StatusOK, `# TYPE otelcol_exporter_queue_capacity gauge
otelcol_exporter_queue_capacity{data_type="profiles",exporter="otlp_grpc"} 100
otelcol_exporter_queue_capacity{data_type="traces",exporter="otlp_grpc"} 10
# TYPE otelcol_exporter_queue_size gauge
otelcol_exporter_queue_size{data_type="traces",exporter="otlp_grpc"} 10
otelcol_exporter_queue_size{data_type="profiles",exporter="otlp_grpc"} `+size+"\n")
	}
	queue("81")
	require.Eventually(t, f.Backpressure, 10*time.Second, 10*time.Millisecond)
	queue("80")
	require.Eventually(t, func() bool { return !f.Backpressure() }, 10*time.Second, 10*time.Millisecond)
}

func TestScrapeIsNotWaitedForLongerThanTheClientWaits(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.Server = serverID
	a, err := newAPI(extensiontest.NewNopSettings(apiID.Type()), cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, a.Shutdown(t.Context())) }()
	a.scrape.turn <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = a.scrape.get(ctx)
	require.ErrorIs(t, err, context.Canceled)
	<-a.scrape.turn
	_, err = a.scrape.get(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

func TestStartErrors(t *testing.T) {
	f := start(t, options{store: newMemoryStore()})
	for _, c := range []struct {
		want   string
		change func(*Config, testHost)
	}{
		{"find extension `server: http_server/test`: not in service::extensions", func(_ *Config, h testHost) { delete(h, serverID) }},
		{"find extension `server: profile_store`: it is no HTTP server", func(c *Config, _ testHost) { c.Server = storeID }},
		{"find extension `store: absent`: not in service::extensions", func(c *Config, _ testHost) { id := component.MustNewID("absent"); c.Store = &id }},
		{"find extension `store: http_server/test`: it is no profile store", func(c *Config, _ testHost) { c.Store = &serverID }},
		{`mount "GET /healthz"`, func(*Config, testHost) {}},
	} {
		cfg := createDefaultConfig().(*Config)
		cfg.Server, cfg.Store = serverID, &storeID
		host := testHost{serverID: f.host[serverID], storeID: f.host[storeID]}
		c.change(cfg, host)
		a, err := newAPI(extensiontest.NewNopSettings(apiID.Type()), cfg)
		require.NoError(t, err)
		require.ErrorContains(t, a.Start(t.Context(), host), c.want)
		require.NoError(t, a.Shutdown(t.Context()))
	}
	assert.Equal(t, "ok\n", f.get(t, "/healthz"), "the first keeps its routes")
}

func TestLifecycle(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.Server, cfg.Store = serverID, &storeID
	ext, err := NewFactory().Create(t.Context(), extensiontest.NewNopSettings(apiID.Type()), cfg)
	require.NoError(t, err)
	assert.Equal(t, []component.ID{serverID, storeID}, ext.(*api).Dependencies())
	require.NoError(t, ext.Shutdown(t.Context()), "never started")
	require.NoError(t, ext.Shutdown(t.Context()))
	cfg.Store = nil
	assert.Equal(t, []component.ID{serverID}, ext.(*api).Dependencies())

	f := start(t, options{store: newMemoryStore()})
	require.NoError(t, f.api.Shutdown(t.Context()))
	resp, _ := f.do(t, http.MethodGet, "/api/health", "")
	assert.Equal(t, http.StatusNotFound, resp.StatusCode, "its routes are gone")
	assert.False(t, f.Backpressure())
}
