package notify

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"

	"github.com/aperture-collector/aperture-collector/internal/alert"
)

// parse reads a configuration as the collector does, without checking it.
func parse(t *testing.T, yaml string) (*Config, error) {
	t.Helper()
	retrieved, err := confmap.NewRetrievedFromYAML([]byte(yaml))
	require.NoError(t, err)
	conf, err := retrieved.AsConf()
	require.NoError(t, err)
	c := &Config{}
	return c, conf.Unmarshal(c)
}

// build makes the notifiers of a configuration.
func build(t *testing.T, yaml string) []alert.Notifier {
	t.Helper()
	c, err := parse(t, yaml)
	require.NoError(t, err)
	require.NoError(t, confmap.Validate(c))
	notifiers, err := c.Build(t.Context(), "aperture", componenttest.NewNopHost(), componenttest.NewNopTelemetrySettings())
	require.NoError(t, err)
	t.Cleanup(func() { closeAll(t, notifiers) })
	return notifiers
}

func closeAll(t *testing.T, notifiers []alert.Notifier) {
	for _, n := range notifiers {
		assert.NoError(t, n.(io.Closer).Close())
	}
}

// only is build for a configuration of one notifier.
func only(t *testing.T, yaml string) alert.Notifier {
	t.Helper()
	notifiers := build(t, yaml)
	require.Len(t, notifiers, 1)
	return notifiers[0]
}

var began = time.Date(2026, 3, 4, 5, 6, 7, 89, time.UTC)

// event is the one by which rule alert-n began to fire.
func event(n int) alert.Event {
	return alert.Event{
		Key: alert.Key{Tenant: "anonymous", ID: fmt.Sprintf("alert-%d", n)}, Seq: 3, Episode: 3,
		Phase: alert.Firing, RuleName: "parse is hot", Severity: "warning",
		Operator: alert.Greater, Threshold: 0.3, Value: 0.41, Metric: "function_share",
		Message: "parse takes 41 % of cpu", At: began, StartsAt: began,
		Labels:      map[string]string{"service.name": "checkout"},
		Annotations: map[string]string{"runbook_url": "https://wiki.example.com/hot"},
		Link:        "https://aperture.example.com/api/export/svg?service=checkout",
	}
}

// resolved is the end of the alert that event began.
func resolved(e alert.Event) alert.Event {
	e.Seq++
	e.Phase, e.At, e.Value = alert.Resolved, e.At.Add(time.Minute), 0.1
	return e
}

// events are the beginnings of n alerts.
func events(n int) []alert.Event {
	out := make([]alert.Event, n)
	for i := range out {
		out[i] = event(i + 1)
	}
	return out
}

// request is what a receiver was sent.
type request struct {
	header http.Header
	path   string
	body   []byte
	gone   <-chan struct{} // closed when the client has gone away
}

// receiver is an HTTP server that keeps what it is sent and answers by a
// function of the number of the request, from 1.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	requests []request
}

func newReceiver(t *testing.T, answer func(n int, w http.ResponseWriter, r *request)) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(r.handler(answer))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) handler(answer func(n int, w http.ResponseWriter, r *request)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
		body, err := io.ReadAll(hr.Body)
		if err != nil {
			return // the client went away
		}
		req := request{hr.Header, hr.URL.Path, body, hr.Context().Done()}
		r.mu.Lock()
		r.requests = append(r.requests, req)
		n := len(r.requests)
		r.mu.Unlock()
		if answer != nil {
			answer(n, w, &req)
		}
	})
}

// all returns the requests so far.
func (r *receiver) all() []request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]request(nil), r.requests...)
}

// status answers all requests with one.
func status(code int) func(int, http.ResponseWriter, *request) {
	return func(_ int, w http.ResponseWriter, _ *request) { w.WriteHeader(code) }
}

func errorIsPermanent(err error) bool { return errors.Is(err, alert.ErrPermanent) }
