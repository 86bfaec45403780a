package notify

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
)

func TestConfigDefaults(t *testing.T) {
	c, err := parse(t, `
alertmanager: {endpoints: [http://am:9093]}
webhooks: {a: {endpoint: https://hooks.example.com/a, retry_on_failure: {max_elapsed_time: 1m}}}`)
	require.NoError(t, err)
	require.NoError(t, confmap.Validate(c))
	assert.Equal(t, time.Minute, c.Alertmanager.RepeatInterval)
	assert.Equal(t, 10*time.Second, c.Alertmanager.ClientConfig.Timeout)
	a := c.Webhooks["a"]
	assert.Equal(t, 10*time.Second, a.ClientConfig.Timeout)
	assert.True(t, a.RetryOnFailure.Enabled)
	assert.Equal(t, time.Minute, a.RetryOnFailure.MaxElapsedTime)
	assert.Equal(t, time.Second, a.RetryOnFailure.InitialInterval)

	c, err = parse(t, "{}")
	require.NoError(t, err)
	require.NoError(t, confmap.Validate(c))
	notifiers, err := c.Build(t.Context(), "aperture", componenttest.NewNopHost(), componenttest.NewNopTelemetrySettings())
	require.NoError(t, err)
	assert.Empty(t, notifiers)
}

func TestConfigErrors(t *testing.T) {
	tests := []struct{ yaml, want string }{
		{"alertmanager: {}", "`alertmanager::endpoints` must have the URL"},
		{"alertmanager: {endpoints: [am:9093]}", "`alertmanager::endpoints::0`: is no http or https URL"},
		{"alertmanager: {endpoints: ['http://a', 'http://b?c']}", "`alertmanager::endpoints::1` has a query"},
		{"alertmanager: {endpoints: [http://a], endpoint: http://a}", "`alertmanager::endpoint` is not used; write `alertmanager::endpoints`"},
		{"alertmanager: {endpoints: [http://a], repeat_interval: 1ms}", "`alertmanager::repeat_interval` is 1ms; it must be from 1s to 1h"},
		{"alertmanager: {endpoints: [http://a], timeout: 0s}", "`alertmanager::timeout` is 0s"},
		{"alertmanager: {endpoints: ['http://169.254.169.254']}", "call 169.254.169.254, which is a metadata service: not allowed by `allowed_hosts`"},
		{"alertmanager: {endpoints: ['http://2852039166']}", `has the host "2852039166"`},
		{"alertmanager: {endpoints: ['http://0xa9.0xfe.0xa9.0xfe']}", `has the host "0xa9.0xfe.0xa9.0xfe"`},
		{"webhooks: {a: {}}", "`webhooks::a::endpoint`: is no http or https URL"},
		{"webhooks: {'a b': {endpoint: http://a}}", "`webhooks` has the name \"a b\""},
		{"webhooks: {a: {endpoint: 'http://u:p@a'}}", "`webhooks::a::endpoint`: has credentials in the URL"},
		{"webhooks: {a: {endpoint: 'http://a#b'}}", "`webhooks::a::endpoint`: has a fragment"},
		{"webhooks: {a: {endpoint: 'http://a:0'}}", `has the port "0"; it must be from 1 to 65535`},
		{"webhooks: {a: {endpoint: http://a, secret: short}}", "`webhooks::a::secret` is 5 bytes long; it must be at least 16"},
		{"webhooks: {a: {endpoint: http://a, retry_on_failure: {max_elapsed_time: 0}}}", "`webhooks::a::retry_on_failure::max_elapsed_time` is 0s"},
		{"webhooks: {a: {endpoint: http://a, retry_on_failure: {max_elapsed_time: 2m}}}", "is 2m0s; it must be more than 0 and at most 1m0s"},
		{"webhooks: {a: {endpoint: http://a, timeout: 61s}}", "`webhooks::a::timeout` is 1m1s; it must be more than 0 and at most 1m0s"},
		{"webhooks: {a: {endpoint: http://a, compression: gzip}}", "`webhooks::a::compression` is gzip"},
		{"webhooks: {a: {endpoint: http://a, proxy_url: 'ftp://p'}}", "`webhooks::a::proxy_url`: is no http, https or socks5 URL"},
		{"webhooks: {a: {endpoint: http://a}}\nallowed_hosts: [b]", "`webhooks::a::endpoint`: call a:80: not allowed by `allowed_hosts`"},
		{"allowed_hosts: ['http://a']", "`allowed_hosts`: \"http://a\" is no host"},
	}
	for _, tt := range tests {
		t.Run(tt.yaml, func(t *testing.T) {
			c, err := parse(t, tt.yaml)
			require.NoError(t, err)
			assert.ErrorContains(t, confmap.Validate(c), tt.want)
		})
	}
	for _, yaml := range []string{"webhooks: {a: {endpoint: http://a, secrets: x}}", "alertmanager: {endpoint_s: []}", "webhook: {}"} {
		_, err := parse(t, yaml)
		assert.ErrorContains(t, err, "invalid keys", yaml)
	}
}

// auth is an authenticator of the collector.
type auth struct {
	component.StartFunc
	component.ShutdownFunc
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (auth) RoundTripper(base http.RoundTripper) (http.RoundTripper, error) {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer of the extension")
		return base.RoundTrip(r)
	}), nil
}

type host map[component.ID]component.Component

func (h host) GetExtensions() map[component.ID]component.Component { return h }

func TestHeadersAndAuthenticators(t *testing.T) {
	r := newReceiver(t, nil)
	c, err := parse(t, "webhooks: {a: {endpoint: "+r.URL+", headers: {X-Team: ops}, auth: {authenticator: bearertokenauth}}}")
	require.NoError(t, err)
	require.NoError(t, confmap.Validate(c))
	set := componenttest.NewNopTelemetrySettings()
	_, err = c.Build(t.Context(), "aperture", componenttest.NewNopHost(), set)
	require.ErrorContains(t, err, "build `webhooks::a`: failed to resolve authenticator")

	notifiers, err := c.Build(t.Context(), "aperture", host{component.MustNewID("bearertokenauth"): auth{}}, set)
	require.NoError(t, err)
	defer closeAll(t, notifiers)
	require.NoError(t, notifiers[0].Notify(t.Context(), events(1)))
	assert.Equal(t, "Bearer of the extension", r.all()[0].header.Get("Authorization"))
	assert.Equal(t, "ops", r.all()[0].header.Get("X-Team"))
}
