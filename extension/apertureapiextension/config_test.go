package apertureapiextension

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
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

func TestConfig(t *testing.T) {
	want := createDefaultConfig().(*Config)
	want.Server = component.MustNewID("http_server")
	cfg := loadConfig(t, "aperture_api")
	require.NoError(t, cfg.Validate())
	assert.Equal(t, want, cfg)

	store := component.MustNewID("profile_store")
	cfg = loadConfig(t, "aperture_api/all")
	require.NoError(t, cfg.Validate())
	assert.Equal(t, &Config{
		Server:            component.MustNewIDWithName("http_server", "aperture"),
		Store:             &store,
		TelemetryEndpoint: "https://127.0.0.1:9999/telemetry",
		MaxStacks:         10,
		StacksCap:         20,
		QueryTimeout:      5 * time.Second,
		TenantHeader:      "X-Tenant",
	}, cfg)
}

func TestConfigErrorsNameTheirKeys(t *testing.T) {
	err := loadConfig(t, "aperture_api/bad").Validate()
	require.Error(t, err)
	for _, want := range []string{
		"`server` must name", "`telemetry_endpoint` is \"localhost:8888\"", "`max_stacks` is 0", "`stacks_cap` is 2000000; it must be from 1 to 1000000",
		"`query_timeout` is 0s", "`tenant_header` is \"a b\"",
	} {
		assert.ErrorContains(t, err, want)
	}
	cfg := createDefaultConfig().(*Config)
	cfg.TelemetryEndpoint = "http://%zz"
	assert.ErrorContains(t, cfg.Validate(), "`telemetry_endpoint` is no URL")
}
