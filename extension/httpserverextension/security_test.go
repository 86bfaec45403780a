package httpserverextension

import (
	"crypto/tls"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configauth"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configtls"

	"github.com/aperture-collector/aperture-collector/internal/bearer/bearertest"
	"github.com/aperture-collector/aperture-collector/internal/certtest"
	"github.com/aperture-collector/aperture-collector/internal/httpserver"
)

// startWithToken starts a server that asks for a token, with a route for anybody
// and one for those who have it.
func startWithToken(t *testing.T, token string) *fixture {
	t.Helper()
	id, ext := bearertest.Start(t, token)
	host := newHost()
	host.extensions[id] = ext
	f := start(t, func(c *Config) {
		c.ServerConfig.Auth = configoptional.Some(confighttp.AuthConfig{Config: configauth.Config{AuthenticatorID: id}})
	}, host)
	_, err := f.Mount("GET /data", text("data"))
	require.NoError(t, err)
	_, err = f.Mount("GET /healthz", text("ok"), httpserver.Always(), httpserver.Public())
	require.NoError(t, err)
	_, err = f.Mount("GET /metrics", text("metrics"), httpserver.Always())
	require.NoError(t, err)
	return f
}

func TestBearerToken(t *testing.T) {
	f := startWithToken(t, "secret")
	for _, c := range []struct {
		name, authorization, message, challenge string
	}{
		{"none", "", "Missing authorization header", `Bearer realm="aperture"`},
		{"other scheme", "Basic eDp5", "Missing Bearer prefix", `Bearer realm="aperture", error="invalid_token"`},
		{"lower case", "bearer secret", "Missing Bearer prefix", `Bearer realm="aperture", error="invalid_token"`},
		{"wrong", "Bearer secre", "Invalid token", `Bearer realm="aperture", error="invalid_token"`},
		{"longer", "Bearer secret2", "Invalid token", `Bearer realm="aperture", error="invalid_token"`},
		{"no text", "Bearer \xff", "Invalid authorization header encoding", `Bearer realm="aperture", error="invalid_token"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			headers := []string{"X-Request-Id", "who"}
			if c.authorization != "" {
				headers = append(headers, "Authorization", c.authorization)
			}
			// Who is not known does not learn which routes there are.
			for _, path := range []string{"/data", "/metrics", "/unknown"} {
				resp, body := f.do(t, http.MethodGet, path, nil, headers...)
				assert.Equal(t, http.StatusUnauthorized, resp.StatusCode)
				assert.Equal(t, c.challenge, resp.Header.Get("WWW-Authenticate"))
				message, id := errorOf(t, body)
				assert.Equal(t, c.message, message)
				assert.Equal(t, "who", id)
			}
			resp, body := f.do(t, http.MethodGet, "/healthz", nil, headers...)
			assert.Equal(t, http.StatusOK, resp.StatusCode)
			assert.Equal(t, "ok", body)
			assert.Equal(t, "who", resp.Header.Get("X-Request-Id"))
		})
	}
	for path, want := range map[string]string{"/data": "data", "/metrics": "metrics", "/healthz": "ok"} {
		_, body := f.do(t, http.MethodGet, path, nil, "Authorization", "Bearer secret")
		assert.Equal(t, want, body)
	}
	// A path that leads to a public one is not public.
	resp, _ := f.do(t, http.MethodGet, "/data/../healthz/../data", nil)
	assert.NotEqual(t, http.StatusOK, resp.StatusCode)
}

// The token of the shipped configurations, which nobody is asked for, would let
// nobody in.
func TestTokenThatOpensNothing(t *testing.T) {
	f := startWithToken(t, "\n")
	for _, authorization := range []string{"", "Bearer", "Bearer ", "Bearer \t", "Bearer \\n"} {
		resp, _ := f.do(t, http.MethodGet, "/data", nil, "Authorization", authorization)
		assert.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	}
}

func startTLS(t *testing.T, ca, clients *certtest.Authority) *fixture {
	t.Helper()
	certFile, keyFile := ca.Issue(t, "server", time.Hour)
	f := start(t, func(c *Config) {
		cfg := configtls.NewDefaultServerConfig()
		cfg.CertFile, cfg.KeyFile = certFile, keyFile
		if clients != nil {
			cfg.ClientCAFile = clients.File
		}
		c.ServerConfig.TLS = configoptional.Some(cfg)
	}, nil)
	_, err := f.Mount("GET /data", text("data"))
	require.NoError(t, err)
	return f
}

// fetch requests /data over a connection of its own and returns the version of
// HTTP.
func (f *fixture) fetch(t *testing.T, ca *certtest.Authority, certFile, keyFile string) (string, error) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: ca.Client(t, certFile, keyFile), ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get("https://" + f.Addr().String() + "/data")
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.Proto, err
}

func TestTLS(t *testing.T) {
	ca, other := certtest.New(t), certtest.New(t)
	f := startTLS(t, ca, nil)
	proto, err := f.fetch(t, ca, "", "")
	require.NoError(t, err)
	assert.Equal(t, "HTTP/2.0", proto)
	_, err = f.fetch(t, other, "", "")
	require.ErrorContains(t, err, "unknown authority")
	resp, _ := f.do(t, http.MethodGet, "/data", nil) // plain text
	assert.Equal(t, http.StatusBadRequest, resp.StatusCode)
}

func TestMutualTLS(t *testing.T) {
	ca, clients := certtest.New(t), certtest.New(t)
	f := startTLS(t, ca, clients)
	certFile, keyFile := clients.Issue(t, "client", time.Hour)
	_, err := f.fetch(t, ca, certFile, keyFile)
	require.NoError(t, err)
	// Who writes as well may see a broken connection before the reason.
	conn, err := tls.Dial("tcp", f.Addr().String(), ca.Client(t, "", ""))
	require.NoError(t, err)
	_, err = conn.Read(make([]byte, 1))
	require.ErrorContains(t, err, "certificate required")
	require.NoError(t, conn.Close())
	certFile, keyFile = ca.Issue(t, "stranger", time.Hour)
	_, err = f.fetch(t, ca, certFile, keyFile)
	require.Error(t, err)
	certFile, keyFile = clients.Issue(t, "expired", -time.Hour)
	_, err = f.fetch(t, ca, certFile, keyFile)
	require.Error(t, err)
}
