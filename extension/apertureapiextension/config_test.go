package apertureapiextension

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/extension/extensiontest"

	"github.com/aperture-collector/aperture-collector/internal/alert/notify"
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

func alertmanager(change func(*notify.AlertmanagerConfig)) *notify.AlertmanagerConfig {
	c := notify.NewDefaultAlertmanagerConfig()
	change(&c)
	return &c
}

func webhook(change func(*notify.WebhookConfig)) notify.WebhookConfig {
	c := notify.NewDefaultWebhookConfig()
	change(&c)
	return c
}

func TestConfig(t *testing.T) {
	want := createDefaultConfig().(*Config)
	want.Server = component.MustNewID("http_server")
	cfg := loadConfig(t, "aperture_api")
	require.NoError(t, confmap.Validate(cfg))
	assert.Equal(t, want, cfg)

	store := component.MustNewID("profile_store")
	cfg = loadConfig(t, "aperture_api/all")
	require.NoError(t, confmap.Validate(cfg))
	assert.Equal(t, &Config{
		Server:            component.MustNewIDWithName("http_server", "aperture"),
		Store:             &store,
		TelemetryEndpoint: "https://127.0.0.1:9999/telemetry",
		MaxStacks:         10,
		StacksCap:         20,
		QueryTimeout:      5 * time.Second,
		ShareLiveAnswers:  3 * time.Second,
		TenantHeader:      "X-Tenant",
		Alerts: AlertsConfig{
			EvaluationInterval: time.Minute, EvaluationDelay: 5 * time.Second, ExternalURL: "https://profiles.example.com/aperture/", MaxRules: 10,
			Notify: notify.Config{
				Alertmanager: alertmanager(func(c *notify.AlertmanagerConfig) { c.Endpoints = []string{"http://alertmanager.example.com:9093"} }),
				Webhooks: map[string]notify.WebhookConfig{"ops": webhook(func(c *notify.WebhookConfig) {
					c.ClientConfig.Endpoint, c.Secret = "https://ops.example.com/alerts", "0123456789abcdef"
				})},
				AllowedHosts: []string{"*.example.com"},
			},
		},
	}, cfg)
}

func TestConfigErrorsNameTheirKeys(t *testing.T) {
	err := confmap.Validate(loadConfig(t, "aperture_api/bad"))
	require.Error(t, err)
	for _, want := range []string{
		"`server` must name", "`telemetry_endpoint` is \"localhost:8888\"", "`max_stacks` is 0", "`stacks_cap` is 2000000; it must be from 1 to 1000000",
		"`query_timeout` is 0s", "`share_live_answers` is 1m0s; it must be from 0 to 30s", "`tenant_header` is \"a b\"",
		"`evaluation_interval` is 0s; it must be from 1s to 1h0m0s", "`evaluation_delay` is 2h0m0s; it must be from 0s to 1h0m0s", "`max_rules` is 0; it must be from 1 to 10000",
		"`external_url` is \"profiles.example.com\"; it must be an http or https URL without credentials, query and fragment",
		"`allowed_hosts`",
	} {
		assert.ErrorContains(t, err, want)
	}
	cfg := createDefaultConfig().(*Config)
	cfg.TelemetryEndpoint = "http://%zz"
	assert.ErrorContains(t, cfg.Validate(), "`telemetry_endpoint` is no URL")
	cfg.Alerts.ExternalURL = "http://%zz"
	assert.ErrorContains(t, cfg.Alerts.Validate(), "`external_url` is no URL")
	cfg.Alerts.ExternalURL = "https://user:secret@example.com"
	assert.ErrorContains(t, cfg.Alerts.Validate(), "`external_url` is \"https://user:xxxxx@example.com\"")
}

// Extensions that requests to receivers of alerts go through are started before.
func TestDependencies(t *testing.T) {
	oauth, tracing := component.MustNewID("oauth2client"), component.MustNewID("tracing")
	cfg := createDefaultConfig().(*Config)
	cfg.Server, cfg.Store = serverID, &storeID
	require.NoError(t, confmap.NewFromStringMap(map[string]any{
		"alertmanager": map[string]any{"auth": map[string]any{"authenticator": "oauth2client"}},
		"webhooks":     map[string]any{"ops": map[string]any{"middlewares": []any{map[string]any{"id": "tracing"}}}},
	}).Unmarshal(&cfg.Alerts))
	a, err := newAPI(extensiontest.NewNopSettings(apiID.Type()), cfg)
	require.NoError(t, err)
	assert.Equal(t, []component.ID{serverID, storeID, oauth, tracing}, a.Dependencies())
	require.NoError(t, a.Shutdown(t.Context()))
}
