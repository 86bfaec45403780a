package profilebufferprocessor

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
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
	cfg := loadConfig(t, "profile_buffer")
	assert.Equal(t, createDefaultConfig(), cfg)
	require.NoError(t, confmap.Validate(cfg))

	cfg = loadConfig(t, "profile_buffer/all")
	require.NoError(t, confmap.Validate(cfg))
	api := component.MustNewIDWithName("aperture_api", "one")
	assert.Equal(t, &Config{
		Window: 250 * time.Millisecond, MaxWindowBytes: 1 << 20, MaxWindowSamples: 1000, MaxPendingBytes: 4 << 20,
		MaxInternBytes: 2 << 20, MaxBatches: 100, MaxBytes: 64 << 10, TenantHeader: "x-tenant", LiveView: &api,
		KeepProfiles:    KeepProfilesConfig{Duration: 5 * time.Minute, MaxBytes: 1_000_000},
		ShutdownTimeout: 3 * time.Second,
		Limits:          LimitsConfig{MaxFrames: 10, MaxTotalFrames: 100, MaxStringLength: 1000, MaxGroups: 30, MaxLabels: 20, MaxWeeks: 5},
	}, cfg)
}

func TestConfigRefusesBadValues(t *testing.T) {
	err := confmap.Validate(loadConfig(t, "profile_buffer/bad"))
	for _, want := range []string{
		"`window` is 2m0s; it must be between 1ms and 1m",
		"`max_pending_bytes` is 2048; it must be at least `max_window_bytes` (1048576)",
		"`max_batches` is -1; it must be at least 0",
		"`limits::max_frames` is 0; it must be at least 1",
	} {
		assert.ErrorContains(t, err, want)
	}
}
