package profilestoreextension

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configtls"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/extension/extensiontest"

	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

func load(t *testing.T, name string) (*Config, error) {
	t.Helper()
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	sub, err := conf.Sub(name)
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, sub.Unmarshal(cfg))
	return cfg, cfg.Validate()
}

func TestLoadConfig(t *testing.T) {
	cfg, err := load(t, "profile_store")
	require.NoError(t, err)
	want := createDefaultConfig().(*Config)
	id := component.MustNewID("embedded_clickhouse")
	want.Embedded = &id
	assert.Equal(t, want, cfg)

	cfg, err = load(t, "profile_store/all")
	require.NoError(t, err)
	assert.Equal(t, &Config{
		Endpoint: []string{"clickhouse-0.example:9440", "clickhouse-1.example:9440"},
		Database: "profiles", Username: "collector", Password: "secret",
		TLS:       configoptional.Some(configtls.ClientConfig{InsecureSkipVerify: true}),
		Retention: 168 * time.Hour, AlertRetention: 240 * time.Hour, Cluster: "main", ClusterReplicated: true, MaxConnections: 32, DialTimeout: 2 * time.Second,
		Query:          QueryConfig{MaxExecutionTime: time.Minute, MaxMemoryUsage: 1 << 30, MaxRows: 1000, MaxStacks: 500},
		StackCacheSize: 1 << 20, DictionaryCacheSize: 5000,
	}, cfg)
}

func TestInvalidConfig(t *testing.T) {
	f := func(name string, wants ...string) {
		t.Helper()
		_, err := load(t, "profile_store/"+name)
		for _, want := range wants {
			require.ErrorContains(t, err, want)
		}
	}
	f("nothing", "one of `endpoint` and `embedded` must be set")
	f("both", "only one of `endpoint` and `embedded` may be set")
	f("embedded_user", "`username`, `password` and `tls` have no effect with `embedded`")
	f("bad_endpoint", "`endpoint`[0] is \"localhost\": must be host:port")
	f("bad_database", "`database` is \"a-b\"")
	f("bad_cluster", "`cluster` is \"x`; DROP\"")
	f("bad_limits", "`retention` is 1m0s: must be at least 1h", "`alert_retention` is 1s: must be at least 1h", "`max_connections` is 1: must be from 4 to 1024",
		"`dial_timeout` is 0s", "`query::max_execution_time` is 1ms", "`query::max_memory_usage` is 1", "`query::max_rows` is 0",
		"`query::max_stacks` is 0", "`stack_cache_size` is 1", "`dictionary_cache_size` is 1")
}

// TestLifecycle starts and stops the store without a server, in every order.
func TestLifecycle(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.Endpoint = []string{"127.0.0.1:1"}
	f := NewFactory()
	ctx := context.Background()

	ext, err := f.Create(ctx, extensiontest.NewNopSettings(f.Type()), cfg)
	require.NoError(t, err)
	require.NoError(t, ext.Shutdown(ctx))

	ext, err = f.Create(ctx, extensiontest.NewNopSettings(f.Type()), cfg)
	require.NoError(t, err)
	require.ErrorIs(t, ext.(profilestore.Store).Ready(), profilestore.ErrUnavailable)
	require.NoError(t, ext.Start(ctx, componenttest.NewNopHost()))
	require.NoError(t, ext.Shutdown(ctx))
	require.NoError(t, ext.Shutdown(ctx))

	cfg.TLS = configoptional.Some(configtls.ClientConfig{Config: configtls.Config{CAFile: "testdata/none.pem"}})
	ext, err = f.Create(ctx, extensiontest.NewNopSettings(f.Type()), cfg)
	require.NoError(t, err)
	require.ErrorContains(t, ext.Start(ctx, componenttest.NewNopHost()), "load `tls`")
	require.NoError(t, ext.Shutdown(ctx))
}
