package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configmiddleware"
	"go.opentelemetry.io/collector/extension/extensionmiddleware"
)

const (
	// maxAnswer is how much of an answer is read, to quote it.
	maxAnswer = 512
	// maxAnswerHeader bounds what the header of an answer takes in memory.
	maxAnswerHeader = 64 << 10
)

// client posts JSON through a guard. It is safe for concurrent use.
type client struct {
	http      *http.Client
	transport *http.Transport
}

// guardID is the name of a client's guard among its middlewares.
var guardID = component.MustNewIDWithName("guard", "notify")

// guarded puts a guard into the transport that confighttp makes. As the last of
// the middlewares it is given that transport itself.
type guarded struct {
	component.StartFunc
	component.ShutdownFunc
	guard     *Guard
	proxied   bool
	transport *http.Transport
}

var _ extensionmiddleware.HTTPClient = (*guarded)(nil)

// GetHTTPRoundTripper implements extensionmiddleware.HTTPClient.
func (g *guarded) GetHTTPRoundTripper(context.Context) (extensionmiddleware.WrapHTTPRoundTripperFunc, error) {
	return func(_ context.Context, next http.RoundTripper) (http.RoundTripper, error) {
		t, ok := next.(*http.Transport)
		if !ok {
			return nil, fmt.Errorf("guard connections: the transport is a %T", next)
		}
		t.DialContext = g.guard.DialContext
		if !g.proxied {
			t.Proxy = nil // none from the environment: it would resolve names unseen
		}
		t.DisableCompression = true // nothing that has to be unpacked
		t.MaxResponseHeaderBytes = maxAnswerHeader
		g.transport = t
		return t, nil
	}, nil
}

func newClient(ctx context.Context, cfg confighttp.ClientConfig, guard *Guard, host component.Host,
	set component.TelemetrySettings,
) (*client, error) {
	g := &guarded{guard: guard, proxied: cfg.ProxyURL != ""}
	extensions := map[component.ID]component.Component{guardID: g}
	maps.Copy(extensions, host.GetExtensions())
	middlewares := cfg.Middlewares
	cfg.Middlewares = append(middlewares[:len(middlewares):len(middlewares)], configmiddleware.Config{ID: guardID})
	c, err := cfg.ToClient(ctx, extensions, set)
	if err != nil {
		return nil, err
	}
	// Who was allowed is called, and nobody else.
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client{http: c, transport: g.transport}, nil
}

// close closes connections that are not in use.
func (c *client) close() { c.transport.CloseIdleConnections() }

// post sends a body to a URL. Errors are of type *failure and name the host, but
// not the URL: the path of a webhook is often its password.
func (c *client) post(ctx context.Context, target *url.URL, header http.Header, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(body))
	if err != nil {
		return &failure{when: later, err: fmt.Errorf("make request for %s: %w", target.Host, withoutURL(err))}
	}
	maps.Copy(req.Header, header)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "aperture-collector")
	resp, err := c.http.Do(req)
	if err != nil {
		f := &failure{when: soon, err: fmt.Errorf("post to %s: %w", target.Host, withoutURL(err))}
		if errors.Is(err, ErrForbidden) {
			f.when = later
		}
		return f
	}
	// An answer that says yes is not read: its end may never come.
	defer resp.Body.Close() //nolint:errcheck // all that is wanted was read
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return nil
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) //nolint:errcheck // the status says enough
	f := &failure{when: whenAfter(resp.StatusCode), after: retryAfter(resp.Header.Get("Retry-After"), time.Now())}
	f.err = fmt.Errorf("post to %s: status %d: %q", target.Host, resp.StatusCode, bytes.TrimSpace(text))
	return f
}

// withoutURL removes the URL that net/http and net/url put into their errors.
func withoutURL(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// retryAfter is the delay that a header asks for, 0 if it asks for none.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
