package notify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"

	"github.com/aperture-collector/aperture-collector/internal/alert"
)

// Build makes the notifiers of a valid configuration for the alerts of a
// dialect: "alertmanager", and "webhook/<name>" in the order of the names. Each
// is an [io.Closer] too, to be closed when it is no longer used.
func (c *Config) Build(ctx context.Context, dialect string, host component.Host, set component.TelemetrySettings) ([]alert.Notifier, error) {
	guard, err := NewGuard(c.AllowedHosts)
	if err != nil {
		return nil, fmt.Errorf("`allowed_hosts`: %w", err)
	}
	var out []alert.Notifier
	if c.Alertmanager != nil {
		a, err := c.Alertmanager.build(ctx, dialect, guard, host, set)
		if err != nil {
			return nil, fmt.Errorf("build `alertmanager`: %w", err)
		}
		out = append(out, a)
	}
	for _, name := range c.names() {
		w := c.Webhooks[name]
		n, err := w.build(ctx, dialect, name, guard, host, set)
		if err != nil {
			return nil, fmt.Errorf("build `webhooks::%s`: %w", name, err)
		}
		out = append(out, n)
	}
	return out, nil
}

func (c *AlertmanagerConfig) build(ctx context.Context, dialect string, guard *Guard, host component.Host,
	set component.TelemetrySettings,
) (*Alertmanager, error) {
	guard = guard.of(&c.ClientConfig)
	a := &Alertmanager{
		dialect: dialect, repeat: c.RepeatInterval, logger: set.Logger,
		turn: make(chan struct{}, 1), ended: make(map[alert.Key]ended),
	}
	for i, endpoint := range c.Endpoints {
		u, err := parseEndpoint(endpoint, guard)
		if err != nil {
			return nil, fmt.Errorf("`endpoints::%d`: %w", i, err)
		}
		a.members = append(a.members, member{target: u.JoinPath("api/v2/alerts")})
	}
	var err error
	a.client, err = newClient(ctx, c.ClientConfig, guard, host, set)
	return a, err
}

func (c *WebhookConfig) build(ctx context.Context, dialect, name string, guard *Guard, host component.Host,
	set component.TelemetrySettings,
) (*Webhook, error) {
	guard = guard.of(&c.ClientConfig)
	target, err := parseEndpoint(c.ClientConfig.Endpoint, guard)
	if err != nil {
		return nil, fmt.Errorf("`endpoint`: %w", err)
	}
	w := &Webhook{name: "webhook/" + name, dialect: dialect, target: target, secret: c.Secret, retry: c.RetryOnFailure}
	w.client, err = newClient(ctx, c.ClientConfig, guard, host, set)
	return w, err
}

// of is the guard for a client, which may use a proxy.
func (g *Guard) of(c *confighttp.ClientConfig) *Guard {
	if c.ProxyURL == "" {
		return g
	}
	// What is wrong with it is said by validateClient.
	address, _ := proxyAddress(c.ProxyURL) //nolint:errcheck // see above
	return &Guard{patterns: g.patterns, proxy: address}
}

// proxyAddress is the host and port that net/http dials for a proxy.
func proxyAddress(proxy string) (string, error) {
	u, err := url.Parse(proxy)
	if err != nil {
		return "", fmt.Errorf("parse URL: %w", withoutURL(err))
	}
	if defaultPorts[u.Scheme] == "" || u.Hostname() == "" {
		return "", errors.New("is no http, https or socks5 URL")
	}
	return net.JoinHostPort(u.Hostname(), portOf(u)), nil
}

func isAddr(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}
