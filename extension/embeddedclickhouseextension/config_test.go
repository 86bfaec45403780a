package embeddedclickhouseextension

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
)

func loadConfig(t *testing.T, name string) *Config {
	t.Helper()
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	sub, err := conf.Sub(name)
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, sub.Unmarshal(cfg))
	return cfg
}

func TestConfigDefaults(t *testing.T) {
	cfg := loadConfig(t, "embedded_clickhouse")
	require.NoError(t, confmap.Validate(cfg))
	assert.Equal(t, &Config{
		DataDir:      "/var/lib/aperture/clickhouse",
		MemoryLimit:  2 << 30,
		StartTimeout: 30 * time.Second,
	}, cfg)
}

func TestConfigAll(t *testing.T) {
	cfg := loadConfig(t, "embedded_clickhouse/all")
	require.NoError(t, confmap.Validate(cfg))
	assert.Equal(t, map[string]string{"background_pool_size": "4"}, cfg.settings())
	assert.Equal(t, &Config{
		DataDir:        "/var/lib/aperture/clickhouse",
		TCPPort:        9000,
		HTTPPort:       8123,
		Launcher:       "/opt/aperture/clickhouse-embedded",
		Library:        "/opt/aperture/libchdb.so",
		MemoryLimit:    4 << 30,
		StartTimeout:   time.Minute,
		ServerSettings: map[string]any{"background_pool_size": 4},
	}, cfg)
}

func TestConfigErrorsNameTheirKeys(t *testing.T) {
	err := confmap.Validate(loadConfig(t, "embedded_clickhouse/bad"))
	for _, text := range []string{
		"`data_dir` is required", "`tcp_port` is 70000", "`http_port` is -1", "`memory_limit` is 1000", "`start_timeout` is 0s",
		"`server_settings`: \"Logger\" is not the name", "`server_settings`: \"http_port\" is set by the collector itself",
		"`server_settings::macros` is a map[string]interface {}",
	} {
		assert.ErrorContains(t, err, text)
	}
	assert.ErrorContains(t, confmap.Validate(loadConfig(t, "embedded_clickhouse/same_port")), "`tcp_port` and `http_port` are both 9000")
}
