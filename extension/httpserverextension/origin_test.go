package httpserverextension

import (
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"

	"github.com/aperture-collector/aperture-collector/internal/httpserver"
)

// A page of another site must not have the browser write anything; clients that
// are no browsers and pages of our own may.
func TestCrossOrigin(t *testing.T) {
	f := start(t, func(c *Config) {
		c.ServerConfig.CORS = configoptional.Some(confighttp.CORSConfig{AllowedOrigins: []string{"https://UI.example", "https://*.ours.example"}})
	}, nil)
	for _, method := range []string{"GET", "POST", "DELETE"} {
		_, err := f.Mount(method+" /a", text("done"))
		require.NoError(t, err)
	}
	_, err := f.Mount("POST /open", text("done"), httpserver.Always(), httpserver.Public())
	require.NoError(t, err)
	own := "http://" + f.Addr().String()
	for _, c := range []struct {
		name    string
		headers []string
		allowed bool
	}{
		{"no browser", nil, true},
		{"our own page", []string{"Origin", own, "Sec-Fetch-Site", "same-origin"}, true},
		{"our own page, old browser", []string{"Origin", own}, true},
		{"the address bar", []string{"Sec-Fetch-Site", "none"}, true},
		{"trusted", []string{"Origin", "https://ui.example", "Sec-Fetch-Site", "cross-site"}, true},
		{"trusted by a wildcard", []string{"Origin", "https://a.ours.example", "Sec-Fetch-Site", "same-site"}, true},
		{"another site", []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, false},
		{"another site, old browser", []string{"Origin", "https://evil.example"}, false},
		{"another port", []string{"Origin", "http://127.0.0.1:1", "Sec-Fetch-Site", "same-site"}, false},
		{"a sandbox", []string{"Origin", "null", "Sec-Fetch-Site", "cross-site"}, false},
		{"no origin", []string{"Sec-Fetch-Site", "cross-site"}, false},
		{"like the wildcard", []string{"Origin", "https://ours.example", "Sec-Fetch-Site", "cross-site"}, false},
		{"behind the wildcard", []string{"Origin", "https://a.ours.example.evil.example", "Sec-Fetch-Site", "cross-site"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, body := f.do(t, "GET", "/a", nil, c.headers...)
			assert.Equal(t, http.StatusOK, resp.StatusCode)
			assert.Equal(t, "done", body, "reading is for the browser to allow")
			for _, r := range [][2]string{{"POST", "/a"}, {"DELETE", "/a"}, {"POST", "/open"}, {"POST", "/unknown"}} {
				// What a form can send without asking first.
				resp, body := f.do(t, r[0], r[1], strings.NewReader("{}"), append(slices.Clone(c.headers), "Content-Type", "text/plain")...)
				if c.allowed {
					assert.NotEqual(t, http.StatusForbidden, resp.StatusCode, r)
					continue
				}
				assert.Equal(t, http.StatusForbidden, resp.StatusCode, r)
				message, id := errorOf(t, body)
				assert.Contains(t, message, "cross-origin request")
				assert.Equal(t, resp.Header.Get("X-Request-Id"), id)
			}
		})
	}
}

// statusOf asks for a host over the listener's address.
func (f *fixture) statusOf(t *testing.T, host string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+f.Addr().String()+"/a", nil)
	require.NoError(t, err)
	req.Host = host
	resp, err := f.client.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

// A page whose name was made to point to loopback is of the same origin as we.
func TestHosts(t *testing.T) {
	local := []string{"localhost", "LOCALHOST:9090", "localhost.", "a.localhost:1", "127.0.0.1", "127.0.0.1:9090", "[::1]:9090", "[::1]", "192.0.2.7:80"}
	foreign := []string{"evil.example", "evil.example:9090", "localhost.evil.example", "notlocalhost", "127.0.0.1.evil.example", "localhost:80.evil.example"}
	for _, c := range []struct {
		name            string
		hosts           []string
		allowed, denied []string
	}{
		{"loopback", nil, local, append(foreign, "aperture.example")},
		{"named", []string{"Aperture.example"}, append(local, "aperture.example", "APERTURE.example.:443"), append(foreign, "a.aperture.example")},
		{"any", []string{"*"}, append(local, foreign...), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := start(t, func(cfg *Config) { cfg.Limits.AllowedHosts = c.hosts }, nil)
			_, err := f.Mount("GET /a", text("a"), httpserver.Public())
			require.NoError(t, err)
			for _, host := range c.allowed {
				assert.Equal(t, http.StatusOK, f.statusOf(t, host), host)
			}
			for _, host := range c.denied {
				assert.Equal(t, http.StatusForbidden, f.statusOf(t, host), host)
			}
		})
	}
}

// Which names lead to a listener on a network only its operator knows.
func TestHostsOfNetworks(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	all := &net.TCPAddr{IP: net.IPv4zero}
	assert.True(t, newOrigins(cfg, all).answers("evil.example"))
	assert.True(t, newOrigins(cfg, &net.UnixAddr{}).answers("evil.example"))
	assert.False(t, newOrigins(cfg, &net.TCPAddr{IP: net.IPv6loopback}).answers("evil.example"))
	assert.False(t, newOrigins(cfg, &net.TCPAddr{IP: net.IPv6loopback}).answers("[::1%.evil.example]"), "a zone")
	assert.True(t, newOrigins(cfg, &net.TCPAddr{IP: net.IPv6loopback}).answers(""), "HTTP/1.0 has no host")
	cfg.Limits.AllowedHosts = []string{"a.example"}
	assert.False(t, newOrigins(cfg, all).answers("evil.example"))
	assert.True(t, newOrigins(cfg, all).answers("10.0.0.7:9090"), "probes ask for the address")
}

// What browsers and others may send leaves the check without a panic, and a name
// that ends like a foreign one is never let in.
func FuzzHosts(f *testing.F) {
	for _, host := range []string{"", ":", "[", "[]:", "[::1", "a:b:c", ".", "..localhost", "%00"} {
		f.Add(host)
	}
	o := newOrigins(createDefaultConfig().(*Config), &net.TCPAddr{IP: net.IPv6loopback})
	f.Fuzz(func(t *testing.T, host string) {
		o.answers(host)
		if o.answers(host + ".evil.example") {
			t.Fatalf("%q", host)
		}
	})
}
