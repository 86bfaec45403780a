package apertureapiextension

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confignet"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/collector/processor/xprocessor"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.opentelemetry.io/collector/receiver/xreceiver"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/aperture-collector/aperture-collector/extension/httpserverextension"
	"github.com/aperture-collector/aperture-collector/internal/aggregate"
	"github.com/aperture-collector/aperture-collector/internal/httpserver"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
	"github.com/aperture-collector/aperture-collector/processor/profilebufferprocessor"
	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
	"github.com/aperture-collector/aperture-collector/receiver/aperturereceiver"
)

var (
	serverID = component.MustNewIDWithName("http_server", "test")
	storeID  = component.MustNewID("profile_store")
	apiID    = component.MustNewID("aperture_api")
)

type testHost map[component.ID]component.Component

func (h testHost) GetExtensions() map[component.ID]component.Component { return h }

// memoryStore is a profile store over the reader that profile_buffer answers
// from, with a switch that takes it away.
type memoryStore struct {
	profilestore.Querier // nothing of it is used

	component.StartFunc
	component.ShutdownFunc
	*aggregate.Recent
	table *aggregate.Table

	mu  sync.Mutex
	err error
}

func newMemoryStore() *memoryStore {
	return &memoryStore{Recent: aggregate.NewRecent(time.Hour, 1<<30), table: aggregate.NewTable(1 << 30)}
}

func (s *memoryStore) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// Ready implements [profilestore.Store].
func (s *memoryStore) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Write implements [profilestore.Writer].
func (s *memoryStore) Write(_ context.Context, w *profilestore.Window) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	window := s.table.NewWindow(time.Second)
	window.Add(w.Groups)
	s.Add(window)
	return nil
}

func (s *memoryStore) MergeStacks(ctx context.Context, sel profilestore.Selector, o profilestore.MergeOptions) (*profilestore.Merge, error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	return s.Recent.MergeStacks(ctx, sel, o)
}

func (s *memoryStore) CountEvents(ctx context.Context, sel profilestore.Selector) (uint64, error) {
	if err := s.wait(ctx); err != nil {
		return 0, err
	}
	return s.Recent.CountEvents(ctx, sel)
}

func (s *memoryStore) Batches(ctx context.Context, sel profilestore.Selector, limit int) ([]profile.Batch, error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	return s.Recent.Batches(ctx, sel, limit)
}

// errHang makes the store wait for the end of the query.
var errHang = errors.New("hang")

func (s *memoryStore) wait(ctx context.Context) error {
	err := s.Ready()
	if errors.Is(err, errHang) {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	return err
}

// storeWriter is the last component of the pipeline: what the exporter does,
// without its queue.
type storeWriter struct{ store profilestore.Writer }

func (storeWriter) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (w storeWriter) ConsumeProfiles(ctx context.Context, pd pprofile.Profiles) error {
	if w.store == nil {
		return nil
	}
	groups, err := profile.Split(pd, time.Second, profile.Limits{})
	if err != nil {
		return err
	}
	return w.store.Write(ctx, &profilestore.Window{Token: profile.HashBytes([]byte(groups.WindowID)), Groups: groups})
}

// telemetry is the collector's Prometheus endpoint.
type telemetry struct {
	*httptest.Server
	mu     sync.Mutex
	text   string
	status int
	count  int
}

func newTelemetry(t *testing.T) *telemetry {
	text, err := os.ReadFile(filepath.Join("testdata", "collector.prom"))
	require.NoError(t, err)
	tel := &telemetry{text: string(text), status: http.StatusOK}
	tel.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		tel.mu.Lock()
		defer tel.mu.Unlock()
		tel.count++
		w.WriteHeader(tel.status)
		_, _ = io.WriteString(w, tel.text)
	}))
	t.Cleanup(tel.Close)
	return tel
}

func (tel *telemetry) set(status int, text string) {
	tel.mu.Lock()
	defer tel.mu.Unlock()
	tel.status, tel.text = status, text
}

func (tel *telemetry) scrapes() int {
	tel.mu.Lock()
	defer tel.mu.Unlock()
	return tel.count
}

// fixture is a pipeline of real components: aperture receiver, profile_buffer, a
// store, http_server and the API.
type fixture struct {
	*api
	host   testHost
	server extension.Extension
	tel    *telemetry
	client *http.Client
	rpc    aggregatorv1.AggregatorClient
}

type options struct {
	config func(*Config)
	// store is nil for none.
	store extension.Extension
	// server changes the configuration of the listener.
	server func(*httpserverextension.Config)
	// keep keeps profiles in the buffer.
	keep bool
	// noBuffer leaves the buffer out.
	noBuffer bool
	// settings are those of the API, nil for ones that lead nowhere.
	settings *extension.Settings
}

func start(t *testing.T, o options) *fixture {
	t.Helper()
	f := &fixture{host: testHost{}, tel: newTelemetry(t), client: &http.Client{Transport: &http.Transport{}}}
	t.Cleanup(f.client.CloseIdleConnections)

	httpFactory := httpserverextension.NewFactory()
	httpConfig := httpFactory.CreateDefaultConfig().(*httpserverextension.Config)
	httpConfig.ServerConfig.NetAddr.Endpoint = "127.0.0.1:0"
	if o.server != nil {
		o.server(httpConfig)
	}
	var err error
	f.server, err = httpFactory.Create(t.Context(), extensiontest.NewNopSettings(httpFactory.Type()), httpConfig)
	require.NoError(t, err)
	f.run(t, f.server)
	f.host[serverID] = f.server

	cfg := createDefaultConfig().(*Config)
	cfg.Server, cfg.TelemetryEndpoint = serverID, f.tel.URL
	// Alerts are evaluated on demand, unless a test wants them to be by themselves.
	cfg.Alerts.EvaluationInterval = maxEvaluationInterval
	var writer profilestore.Writer
	if o.store != nil {
		f.run(t, o.store)
		f.host[storeID] = o.store
		cfg.Store = &storeID
		writer = o.store.(profilestore.Writer)
	}
	if o.config != nil {
		o.config(cfg)
	}
	require.NoError(t, cfg.Validate())
	settings := extensiontest.NewNopSettings(apiID.Type())
	if o.settings != nil {
		settings = *o.settings
	}
	f.api, err = newAPI(settings, cfg)
	require.NoError(t, err)
	f.run(t, f.api)
	f.host[apiID] = f.api

	f.receive(t, storeWriter{writer}, o)
	f.setReady(t, true)
	return f
}

// run starts a component and has it shut down at the end of the test.
func (f *fixture) run(t *testing.T, c component.Component) {
	t.Helper()
	require.NoError(t, c.Start(t.Context(), f.host))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		require.NoError(t, c.Shutdown(ctx))
	})
}

func (f *fixture) receive(t *testing.T, last storeWriter, o options) {
	t.Helper()
	buffer := profilebufferprocessor.NewFactory().(xprocessor.Factory)
	bufferConfig := buffer.CreateDefaultConfig().(*profilebufferprocessor.Config)
	// Windows of the default length would have every push wait for a second.
	bufferConfig.Window = 2 * time.Millisecond
	if !o.noBuffer {
		bufferConfig.LiveView = &apiID
	}
	if o.keep {
		bufferConfig.KeepProfiles.Duration = time.Hour
	}
	processor, err := buffer.CreateProfiles(t.Context(), processortest.NewNopSettings(buffer.Type()), bufferConfig, last)
	require.NoError(t, err)
	f.run(t, processor)

	factory := aperturereceiver.NewFactory().(xreceiver.Factory)
	cfg := factory.CreateDefaultConfig().(*aperturereceiver.Config)
	// The name of a socket must be short.
	dir, err := os.MkdirTemp("", "api")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	cfg.GRPC.NetAddr.Transport = confignet.TransportTypeUnix
	cfg.GRPC.NetAddr.Endpoint = filepath.Join(dir, "s")
	cfg.API = &apiID
	receiver, err := factory.CreateProfiles(t.Context(), receivertest.NewNopSettings(factory.Type()), cfg, processor)
	require.NoError(t, err)
	f.run(t, receiver)
	conn, err := grpc.NewClient("unix://"+cfg.GRPC.NetAddr.Endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	f.rpc = aggregatorv1.NewAggregatorClient(conn)
}

func (f *fixture) setReady(t *testing.T, ready bool) {
	t.Helper()
	type watcher interface {
		Ready() error
		NotReady() error
	}
	for _, w := range []watcher{f.server.(watcher), f.api} {
		if ready {
			require.NoError(t, w.Ready())
		} else {
			require.NoError(t, w.NotReady())
		}
	}
}

// do sends a request. headers are names and values in turns.
func (f *fixture) do(t *testing.T, method, path, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	url := "http://" + f.server.(httpserver.Server).Addr().String() + path
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := f.client.Do(req)
	require.NoError(t, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp, string(text)
}

// get expects 200.
func (f *fixture) get(t *testing.T, path string, headers ...string) string {
	t.Helper()
	resp, body := f.do(t, http.MethodGet, path, "", headers...)
	require.Equal(t, http.StatusOK, resp.StatusCode, body)
	return body
}

// aggregateOf expects 200.
func (f *fixture) aggregateOf(t *testing.T, body string, headers ...string) string {
	t.Helper()
	resp, text := f.do(t, http.MethodPost, "/api/aggregate", body, headers...)
	require.Equal(t, http.StatusOK, resp.StatusCode, text)
	require.Equal(t, "application/json", resp.Header.Get("Content-Type"))
	return text
}

func errorOf(t *testing.T, body string) string {
	t.Helper()
	var e struct {
		Error     string `json:"error"`
		RequestID string `json:"request_id"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &e), body)
	require.NotEmpty(t, e.RequestID)
	return e.Error
}

// payloads are the worked examples of the wire format by name, and "mixed": one
// event of each kind in one message.
func payloads(t *testing.T) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile("../../internal/aperturewire/testdata/examples.txt")
	require.NoError(t, err)
	all := make(map[string][]byte)
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 3 || strings.HasPrefix(line, "#") {
			continue
		}
		all[fields[0]], err = hex.DecodeString(strings.Join(fields[2:], ""))
		require.NoError(t, err)
	}
	mixed, err := hex.DecodeString("01000000" + "0500000000000000" + "0400000000000000")
	require.NoError(t, err)
	for _, name := range []string{"cpu_symbols", "lock_symbols", "syscall", "gpu"} {
		mixed = append(mixed, all[name][20:]...)
	}
	all["mixed"] = mixed
	return all
}

// push pushes payloads as consecutive batches of an agent.
func (f *fixture) push(t *testing.T, tenant, agent string, names ...string) {
	t.Helper()
	all := payloads(t)
	for i, name := range names {
		ctx := t.Context()
		if tenant != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "x-scope-orgid", tenant)
		}
		require.Contains(t, all, name)
		resp, err := f.rpc.Push(ctx, &aggregatorv1.PushRequest{AgentId: agent, Sequence: uint64(i + 1), Payload: all[name]})
		require.NoError(t, err)
		require.True(t, resp.GetOk(), resp.GetError())
	}
}
