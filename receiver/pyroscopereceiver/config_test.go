package pyroscopereceiver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
)

func TestConfig(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, confmap.NewFromStringMap(map[string]any{
		"server": "http_server/pyroscope",
		"limits": map[string]any{"max_series": 7, "reject_older_than": "2h"},
		"overrides": map[string]any{
			"team-a": map[string]any{"ingestion_rate": 1 << 30},
			"team.b": map[string]any{"max_series": 0},
		},
	}).Unmarshal(cfg))
	require.NoError(t, cfg.Validate())
	assert.Equal(t, serverID, cfg.Server)
	want := createDefaultConfig().(*Config).Limits
	want.MaxSeries, want.RejectOlderThan = 7, 2*time.Hour
	assert.Equal(t, want, cfg.Limits)
	a, b := want, want
	a.IngestionRate, b.MaxSeries = 1<<30, 0
	assert.Equal(t, map[string]LimitsConfig{"team-a": a, "team.b": b}, cfg.Overrides)

	require.ErrorContains(t, confmap.NewFromStringMap(map[string]any{"limits": map[string]any{"max_serie": 7}}).Unmarshal(cfg), "max_serie")
	require.ErrorContains(t, confmap.NewFromStringMap(map[string]any{"overrides": map[string]any{"x": map[string]any{"max_serie": 7}}}).Unmarshal(cfg), "max_serie")
}

func TestConfigErrors(t *testing.T) {
	f := func(change func(*Config), want string) {
		t.Helper()
		cfg := createDefaultConfig().(*Config)
		cfg.Server = serverID
		require.NoError(t, cfg.Validate())
		change(cfg)
		require.ErrorContains(t, cfg.Validate(), want)
	}
	f(func(c *Config) { c.Server = createDefaultConfig().(*Config).Server }, "`server` must name an http_server extension")
	f(func(c *Config) { c.MaxBodySize = 0 }, "`max_body_size` is 0; it must be from 1 to 1073741824")
	f(func(c *Config) { c.MaxInflightSize = 1 }, "`max_inflight_size` is 1; it must be at least `max_body_size` (268435456)")
	f(func(c *Config) { c.Limits.MaxDepth = 5000 }, "`limits::max_depth` is 5000; it must be from 0 to 2048")
	f(func(c *Config) { c.Limits.IngestionBurst = 0 }, "`limits::ingestion_burst` is 0; with `ingestion_rate` it must be at least 1")
	f(func(c *Config) { c.Overrides = map[string]LimitsConfig{"a/b": {}} }, "`overrides` has \"a/b\"")
	f(func(c *Config) { c.Overrides = map[string]LimitsConfig{"a": {MaxSeries: -1}} }, "`overrides::a::max_series` is -1")
}
