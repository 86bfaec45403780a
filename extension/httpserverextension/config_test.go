package httpserverextension

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
)

func loadConfig(t *testing.T, name string) (*Config, error) {
	t.Helper()
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	sub, err := conf.Sub(name)
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	return cfg, sub.Unmarshal(cfg)
}

func TestConfigDefaults(t *testing.T) {
	cfg, err := loadConfig(t, "http_server")
	require.NoError(t, err)
	require.NoError(t, confmap.Validate(cfg))
	assert.Equal(t, "127.0.0.1:9090", cfg.ServerConfig.NetAddr.Endpoint)
	assert.EqualValues(t, 20<<20, cfg.ServerConfig.MaxRequestBodySize)
	assert.Equal(t, 10*time.Second, cfg.ServerConfig.ReadHeaderTimeout)
	assert.Equal(t, time.Minute, cfg.ServerConfig.ReadTimeout)
	assert.Equal(t, 2*time.Minute, cfg.ServerConfig.WriteTimeout)
	assert.Equal(t, 256, cfg.Limits.MaxConcurrentRequests)
	assert.Equal(t, 64<<10, cfg.Limits.MaxHeaderBytes)
}

func TestConfigAll(t *testing.T) {
	cfg, err := loadConfig(t, "http_server/all")
	require.NoError(t, err)
	require.NoError(t, confmap.Validate(cfg))
	assert.Equal(t, "127.0.0.1:8443", cfg.ServerConfig.NetAddr.Endpoint)
	assert.EqualValues(t, 1<<20, cfg.ServerConfig.MaxRequestBodySize)
	assert.Equal(t, []string{"https://*.example.com"}, cfg.ServerConfig.CORS.Get().AllowedOrigins)
	assert.Equal(t, "bearertokenauth", cfg.ServerConfig.Auth.Get().Config.AuthenticatorID.String())
	assert.Equal(t, []string{"aperture.example.com"}, cfg.Limits.AllowedHosts)
	assert.Equal(t, 10, cfg.Limits.MaxConcurrentRequests)
	assert.Equal(t, 8192, cfg.Limits.MaxHeaderBytes)
	assert.Equal(t, 5*time.Second, cfg.Limits.RetryAfter)
	assert.Equal(t, 2*time.Second, cfg.Limits.ShutdownTimeout)
}

func TestConfigErrorsNameTheirKeys(t *testing.T) {
	cfg, err := loadConfig(t, "http_server/bad")
	require.NoError(t, err)
	err = confmap.Validate(cfg)
	require.Error(t, err)
	for _, key := range []string{
		"`endpoint`", "`max_request_body_size`", "`read_header_timeout`", "`max_concurrent_requests`",
		"`max_header_bytes`", "`retry_after`", "`shutdown_timeout`",
		"`allowed_hosts` has \"\"", `"a:80"`, `"https://a"`, `"*.example.com"`,
	} {
		assert.ErrorContains(t, err, key)
	}
}

func TestConfigRefusesUnknownKeys(t *testing.T) {
	_, err := loadConfig(t, "http_server/unknown")
	assert.ErrorContains(t, err, "no_such_key")
}
