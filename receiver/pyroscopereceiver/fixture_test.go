package pyroscopereceiver

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/consumer/xconsumer"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/aperture-collector/aperture-collector/extension/httpserverextension"
	"github.com/aperture-collector/aperture-collector/internal/httpserver"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/typemap"
	"github.com/aperture-collector/aperture-collector/receiver/pyroscopereceiver/internal/metadata"
)

var serverID = component.MustNewIDWithName("http_server", "pyroscope")

// host has a listener.
type host struct {
	component.Host
	extensions map[component.ID]component.Component
}

func (h *host) GetExtensions() map[component.ID]component.Component { return h.extensions }

// options change how a receiver is started.
type options struct {
	config func(*Config)
	server func(*httpserverextension.Config)
	next   xconsumer.Profiles // a sink if nil
}

// fixture is a receiver that answers on a real listener.
type fixture struct {
	*pyroscopeReceiver
	sink      *consumertest.ProfilesSink
	base      string
	client    *http.Client
	telemetry *componenttest.Telemetry
}

func start(t testing.TB, o options) *fixture {
	t.Helper()
	server := newServer(t, o.server)
	h := &host{componenttest.NewNopHost(), map[component.ID]component.Component{serverID: server}}
	require.NoError(t, server.Start(t.Context(), h))
	require.NoError(t, server.(interface{ Ready() error }).Ready())

	cfg := createDefaultConfig().(*Config)
	cfg.Server = serverID
	if o.config != nil {
		o.config(cfg)
	}
	require.NoError(t, cfg.Validate())
	f := &fixture{sink: new(consumertest.ProfilesSink), client: &http.Client{Transport: &http.Transport{}}, telemetry: componenttest.NewTelemetry()}
	if o.next == nil {
		o.next = f.sink
	}
	set := receivertest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = f.telemetry.NewTelemetrySettings()
	r, err := newReceiver(cfg, set, o.next)
	require.NoError(t, err)
	require.NoError(t, r.Start(t.Context(), h))
	f.pyroscopeReceiver = r
	f.base = "http://" + server.(httpserver.Server).Addr().String()
	t.Cleanup(func() {
		f.client.CloseIdleConnections()
		require.NoError(t, r.Shutdown(context.Background()))
		require.NoError(t, server.Shutdown(context.Background()))
		require.NoError(t, f.telemetry.Shutdown(context.Background()))
	})
	return f
}

func newServer(t testing.TB, change func(*httpserverextension.Config)) extension.Extension {
	t.Helper()
	factory := httpserverextension.NewFactory()
	cfg := factory.CreateDefaultConfig().(*httpserverextension.Config)
	cfg.ServerConfig.NetAddr.Endpoint = "127.0.0.1:0"
	if change != nil {
		change(cfg)
	}
	server, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), cfg)
	require.NoError(t, err)
	return server
}

// query makes parameters of POST /ingest; the time is now unless they say it.
func query(pairs ...string) string {
	v := url.Values{"from": {strconv.FormatInt(time.Now().Unix(), 10)}}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return "/ingest?" + v.Encode()
}

// post sends a request and returns status and body.
func (f *fixture) post(t testing.TB, path string, body []byte, headers ...string) (int, string) {
	t.Helper()
	resp, text := f.do(t, path, body, headers...)
	return resp.StatusCode, text
}

func (f *fixture) do(t testing.TB, path string, body []byte, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.base+path, bytes.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := f.client.Do(req)
	require.NoError(t, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp, string(text)
}

// push is post of something that is taken. It returns what came out.
func (f *fixture) push(t testing.TB, path string, body []byte, headers ...string) map[string]int64 {
	t.Helper()
	f.sink.Reset()
	status, text := f.post(t, path, body, headers...)
	require.Equal(t, http.StatusOK, status, text)
	require.Empty(t, text)
	return f.sums(t)
}

// form makes the body of a form and its Content-Type.
func formOf(t testing.TB, fields ...string) (body []byte, contentType string) {
	t.Helper()
	var buf bytes.Buffer
	w := multipart.NewWriter(&buf)
	for i := 0; i < len(fields); i += 2 {
		part, err := w.CreateFormFile(fields[i], fields[i]+".bin")
		require.NoError(t, err)
		_, err = io.WriteString(part, fields[i+1])
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return buf.Bytes(), w.FormDataContentType()
}

// sums takes what came out apart: by tenant, type of profile, labels and stack, root
// first.
func (f *fixture) sums(t testing.TB) map[string]int64 {
	t.Helper()
	out := make(map[string]int64)
	for _, pd := range f.sink.AllProfiles() {
		g, err := profile.Split(pd, time.Hour, profile.Limits{})
		require.NoError(t, err)
		for _, grp := range g.Groups {
			var labels []string
			for _, l := range grp.Series.Labels {
				labels = append(labels, typemap.Label(l.Name)+"="+l.Value)
			}
			slices.Sort(labels)
			for _, c := range typemap.Columns(grp.Kind, grp.Types, grp.PeriodType) {
				if c.PerPeriod {
					continue
				}
				for _, e := range grp.Entries {
					var frames []string
					for _, at := range g.Dict.Stacks[e.Stack] {
						frames = append(frames, g.Dict.Frames[at].Function.Name)
					}
					slices.Reverse(frames)
					if v := e.Values[c.Index]; v != 0 {
						out[fmt.Sprintf("%s %s {%s} %s", grp.Series.Tenant, c.ID, strings.Join(labels, ","), strings.Join(frames, ";"))] += v
					}
				}
			}
		}
	}
	return out
}
