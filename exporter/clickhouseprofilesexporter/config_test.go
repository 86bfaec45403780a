package clickhouseprofilesexporter

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
)

func loadConfig(t *testing.T, id string) *Config {
	t.Helper()
	all, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	sub, err := all.Sub(id)
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, sub.Unmarshal(cfg))
	return cfg
}

func TestConfig(t *testing.T) {
	cfg := loadConfig(t, "clickhouse_profiles")
	require.NoError(t, confmap.Validate(cfg))
	want := createDefaultConfig().(*Config)
	want.Store = component.MustNewID("profile_store")
	assert.Equal(t, want, cfg)
	assert.True(t, cfg.QueueConfig.Get().WaitForResult, "a queue in memory must not answer before the data is stored")
	assert.False(t, cfg.QueueConfig.Get().BlockOnOverflow)
	assert.Zero(t, cfg.BackOffConfig.MaxElapsedTime)

	cfg = loadConfig(t, "clickhouse_profiles/all")
	require.NoError(t, confmap.Validate(cfg))
	assert.Equal(t, component.MustNewIDWithName("profile_store", "two"), cfg.Store)
	assert.Equal(t, 10*time.Second, cfg.Resolution)
	assert.Equal(t, 5*time.Second, cfg.TimeoutConfig.Timeout)
	q := cfg.QueueConfig.Get()
	assert.Equal(t, exporterhelper.RequestSizerTypeBytes, q.Sizer)
	assert.EqualValues(t, 1_000_000, q.QueueSize)
	assert.Equal(t, 2, q.NumConsumers)
	assert.Equal(t, "file_storage/queue", q.StorageID.String())
	assert.False(t, q.WaitForResult)
	assert.Equal(t, time.Hour, cfg.BackOffConfig.MaxElapsedTime)

	cfg = loadConfig(t, "clickhouse_profiles/off")
	require.NoError(t, confmap.Validate(cfg))
	assert.False(t, cfg.QueueConfig.HasValue())
}

func TestConfigRefusesBadValues(t *testing.T) {
	err := confmap.Validate(loadConfig(t, "clickhouse_profiles/nostore"))
	assert.ErrorContains(t, err, "`store` must name")
	assert.ErrorContains(t, err, "`resolution` is 1µs; it must be between 1ms and 1h")
	assert.ErrorContains(t, confmap.Validate(loadConfig(t, "clickhouse_profiles/batch")), "`sending_queue::batch` is not supported")
}
