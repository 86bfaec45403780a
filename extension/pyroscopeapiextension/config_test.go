package pyroscopeapiextension

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/extension/extensiontest"
)

func TestLoadConfig(t *testing.T) {
	conf, err := confmaptest.LoadConf("testdata/config.yaml")
	require.NoError(t, err)
	load := func(key string) *Config {
		sub, err := conf.Sub(key)
		require.NoError(t, err)
		cfg := createDefaultConfig().(*Config)
		require.NoError(t, sub.Unmarshal(cfg))
		return cfg
	}
	cfg := load("pyroscope_api")
	require.NoError(t, cfg.Validate())
	want := createDefaultConfig().(*Config)
	want.Server, want.Store = serverID, storeID
	assert.Equal(t, want, cfg)

	cfg = load("pyroscope_api/all")
	require.NoError(t, cfg.Validate())
	files := component.MustNewID("file_storage")
	assert.Equal(t, &Config{
		Server: serverID, Store: storeID, Storage: &files, Multitenancy: true, QueryTimeout: time.Minute, MaxStacks: 10,
		Limits:        LimitsConfig{MaxQueryLength: time.Hour, MaxFlamegraphNodesDefault: 5, MaxFlamegraphNodesMax: 6},
		Compatibility: CompatibilityConfig{RefuseMaxNodes: true, CoarseTimeline: true},
	}, cfg)
	ext, err := NewFactory().Create(t.Context(), extensiontest.NewNopSettings(NewFactory().Type()), cfg)
	require.NoError(t, err)
	assert.Equal(t, []component.ID{serverID, storeID, files}, ext.(*api).Dependencies())
	require.NoError(t, ext.Shutdown(t.Context()))
}

func TestValidate(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"`server` must name":                            func(c *Config) { c.Server = component.ID{} },
		"`store` must name":                             func(c *Config) { c.Store = component.ID{} },
		"`query_timeout` is 0s":                         func(c *Config) { c.QueryTimeout = 0 },
		"`max_stacks` is 0":                             func(c *Config) { c.MaxStacks = 0 },
		"`max_stacks` is 10000001":                      func(c *Config) { c.MaxStacks = maxStacksCap + 1 },
		"`limits::max_query_length` must not":           func(c *Config) { c.Limits.MaxQueryLength = -1 },
		"`limits::max_query_lookback` must not":         func(c *Config) { c.Limits.MaxQueryLookback = -1 },
		"`limits::max_concurrent_queries` must not":     func(c *Config) { c.Limits.MaxConcurrentQueries = -1 },
		"`limits::max_flamegraph_nodes_default` is 200": func(c *Config) { c.Limits.MaxFlamegraphNodesDefault, c.Limits.MaxFlamegraphNodesMax = 200, 100 },
	} {
		cfg := createDefaultConfig().(*Config)
		cfg.Server, cfg.Store = serverID, storeID
		require.NoError(t, cfg.Validate())
		change(cfg)
		require.ErrorContains(t, cfg.Validate(), want)
	}
}

func TestStartErrors(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.Server, cfg.Store = serverID, storeID
	a, err := newAPI(extensiontest.NewNopSettings(NewFactory().Type()), cfg)
	require.NoError(t, err)
	require.ErrorContains(t, a.Start(t.Context(), testHost{}), "`store: profile_store`: not in service::extensions")
	require.ErrorContains(t, a.Start(t.Context(), testHost{storeID: a}), "`store: profile_store`: it is no profile store")
	require.NoError(t, a.Shutdown(t.Context()))
	require.NoError(t, a.Shutdown(t.Context()))
}
