package embeddedclickhouseextension

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/aperture-collector/aperture-collector/extension/embeddedclickhouseextension/internal/metadata"
	"github.com/aperture-collector/aperture-collector/extension/embeddedclickhouseextension/internal/metadatatest"
	"github.com/aperture-collector/aperture-collector/internal/chserver"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
)

// statusHost records the status that a component reports.
type statusHost struct {
	component.Host
	mu     sync.Mutex
	events []*componentstatus.Event
}

func (h *statusHost) Report(e *componentstatus.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

func (h *statusHost) statuses() []componentstatus.Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []componentstatus.Status
	for _, e := range h.events {
		list = append(list, e.Status())
	}
	return list
}

func newHost() *statusHost { return &statusHost{Host: componenttest.NewNopHost()} }

// testConfig names the launcher and library of the tests.
func testConfig(t *testing.T) *Config {
	t.Helper()
	options := clickhousetest.Options(t)
	cfg := createDefaultConfig().(*Config)
	cfg.DataDir = filepath.Join(t.TempDir(), "clickhouse")
	cfg.Launcher, cfg.Library = options.Launcher, options.Library
	return cfg
}

func newEmbedded(t *testing.T, set extension.Settings, cfg *Config) *embedded {
	t.Helper()
	ext, err := NewFactory().Create(t.Context(), set, cfg)
	require.NoError(t, err)
	return ext.(*embedded)
}

func TestLifecycle(t *testing.T) {
	telemetry := componenttest.NewTelemetry()
	t.Cleanup(func() { assert.NoError(t, telemetry.Shutdown(context.Background())) })
	set := extensiontest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	cfg := testConfig(t)
	ext, host := newEmbedded(t, set, cfg), newHost()
	require.NoError(t, ext.Start(t.Context(), host))

	// It is ready when Start returns, so no waiting is left to do.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	endpoint, err := ext.ClickHouse(ctx)
	require.NoError(t, err)
	answer, err := clickhousetest.Query(endpoint, endpoint.Username, endpoint.Password, "SELECT 1 + 1")
	require.NoError(t, err)
	assert.Equal(t, "2", answer)
	metadatatest.AssertEqualExtensionEmbeddedClickhouseUp(t, telemetry,
		[]metricdata.DataPoint[int64]{{Value: 1}}, metricdatatest.IgnoreTimestamp())

	clickhousetest.Kill(t, ext.server)
	clickhousetest.WaitReady(t, ext.server)
	again, err := ext.ClickHouse(t.Context())
	require.NoError(t, err)
	assert.Equal(t, endpoint, again)
	assert.Eventually(t, func() bool { return len(host.statuses()) == 3 }, time.Minute, 10*time.Millisecond)
	assert.Equal(t, []componentstatus.Status{
		componentstatus.StatusOK, componentstatus.StatusRecoverableError, componentstatus.StatusOK,
	}, host.statuses())
	metadatatest.AssertEqualExtensionEmbeddedClickhouseRestarts(t, telemetry,
		[]metricdata.DataPoint[int64]{{Value: 1}}, metricdatatest.IgnoreTimestamp())

	require.NoError(t, ext.Shutdown(t.Context()))
	_, err = clickhousetest.Query(endpoint, endpoint.Username, endpoint.Password, "SELECT 1")
	require.ErrorContains(t, err, "refused")

	// Data and password are those of the directory.
	next := newEmbedded(t, extensiontest.NewNopSettings(metadata.Type), cfg)
	require.NoError(t, next.Start(t.Context(), newHost()))
	restarted, err := next.ClickHouse(t.Context())
	require.NoError(t, err)
	assert.Equal(t, endpoint.Password, restarted.Password)
	require.NoError(t, next.Shutdown(t.Context()))
}

func TestStartGoesOnWithoutServer(t *testing.T) {
	cfg := testConfig(t)
	cfg.Launcher = "/bin/false"
	cfg.StartTimeout = 50 * time.Millisecond
	ext, host := newEmbedded(t, extensiontest.NewNopSettings(metadata.Type), cfg), newHost()
	require.NoError(t, ext.Start(t.Context(), host))
	statuses := host.statuses()
	require.NotEmpty(t, statuses)
	for _, s := range statuses {
		assert.Equal(t, componentstatus.StatusRecoverableError, s)
	}
	require.NoError(t, ext.Shutdown(t.Context()))
}

func TestStartRefuses(t *testing.T) {
	t.Run("directory in use", func(t *testing.T) {
		cfg := testConfig(t)
		first := newEmbedded(t, extensiontest.NewNopSettings(metadata.Type), cfg)
		require.NoError(t, first.Start(t.Context(), newHost()))
		second := newEmbedded(t, extensiontest.NewNopSettings(metadata.Type), cfg)
		err := second.Start(t.Context(), newHost())
		var locked *chserver.LockedError
		require.ErrorAs(t, err, &locked)
		assert.Equal(t, cfg.DataDir, locked.Dir)
		require.NoError(t, second.Shutdown(t.Context()))
		require.NoError(t, first.Shutdown(t.Context()))
	})
	t.Run("no library beside the program", func(t *testing.T) {
		cfg := testConfig(t)
		cfg.Library = "" // the test binary has none beside it
		ext := newEmbedded(t, extensiontest.NewNopSettings(metadata.Type), cfg)
		require.ErrorContains(t, ext.Start(t.Context(), newHost()), "`make deps` provides it")
		require.NoError(t, ext.Shutdown(t.Context()))
	})
}

func TestClickHouseBeforeStart(t *testing.T) {
	ext := newEmbedded(t, extensiontest.NewNopSettings(metadata.Type), createDefaultConfig().(*Config))
	_, err := ext.ClickHouse(t.Context())
	assert.True(t, errors.Is(err, errNotStarted))
	require.NoError(t, ext.Shutdown(t.Context()))
}
