package integration

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// metricValue returns the sum of all points of a metric: of a histogram, their
// counts.
func metricValue(t *testing.T, tel *componenttest.Telemetry, name string) (n int64) {
	t.Helper()
	m, err := tel.GetMetric("otelcol_" + name)
	require.NoError(t, err)
	switch d := m.Data.(type) {
	case metricdata.Gauge[int64]:
		for _, p := range d.DataPoints {
			n += p.Value
		}
	case metricdata.Sum[int64]:
		for _, p := range d.DataPoints {
			n += p.Value
		}
	case metricdata.Histogram[float64]:
		for _, p := range d.DataPoints {
			n += int64(p.Count)
		}
	}
	return n
}

func TestTelemetry(t *testing.T) {
	server := clickhousetest.Start(t)
	cfg := configFor(server.Endpoint(), clickhousetest.Database(t))
	tel := componenttest.NewTelemetry()
	ctx := context.Background()
	t.Cleanup(func() { require.NoError(t, tel.Shutdown(ctx)) })
	f := profilestoreextension.NewFactory()
	set := extensiontest.NewNopSettings(f.Type())
	set.TelemetrySettings = tel.NewTelemetrySettings()
	ext, err := f.Create(ctx, set, cfg)
	require.NoError(t, err)
	store := ext.(profilestore.Store)
	value := func(name string) int64 { return metricValue(t, tel, name) }
	w := newSource(t, 31).window(base, time.Second, 20, origin{"t1", "api", "agent", nil})
	require.Error(t, store.Write(ctx, w))
	assert.EqualValues(t, 1, value("profile_store_write_errors"))
	assert.Zero(t, value("profile_store_up"))
	require.NoError(t, ext.Start(ctx, componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, ext.Shutdown(ctx)) })
	waitReady(t, store)
	assert.EqualValues(t, 1, value("profile_store_up"))
	require.NoError(t, store.Write(ctx, w))
	// Leases are inserts, too.
	assert.GreaterOrEqual(t, value("profile_store_insert_duration"), int64(len(tables)))
	assert.Greater(t, value("profile_store_rows_written"), int64(50))
	assert.Positive(t, value("profile_store_dictionary_cache_entries"))
	for range 2 {
		_, err := store.MergeStacks(ctx, profilestore.Selector{Tenant: "t1"}, profilestore.MergeOptions{})
		require.NoError(t, err)
	}
	assert.Positive(t, value("profile_store_stack_cache_misses"))
	assert.Equal(t, value("profile_store_stack_cache_misses"), value("profile_store_stack_cache_hits"))
	assert.Positive(t, value("profile_store_stack_cache_size"))
	assert.Zero(t, value("profile_store_stacks_absent"))
	assert.Equal(t, value("profile_store_queries"), value("profile_store_query_duration"))
	assert.GreaterOrEqual(t, value("profile_store_queries"), int64(2+3)) // rows twice, stacks, locations, functions
}
