package ebpfprofilingreceiver

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
)

func load(t *testing.T, id string) *Config {
	t.Helper()
	cm, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	sub, err := cm.Sub(id)
	require.NoError(t, err)
	cfg := NewFactory().CreateDefaultConfig()
	require.NoError(t, sub.Unmarshal(cfg))
	return cfg.(*Config)
}

func TestConfig(t *testing.T) {
	assert.Equal(t, NewFactory().CreateDefaultConfig(), component.Config(load(t, "ebpf_profiling")))
	all := load(t, "ebpf_profiling/all")
	require.NoError(t, confmap.Validate(all))
	assert.Equal(t, &Config{
		SamplingFrequency: 49, Interval: 5 * time.Second, MaxMapEntries: 4096, SymbolCacheSize: 16 << 20,
		Tenant: "team-a", AgentID: "host-1", ExcludeSelf: true, Required: true,
	}, all)
}

func TestConfigBad(t *testing.T) {
	bad := load(t, "ebpf_profiling/bad")
	bad.AgentID = strings.Repeat("x", 257)
	err := confmap.Validate(bad)
	for _, want := range []string{
		"`sampling_frequency` must be from 1 to 1000, found 1001",
		"`interval` must be from 100ms to 10m0s, found 1ms",
		"`max_map_entries` must be from 128 to 1048576, found 1",
		"`symbol_cache_size` must be at least 1048576 bytes, found 5",
		"`agent_id` must have at most 256 bytes, found 257",
	} {
		assert.ErrorContains(t, err, want)
	}
}
