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

	"github.com/aperture-collector/aperture-collector/internal/procinfo"
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
		Profiles: []string{"cpu", "lock"}, SamplingFrequency: 49, OffCPUMinDuration: 5 * time.Millisecond,
		LockMinDuration: time.Millisecond, SyscallSlowThreshold: 0, MaxOverhead: 0.02,
		Targets: procinfo.TargetsConfig{
			PIDs: []int{1}, Executables: []string{"/usr/bin/*", "node"}, Containers: []string{"0123456789ab"},
			Cgroups: []string{"/system.slice"},
		},
		Interval: 5 * time.Second, MaxMapEntries: 4096, MaxUnwindTableSize: 8 << 20, SymbolCacheSize: 16 << 20,
		Tenant: "team-a", AgentID: "host-1", ExcludeSelf: true, Required: true,
	}, all)
}

func TestConfigBad(t *testing.T) {
	bad := load(t, "ebpf_profiling/bad")
	bad.AgentID = strings.Repeat("x", 257)
	bad.Profiles = append(bad.Profiles, "lock", bad.Profiles[0])
	err := confmap.Validate(bad)
	at := -1
	for _, want := range []string{ // in this order
		"`profiles[1]` must be one of cpu, off_cpu, lock, syscall, found \"gpu\"",
		"`profiles[3]` must not be the same as `profiles[0]`, found \"cpu\"",
		"`sampling_frequency` must be from 1 to 1000, found 1001",
		"`off_cpu_min_duration` must be from 0 to 1m0s, found -1s",
		"`lock_min_duration` must be from 0 to 1m0s, found 2m0s",
		"`syscall_slow_threshold` must be from 0 to 1m0s, found -1ns",
		"`targets::executables[0]` must be a pattern",
		"`max_overhead` must be from 0 to 1, found 1.5",
		"`interval` must be from 100ms to 10m0s, found 1ms",
		"`max_map_entries` must be 0 or from 128 to 1048576, found 1",
		"`max_unwind_table_size` must be from 1048576 to 268435456 bytes, found 7",
		"`symbol_cache_size` must be from 1048576 to 1099511627776 bytes, found 5",
		"`agent_id` must have at most 256 bytes, found 257",
	} {
		require.ErrorContains(t, err, want)
		i := strings.Index(err.Error(), want)
		assert.Greater(t, i, at, want)
		at = i
	}
}

func TestConfigSymbolCacheSize(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.SymbolCacheSize = 1 << 40
	require.NoError(t, cfg.Validate())
	cfg.SymbolCacheSize++
	assert.ErrorContains(t, cfg.Validate(), "`symbol_cache_size` must be from 1048576 to 1099511627776 bytes, found 1099511627777")
}
