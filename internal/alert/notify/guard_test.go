package notify

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
)

func TestGuardRefusesAddresses(t *testing.T) {
	g, err := NewGuard(nil)
	require.NoError(t, err)
	for _, host := range []string{
		"169.254.169.254", "169.254.1.1", "100.100.100.200", "168.63.129.16", "192.0.0.192",
		"0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255", "240.1.2.3",
		"::", "fe80::1", "fe80::1%eth0", "febf::1", "fd00:ec2::254", "fd20:ce::254", "ff02::1",
		"::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "::ffff:169.254.169.254%1", // IPv4-mapped
		"64:ff9b::169.254.169.254", "64:ff9b:1::a9fe:a9fe", // NAT64
		"2002:a9fe:a9fe::1", "2001::5601:5601", "::169.254.169.254", "::ffff:0:a9fe:a9fe",
	} {
		require.ErrorIs(t, g.CheckHost(host, "80"), ErrForbidden, host)
		conn, err := g.DialContext(t.Context(), "tcp", net.JoinHostPort(host, "80"))
		require.Error(t, err, host)
		assert.Nil(t, conn)
		assert.ErrorIs(t, err, ErrForbidden, "%s: %v", host, err)
	}
	for _, host := range []string{
		"127.0.0.1", "::1", "10.1.2.3", "192.168.0.1", "100.64.0.1", "93.184.216.34", "2001:db8::1", "fd00::1",
		"64:ff9b::10.1.2.3", "example.com", "localhost",
	} {
		assert.NoError(t, g.CheckHost(host, "80"), host)
	}
}

func TestGuardAllowList(t *testing.T) {
	tests := []struct {
		allow     string
		host      string
		port      string
		wantAllow bool
	}{
		{"hooks.example.com", "hooks.example.com", "443", true},
		{"hooks.example.com", "HOOKS.example.com.", "443", true},
		{"Hooks.Example.Com.", "hooks.example.com", "443", true},
		{"hooks.example.com", "a.hooks.example.com", "443", false},
		{"hooks.example.com", "hooks.example.com.evil.org", "443", false},
		{"hooks.example.com:443", "hooks.example.com", "443", true},
		{"hooks.example.com:443", "hooks.example.com", "80", false},
		{"*.example.com", "a.example.com", "443", true},
		{"*.example.com", "a.b.example.com", "443", true},
		{"*.example.com", "example.com", "443", false},
		{"*.example.com", ".example.com", "443", false},
		{"*.example.com", "badexample.com", "443", false},
		{"*.example.com:9093", "a.example.com", "9093", true},
		{"*.example.com:9093", "a.example.com", "9094", false},
		{"10.0.0.0/8", "10.1.2.3", "80", true},
		{"10.0.0.0/8", "::ffff:10.1.2.3", "80", true},
		{"::ffff:10.0.0.0/104", "10.1.2.3", "80", true},
		{"10.0.0.0/8", "11.1.2.3", "80", false},
		{"10.1.2.3", "10.1.2.3", "80", true},
		{"10.1.2.3:9093", "10.1.2.3", "9093", true},
		{"10.1.2.3:9093", "10.1.2.3", "80", false},
		{"[2001:db8::1]:9093", "2001:db8::1", "9093", true},
		{"[2001:db8::1]:9093", "2001:db8::1", "80", false},
		{"[2001:db8::1]", "2001:db8::1", "80", true},
		{"2001:db8::/32", "2001:db8::1", "80", true},
		{"fe80::1", "fe80::1%eth0", "80", true},
		{"169.254.169.254", "169.254.169.254", "80", true},
		{"169.254.169.254", "::ffff:169.254.169.254", "80", true},
		{"169.254.169.254", "10.1.2.3", "80", false},
		{"169.254.0.0/16", "169.254.1.1", "80", true},
		// A range that holds more does not open what is in it.
		{"169.254.0.0/16", "169.254.169.254", "80", false},
		{"0.0.0.0/0", "169.254.169.254", "80", false},
		{"0.0.0.0/0", "169.254.1.1", "80", false},
		{"0.0.0.0/0", "10.1.2.3", "80", true},
		{"::/0", "fe80::1", "80", false},
		{"::/0", "10.1.2.3", "80", false},
		{"*.254", "169.254.169.254", "80", false},
	}
	for _, tt := range tests {
		t.Run(tt.allow+" "+tt.host+":"+tt.port, func(t *testing.T) {
			g, err := NewGuard([]string{tt.allow})
			if strings.HasPrefix(tt.allow, "*.254") {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			err = g.CheckHost(tt.host, tt.port)
			if tt.wantAllow {
				assert.NoError(t, err)
			} else {
				assert.ErrorIs(t, err, ErrForbidden)
			}
		})
	}
}

func TestGuardRefusesPatterns(t *testing.T) {
	for _, s := range []string{
		"", "*", "*.", "a*.example.com", "*example.com", "https://example.com", "example.com/path", "example.com:0",
		"example.com:http", "example.com:65536", "exa mple.com", "10.0.0.0/33", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376",
		"169.254.43518", "bücher.example", "user@example.com", "..", "a..b", strings.Repeat("a", 64) + ".com", "::ffff:0:0/80",
	} {
		_, err := NewGuard([]string{s})
		assert.Error(t, err, "%q", s)
	}
}

// The name is resolved once, and the address that is connected is the one that
// is looked at.
func TestGuardChecksWhatIsDialled(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	local := "localhost:" + port

	dial := func(address string, allow ...string) error {
		g, err := NewGuard(allow)
		require.NoError(t, err)
		conn, err := g.DialContext(t.Context(), "tcp4", address)
		if err == nil {
			require.NoError(t, conn.Close())
		}
		return err
	}
	require.NoError(t, dial(local))
	require.NoError(t, dial(local, "localhost"))
	require.NoError(t, dial(local, "127.0.0.0/8"))
	require.NoError(t, dial(local, "127.0.0.1:"+port))
	require.ErrorIs(t, dial(local, "other.example.com", "10.0.0.0/8"), ErrForbidden)
	require.ErrorIs(t, dial(local, "127.0.0.1:1"), ErrForbidden)

	// What the system's resolver makes of other spellings, if anything.
	for _, host := range []string{"2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518"} {
		require.Error(t, dial(host+":80"), host)
	}
}

// What a listed name has become does not matter to the refused ranges. The name
// is one of the hosts file as any other, so the check is made on its address.
func TestGuardNamedHostAtForbiddenAddress(t *testing.T) {
	g, err := NewGuard([]string{"hooks.example.com"})
	require.NoError(t, err)
	require.ErrorIs(t, g.checkAddr(netip.MustParseAddr("169.254.169.254"), "80", true), ErrForbidden)
	require.NoError(t, g.checkAddr(netip.MustParseAddr("10.1.2.3"), "80", true))
	require.ErrorIs(t, g.checkAddr(netip.MustParseAddr("10.1.2.3"), "80", false), ErrForbidden)
}

// A proxy of the environment would make requests that nobody has looked at.
func TestProxy(t *testing.T) {
	proxy := newReceiver(t, status(http.StatusOK))
	target := newReceiver(t, status(http.StatusOK))
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("http_proxy", proxy.URL)

	t.Run("environment", func(t *testing.T) {
		n := only(t, "webhooks: {a: {endpoint: "+target.URL+"/hook}}")
		w := n.(*Webhook)
		assert.Nil(t, w.client.transport.Proxy)
		require.NoError(t, n.Notify(t.Context(), events(1)))
		assert.Len(t, target.all(), 1)
		assert.Empty(t, proxy.all())
	})
	t.Run("configured", func(t *testing.T) {
		// The proxy need not be listed, what is behind it must be.
		n := only(t, "webhooks: {a: {endpoint: 'http://hooks.example.com/hook', proxy_url: '"+proxy.URL+"'}}\nallowed_hosts: [hooks.example.com]")
		require.NoError(t, n.Notify(t.Context(), events(1)))
		require.Len(t, proxy.all(), 1)

		for _, allowed := range []string{"other.example.com", "10.0.0.0/8"} {
			c, err := parse(t, "webhooks: {a: {endpoint: 'http://hooks.example.com/hook', proxy_url: '"+proxy.URL+"'}}\nallowed_hosts: ['"+allowed+"']")
			require.NoError(t, err)
			require.ErrorIs(t, c.Validate(), ErrForbidden)
		}
	})
}

func TestGuardIsInEveryTransport(t *testing.T) {
	// A name that passes the configuration and leads elsewhere: the guard of the
	// transport alone refuses it.
	server := newReceiver(t, nil)
	u, err := url.Parse(server.URL)
	require.NoError(t, err)
	c, err := parse(t, "webhooks: {a: {endpoint: 'http://localhost:"+u.Port()+"'}}\nallowed_hosts: [10.0.0.0/8]")
	require.NoError(t, err)
	require.NoError(t, c.Validate())
	notifiers, err := c.Build(t.Context(), "aperture", componenttest.NewNopHost(), componenttest.NewNopTelemetrySettings())
	require.NoError(t, err)
	defer closeAll(t, notifiers)
	err = notifiers[0].Notify(context.Background(), events(1))
	require.ErrorIs(t, err, ErrForbidden)
	var f *failure
	require.ErrorAs(t, err, &f)
	assert.Equal(t, later, f.when, "no time makes it allowed")
	assert.Empty(t, server.all())
}

func FuzzGuard(f *testing.F) {
	for _, s := range []string{"169.254.169.254", "::ffff:169.254.169.254", "*.example.com:443", "[fe80::1%lo]:80", "10.0.0.0/8", "0xa9fe.1"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, allow, host string) {
		g, err := NewGuard([]string{allow})
		if err != nil {
			g = &Guard{}
		}
		refused := g.CheckHost(host, "80")
		addr, err := netip.ParseAddr(host)
		if err != nil || refused != nil {
			return
		}
		// What passes is of no refused range, but by an entry within that range.
		addr = plain(addr)
		if within, _, bad := forbids(addr); bad {
			require.GreaterOrEqual(t, g.patterns[0].prefix.Bits(), within.Bits(), "%q lets %q through", allow, host)
			require.True(t, within.Contains(g.patterns[0].prefix.Addr()))
		}
	})
}
