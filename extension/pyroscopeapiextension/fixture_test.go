package pyroscopeapiextension

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/grafana/pyroscope/api/gen/proto/go/querier/v1/querierv1connect"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/extension/httpserverextension"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/httpserver"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

var (
	serverID = component.MustNewIDWithName("http_server", "test")
	storeID  = component.MustNewID("profile_store")
)

type testHost map[component.ID]component.Component

func (h testHost) GetExtensions() map[component.ID]component.Component { return h }

// fixture is the API on an HTTP server, over a store on a real ClickHouse.
type fixture struct {
	*api
	host   testHost
	server extension.Extension
	client *http.Client
	rpc    querierv1connect.QuerierServiceClient
	// base is a whole minute some time ago.
	base   time.Time
	tokens uint64
}

func start(t testing.TB, change func(*Config)) *fixture {
	t.Helper()
	f := &fixture{host: testHost{}, client: &http.Client{Transport: &http.Transport{}}}
	t.Cleanup(f.client.CloseIdleConnections)
	f.base = time.Now().Add(-3 * time.Hour).Truncate(time.Hour).Add(10 * time.Minute)

	factory := httpserverextension.NewFactory()
	cfg := factory.CreateDefaultConfig().(*httpserverextension.Config)
	cfg.ServerConfig.NetAddr.Endpoint = "127.0.0.1:0"
	var err error
	f.server, err = factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), cfg)
	require.NoError(t, err)
	f.run(t, f.server)
	f.host[serverID] = f.server
	store := newStore(t)
	f.run(t, store)
	f.host[storeID] = store

	c := createDefaultConfig().(*Config)
	c.Server, c.Store = serverID, storeID
	if change != nil {
		change(c)
	}
	require.NoError(t, c.Validate())
	f.api, err = newAPI(extensiontest.NewNopSettings(NewFactory().Type()), c)
	require.NoError(t, err)
	f.run(t, f.api)
	require.NoError(t, f.server.(interface{ Ready() error }).Ready())
	require.Eventually(t, func() bool { return f.store.Ready() == nil }, time.Minute, 10*time.Millisecond)
	f.rpc = querierv1connect.NewQuerierServiceClient(f.client, f.url(""))
	return f
}

// newStore returns a profile_store extension with a database of its own.
func newStore(t testing.TB) extension.Extension {
	t.Helper()
	endpoint := clickhousetest.Start(t).Endpoint()
	factory := profilestoreextension.NewFactory()
	cfg := factory.CreateDefaultConfig().(*profilestoreextension.Config)
	cfg.Endpoint = []string{endpoint.Addr}
	cfg.Username, cfg.Password = endpoint.Username, configopaque.String(endpoint.Password)
	cfg.Database = clickhousetest.Database(t)
	ext, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), cfg)
	require.NoError(t, err)
	return ext
}

// run starts a component and has it shut down at the end of the test.
func (f *fixture) run(t testing.TB, c component.Component) {
	t.Helper()
	require.NoError(t, c.Start(t.Context(), f.host))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		require.NoError(t, c.Shutdown(ctx))
	})
}

func (f *fixture) url(path string) string {
	return "http://" + f.server.(httpserver.Server).Addr().String() + path
}

// get asks for a path with parameters, which are names and values in turns.
func (f *fixture) get(t testing.TB, path string, params ...string) (int, string) {
	t.Helper()
	values := url.Values{}
	for i := 0; i < len(params); i += 2 {
		values.Add(params[i], params[i+1])
	}
	return f.do(t, http.MethodGet, path+"?"+values.Encode(), "")
}

// do sends a request. headers are names and values in turns.
func (f *fixture) do(t testing.TB, method, path, body string, headers ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, f.url(path), strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := f.client.Do(req)
	require.NoError(t, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode, string(text)
}

// post calls an RPC with JSON.
func (f *fixture) post(t testing.TB, path, body string, headers ...string) (int, string) {
	t.Helper()
	return f.do(t, http.MethodPost, path, body, append([]string{"Content-Type", "application/json"}, headers...)...)
}

// errorOf returns what an error answer says.
func errorOf(t testing.TB, body string) (code, message string) {
	t.Helper()
	var e struct{ Code, Message string }
	require.NoError(t, json.Unmarshal([]byte(body), &e), body)
	return e.Code, e.Message
}

// ms returns a time some seconds after the base in milliseconds.
func (f *fixture) ms(seconds float64) int64 {
	return f.base.UnixMilli() + int64(seconds*1000)
}

// sent is a profile that is written to the store.
type sent struct {
	tenant  string // anonymous
	service string // app
	labels  []string
	kind    string // cpu
	types   []profile.ValueType
	// periodType is that of the processor, unless nonePeriod is true.
	nonePeriod bool
	period     int64 // 10 ms
	at         float64
	// stacks are names from the root on, divided by semicolons, and values.
	stacks map[string][]int64
	// spans are parts of stacks that belong to spans.
	spans []span
	// call is what observations of the kind syscall are of, and its name.
	call     int64
	callName string
}

// span is an exemplar: part of the first value of a stack.
type span struct {
	stack         string
	value         int64
	id, trace, of byte // ids that are not 0 end in it; of is that of the profile
}

func types(texts ...string) (out []profile.ValueType) {
	for _, text := range texts {
		name, unit, _ := strings.Cut(text, "/")
		out = append(out, profile.ValueType{Type: name, Unit: unit})
	}
	return out
}

// write stores profiles in one window.
func (f *fixture) write(t testing.TB, list ...sent) {
	t.Helper()
	g := &profile.Groups{Dict: &profile.Dictionary{
		Stacks: [][]int32{nil}, StackIDs: []profile.ID{{}},
		Attributes: []profile.SampleAttributes{{Syscall: profilestore.NoSyscall}},
	}}
	known := make(map[string]int32)
	for _, s := range list {
		g.Groups = append(g.Groups, f.group(g.Dict, known, &s))
	}
	f.tokens++
	w := &profilestore.Window{Token: profile.HashBytes(fmt.Appendf(nil, "%s/%d", t.Name(), f.tokens)), Groups: g}
	require.NoError(t, f.store.Write(t.Context(), w))
}

func (f *fixture) group(d *profile.Dictionary, known map[string]int32, s *sent) *profile.Group {
	or := func(v, byDefault string) string {
		if v == "" {
			return byDefault
		}
		return v
	}
	series := &profile.Series{Tenant: or(s.tenant, profile.DefaultTenant), Service: or(s.service, "app")}
	series.Labels = []profile.Label{{Name: "service.name", Value: series.Service}}
	for i := 0; i < len(s.labels); i += 2 {
		series.Labels = append(series.Labels, profile.Label{Name: s.labels[i], Value: s.labels[i+1]})
	}
	slices.SortFunc(series.Labels, func(a, b profile.Label) int { return strings.Compare(a.Name, b.Name) })
	series.ID, _ = profile.LabelsID(series.Labels, nil)
	at := f.base.Add(time.Duration(s.at * float64(time.Second))).UnixNano()
	out := &profile.Group{Series: series, Kind: or(s.kind, profile.KindCPU), Types: s.types, Period: s.period, Start: at, End: at + int64(time.Second)}
	if out.Types == nil {
		out.Types = profile.Types(profile.KindCPU)
	}
	if !s.nonePeriod {
		out.PeriodType = profile.CPUTime
	}
	if out.Period == 0 {
		out.Period = 10_000_000
	}
	names := make([]string, 0, len(s.stacks))
	for name := range s.stacks {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		stack, ok := known[name]
		if !ok {
			stack = addStack(d, name)
			known[name] = stack
		}
		e := profile.Entry{Stack: stack}
		if s.callName != "" {
			e.Attrs = addCall(d, s.call, s.callName)
		}
		copy(e.Values[:], s.stacks[name])
		e.Count = uint64(max(e.Values[0], 0))
		if len(profile.Types(out.Kind)) == 2 {
			e.Count = uint64(e.Values[1])
		}
		out.Entries = append(out.Entries, e)
		for _, x := range s.spans {
			if x.stack == name {
				out.Exemplars = append(out.Exemplars, profile.Exemplar{
					Entry: int32(len(out.Entries) - 1), Time: at, Value: x.value, ProfileID: pprofile.ProfileID{15: x.of},
					Link: profile.Link{SpanID: pcommon.SpanID{7: x.id}, TraceID: pcommon.TraceID{15: x.trace}},
				})
			}
		}
	}
	return out
}

// addCall adds the attributes of a system call and returns their index.
func addCall(d *profile.Dictionary, number int64, name string) int32 {
	a := profile.SampleAttributes{Syscall: number, Labels: []profile.Label{{Name: profile.AttrSyscallName, Value: name}}}
	a.LabelsID, _ = profile.LabelsID(a.Labels, nil)
	a.ID = profile.HashBytes([]byte(name))
	d.Attributes = append(d.Attributes, a)
	return int32(len(d.Attributes) - 1)
}

// addStack adds a stack of functions and returns its index. A name may end in @ and a
// line.
func addStack(d *profile.Dictionary, text string) int32 {
	if text == "" {
		return 0
	}
	var frames []int32
	var ids []profile.ID
	for _, name := range slices.Backward(strings.Split(text, ";")) {
		name, line, _ := strings.Cut(name, "@")
		fr := profile.Frame{Function: profile.Function{Name: name, Filename: name + ".go", StartLine: 3}, Mapping: "/usr/bin/app", BuildID: "cafe", Type: profile.FrameGo}
		_, _ = fmt.Sscan(line, &fr.Line)
		fr.FunctionID, _ = fr.Function.ID(nil)
		id, _ := fr.ID(nil)
		frames, ids = append(frames, int32(len(d.Frames))), append(ids, id)
		d.Frames, d.FrameIDs = append(d.Frames, fr), append(d.FrameIDs, id)
	}
	id, _ := profile.StackID(ids, nil)
	d.Stacks, d.StackIDs = append(d.Stacks, frames), append(d.StackIDs, id)
	return int32(len(d.Stacks) - 1)
}

// codeOf returns the code of the error of an RPC.
func codeOf(t testing.TB, err error) connect.Code {
	t.Helper()
	require.Error(t, err)
	return connect.CodeOf(err)
}
