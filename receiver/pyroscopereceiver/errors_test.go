package pyroscopereceiver

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"google.golang.org/grpc/codes"

	"github.com/aperture-collector/aperture-collector/internal/retryable"
)

func refusalOf(t *testing.T, body string) (code, message string) {
	t.Helper()
	var e struct{ Code, Message string }
	require.NoError(t, json.Unmarshal([]byte(body), &e), body)
	return e.Code, e.Message
}

func TestIngestErrors(t *testing.T) {
	f := start(t, options{config: func(c *Config) { c.MaxBodySize = 8 << 20 }})
	const text, pprof, jfr = "format=folded&", "format=pprof&", "format=jfr&"
	form, formType := formOf(t, "profile", string(goCPU(t)), "prev_profile", "x")
	badConfig, configType := formOf(t, "profile", string(goCPU(t)), "sample_type_config", "{")
	for name, tt := range map[string]struct {
		query   string
		body    string
		headers []string
		status  int
		code    string
		want    string
	}{
		"no name":         {text, "a 1", nil, 400, "invalid_argument", "name: service name is required"},
		"bad name":        {text + "name=a+b", "a 1", nil, 400, "invalid_argument", "name: invalid service name: a b: character is not allowed: ' '"},
		"bad key":         {text + "name=a{b-c=d}", "a 1", nil, 400, "invalid_argument", "name: invalid label key: b-c: character is not allowed: '-'"},
		"no value":        {text + "name=a{b}", "a 1", nil, 400, "invalid_argument", "name: label b has no value"},
		"type":            {text + "name=a.foo", "a 1", nil, 400, "invalid_argument", "pyroscopeIngesterAdapter failed to convert metadata: unknown profile type: foo"},
		"number":          {text + "name=a", "a x", nil, 422, "unknown", `strconv.Atoi: parsing "x": invalid syntax`},
		"large number":    {text + "name=a", "a 99999999999999999999", nil, 422, "unknown", `strconv.Atoi: parsing "99999999999999999999": value out of range`},
		"old":             {text + "name=a&from=1615709120", "a 1", nil, 400, "invalid_argument", `profile with labels '{__name__="process_cpu", service_name="a", pyroscope_spy="unknown"}' is outside of ingestion window (profile timestamp: 2021-03-14T08:05:20Z, the ingestion window starts at `},
		"future":          {text + "name=a&from=4102444800", "a 1", nil, 400, "invalid_argument", "outside of ingestion window (profile timestamp: 2100-01-01T00:00:00Z"},
		"1970":            {text + "name=a&from=7", "a 1", nil, 400, "invalid_argument", "outside of ingestion window (profile timestamp: 1970-01-01T00:00:07Z"},
		"no pprof":        {pprof + "name=a", "nonsense", nil, 422, "unknown", "pushing IngestInput-pprof failed failed to parse profile: decode pprof: invalid pprof: "},
		"pprof with time": {pprof + "name=a&from=1615709120", string(goCPU(t)), nil, 200, "", ""},
		"labels pprof":    {pprof + "name=a{x=" + strings.Repeat("v", 2049) + "}", string(goCPU(t)), nil, 422, "unknown", "pushing IngestInput-pprof failed profile with labels '"},
		"no jfr":          {jfr + "name=a", "nonsense", nil, 422, "unknown", "pushing IngestInput-jfr failed failed to parse jfr: decode JFR: chunk 0: the header has 8 bytes; it must have 68"},
		"prev_profile":    {"name=a", string(form), []string{"Content-Type", formType}, 422, "unknown", "unsupported client version"},
		"config":          {"name=a", string(badConfig), []string{"Content-Type", configType}, 422, "unknown", "failed to parse sample_type_config: unexpected end of JSON input"},
		"form":            {"name=a", string(form[:100]), []string{"Content-Type", formType}, 422, "unknown", "failed to parse form: "},
		"no boundary":     {"name=a", "x", []string{"Content-Type", "multipart/form-data"}, 400, "invalid_argument", "Content-Type multipart/form-data has no boundary"},
		"speedscope":      {"format=speedscope&name=a", "{", nil, 422, "unknown", "failed to parse speedscope file: unexpected end of JSON input"},
		"trie":            {"format=trie&name=a", "\x05", nil, 422, "unknown", "failed to parse name of a node at byte 1: it should have 5 bytes, there are 0"},
		"tree":            {"format=tree&name=a", "\x00\x00\x02", nil, 422, "unknown", "a node before byte 3 should have 2 children; there is room for 0"},
		"gzip":            {text + "name=a", "\x1f\x8b\x08", nil, 422, "unknown", "inflate body: unexpected EOF"},
		"said gzip":       {text + "name=a", "a 1", []string{"Content-Encoding", "gzip"}, 400, "invalid_argument", "unexpected EOF"},
		"said x":          {pprof + "name=a", "a 1", []string{"Content-Encoding", "x"}, 400, "invalid_argument", "unsupported Content-Encoding: x"},
		"other site":      {text + "name=a", "a 1", []string{"Origin", "https://example.com"}, 403, "permission_denied", "cross-origin request"},
		"many labels":     {text + "name=a{" + manyLabels(29) + "}", "a 1", nil, 400, "invalid_argument", "has 32 label names; limit 30"},
		"large body":      {text + "name=a", strings.Repeat("a", 8<<20+1), nil, 413, "resource_exhausted", "request body too large: found 8388609 bytes, the limit is 8388608"},
		"large profile":   {text + "name=a", strings.Repeat("a", 4<<20+1), nil, 400, "invalid_argument", "has 4194305 bytes; the limit is 4194304"},
		"zip bomb":        {text + "name=a", string(gzipped(t, make([]byte, 16<<20))), nil, 422, "unknown", "inflated body has more than 4194304 bytes, the limit of profiles"},
		"zip bomb pprof":  {pprof + "name=a", string(gzipped(t, make([]byte, 16<<20))), nil, 422, "unknown", "too large"},
		"empty":           {text + "name=a", "", nil, 200, "", ""},
		"empty pprof":     {pprof + "name=a", "", nil, 200, "", ""},
		"useless":         {text + "name=a", "nothing\n\n", nil, 200, "", ""},
		"of a span":       {text + "name=a{profile_id=1}", "a 1", nil, 200, "", ""},
	} {
		status, body := f.post(t, "/ingest?"+tt.query, []byte(tt.body), tt.headers...)
		require.Equal(t, tt.status, status, "%s: %s", name, body)
		if tt.status == http.StatusOK {
			assert.Empty(t, body, name)
			continue
		}
		code, message := refusalOf(t, body)
		assert.Equal(t, tt.code, code, name)
		assert.Contains(t, message, tt.want, name)
	}
	assert.Equal(t, 1, len(f.sink.AllProfiles()), "only that of now")
	assert.Zero(t, f.budget.held.Load())
	assert.Empty(t, f.converting)

	resp, err := f.client.Get(f.base + "/ingest?name=a")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode)
}

func manyLabels(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("l" + strings.Repeat("x", i) + "=1,")
	}
	return b.String()
}

// consumeFunc is a next component.
type consumeFunc func(context.Context, pprofile.Profiles) error

func (f consumeFunc) ConsumeProfiles(ctx context.Context, pd pprofile.Profiles) error {
	return f(ctx, pd)
}

func (consumeFunc) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

// What the pipeline says is what the client is told.
func TestPipelineErrors(t *testing.T) {
	var fails error
	f := start(t, options{next: consumeFunc(func(context.Context, pprofile.Profiles) error { return fails })})
	g := func(err error, status int, code connect.Code, retryAfter string) {
		t.Helper()
		fails = err
		resp, body := f.do(t, query("name", "app"), []byte("a 1"))
		assert.Equal(t, status, resp.StatusCode)
		assert.Equal(t, retryAfter, resp.Header.Get("Retry-After"))
		got, message := refusalOf(t, body)
		assert.Equal(t, code.String(), got)
		assert.Contains(t, message, "no room")
		for name, o := range protocols {
			_, err := f.pushClient(t, o...).Push(t.Context(), pushOf(series(nil, goCPU(t))))
			var e *connect.Error
			require.ErrorAs(t, err, &e, name)
			assert.Equal(t, code, e.Code(), name)
			assert.Equal(t, retryAfter, e.Meta().Get("Retry-After"), name)
		}
	}
	full := errors.New("no room")
	g(full, http.StatusServiceUnavailable, connect.CodeUnavailable, "1")
	g(retryable.New(codes.Unavailable, full, 3*time.Second), http.StatusServiceUnavailable, connect.CodeUnavailable, "3")
	g(retryable.New(codes.ResourceExhausted, full, 1500*time.Millisecond), http.StatusTooManyRequests, connect.CodeResourceExhausted, "2")
	g(consumererror.NewPermanent(full), http.StatusBadRequest, connect.CodeInvalidArgument, "")
	status, body := f.post(t, query("name", "app", "format", "pprof"), goCPU(t))
	assert.Equal(t, http.StatusUnprocessableEntity, status)
	_, message := refusalOf(t, body)
	assert.Equal(t, "pushing IngestInput-pprof failed Permanent error: no room", message)
}

// A request is answered when the pipeline has taken it, and a shutdown waits for that.
func TestShutdownWaits(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	f := start(t, options{next: consumeFunc(func(context.Context, pprofile.Profiles) error {
		close(entered)
		<-release
		return nil
	})})
	answered, stopped := make(chan int, 1), make(chan error, 1)
	go func() {
		resp, err := f.client.Post(f.base+query("name", "app"), "", strings.NewReader("a 1"))
		if err != nil {
			answered <- 0
			return
		}
		_ = resp.Body.Close()
		answered <- resp.StatusCode
	}()
	<-entered
	go func() { stopped <- f.Shutdown(context.Background()) }()
	require.Eventually(t, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.stopping
	}, time.Minute, time.Millisecond)
	assert.Empty(t, stopped)
	assert.Empty(t, answered)
	close(release)
	assert.Equal(t, http.StatusOK, <-answered)
	require.NoError(t, <-stopped)
	require.NoError(t, f.Shutdown(context.Background()))
	status, _ := f.post(t, query("name", "app"), []byte("a 1"))
	assert.Equal(t, http.StatusNotFound, status)
}
