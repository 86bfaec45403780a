package profilestoreextension

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktest"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
)

// TestCheckOfStore: a store that compacts compares what it has stored with its
// batches, and says by how much they differ.
func TestCheckOfStore(t *testing.T) {
	server := clickhousetest.New(t, t.TempDir(), nil)
	cfg := createDefaultConfig().(*Config)
	e := server.Endpoint()
	cfg.Endpoint, cfg.Username, cfg.Password = []string{e.Addr}, e.Username, configopaque.String(e.Password)
	tel := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, tel.Shutdown(context.WithoutCancel(t.Context()))) })
	core, logs := observer.New(zap.WarnLevel)
	set := extensiontest.NewNopSettings(NewFactory().Type())
	set.TelemetrySettings = tel.NewTelemetrySettings()
	set.Logger = zap.New(core)
	s, err := newStore(set, cfg)
	require.NoError(t, err)
	require.NoError(t, s.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, s.Shutdown(context.WithoutCancel(t.Context()))) })
	require.Eventually(t, func() bool { return s.Ready() == nil && s.compaction.leads() }, time.Minute, 10*time.Millisecond)

	tables := s.tables()
	exec := func(statement string) string { return clickhousetest.Exec(t, server, statement) }
	exec("INSERT INTO " + tables.Table("schema_migrations") + " (version, applied_at) VALUES (6, now() - INTERVAL 2 DAY)")
	hour := (time.Now().Unix()/3600 - 3) * 3600
	w := chunktest.NewSource(3).Window(hour*chunktest.Second, 3000*chunktest.Second, 60)
	w.Groups.Batches[0].EventCount += 7
	require.NoError(t, s.Write(t.Context(), w))
	of := " FROM " + tables.Table("chunks") + " WHERE kind = 'cpu'"
	lost, err := strconv.ParseInt(exec("SELECT sum(batch_events)"+of), 10, 64)
	require.NoError(t, err)
	require.Positive(t, lost)
	exec("DELETE" + of)

	for range 16 { // a pass checks 4 hours, all twice, before those with differences again
		// By itself the store begins after minutes.
		require.NoError(t, s.conn.Load().checker.Pass(t.Context()))
	}
	m, err := tel.GetMetric("otelcol_profile_store_unaccounted_events")
	require.NoError(t, err)
	differ := make(map[string]int64)
	for _, p := range m.Data.(metricdata.Gauge[int64]).DataPoints {
		stage, _ := p.Attributes.Value("stage")
		differ[stage.AsString()] = p.Value
	}
	assert.Equal(t, map[string]int64{"received": 7, "stored": lost}, differ)
	entries := logs.FilterMessageSnippet("batches and what is stored differ").All()
	require.NotEmpty(t, entries)
	assert.Equal(t, "anonymous", entries[0].ContextMap()["tenant"])
	m, err = tel.GetMetric("otelcol_profile_store_checked_hours")
	require.NoError(t, err)
	assert.GreaterOrEqual(t, m.Data.(metricdata.Sum[int64]).DataPoints[0].Value, int64(40))
}
