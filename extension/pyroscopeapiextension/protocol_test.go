package pyroscopeapiextension

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/querier/v1/querierv1connect"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

const querierPath = "/querier.v1.QuerierService/"

// All protocols answer the same on one port.
func TestProtocols(t *testing.T) {
	f := start(t, nil)
	f.writeMixed(t)
	h2 := &http.Transport{Protocols: new(http.Protocols)}
	h2.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(h2.CloseIdleConnections)
	clients := map[string]querierv1connect.QuerierServiceClient{
		"connect proto": f.rpc,
		"connect json":  querierv1connect.NewQuerierServiceClient(f.client, f.url(""), connect.WithProtoJSON()),
		"connect gzip":  querierv1connect.NewQuerierServiceClient(f.client, f.url(""), connect.WithSendGzip()),
		"grpc":          querierv1connect.NewQuerierServiceClient(&http.Client{Transport: h2}, f.url(""), connect.WithGRPC()),
		"grpc-web":      querierv1connect.NewQuerierServiceClient(f.client, f.url(""), connect.WithGRPCWeb()),
	}
	for name, c := range clients {
		resp, err := c.SelectMergeStacktraces(t.Context(), connect.NewRequest(f.stacktraces(cpuID, `{service_name="db"}`)))
		require.NoError(t, err, name)
		assert.EqualValues(t, 80_000_000, resp.Msg.Flamegraph.Total, name)
		_, err = c.SelectMergeStacktraces(t.Context(), connect.NewRequest(f.stacktraces(cpuID, `{`)))
		assert.Equal(t, connect.CodeInvalidArgument, codeOf(t, err), name)
	}
}

func TestConnectTransport(t *testing.T) {
	f := start(t, nil)
	status, body := f.post(t, querierPath+"ProfileTypes", `{"start":"0","end":"0"}`)
	assert.Equal(t, http.StatusOK, status)
	assert.JSONEq(t, `{}`, body)
	status, _ = f.do(t, http.MethodGet, querierPath+"ProfileTypes", "")
	assert.Equal(t, http.StatusMethodNotAllowed, status)
	status, _ = f.do(t, http.MethodPost, querierPath+"ProfileTypes", "{}", "Content-Type", "text/plain")
	assert.Equal(t, http.StatusUnsupportedMediaType, status)
	status, body = f.post(t, querierPath+"NoSuchMethod", `{}`)
	assert.Equal(t, http.StatusNotFound, status)
	assert.NotContains(t, body, "{")
	status, body = f.post(t, querierPath+"LabelValues", `{"name":"`+strings.Repeat("x", maxQuery)+`"}`)
	code, _ := errorOf(t, body)
	assert.Equal(t, http.StatusTooManyRequests, status)
	assert.Equal(t, "resource_exhausted", code)
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	for range 64 {
		_, _ = z.Write(make([]byte, 1<<20))
	}
	require.NoError(t, z.Close())
	status, body = f.post(t, querierPath+"ProfileTypes", bomb.String(), "Content-Encoding", "gzip")
	code, _ = errorOf(t, body)
	assert.Equal(t, http.StatusTooManyRequests, status)
	assert.Equal(t, "resource_exhausted", code)
	for path, request := range map[string]string{
		"LabelValues": `{}`, "LabelNames": `{"matchers":[""]}`, "Series": `{"matchers":["a=b"]}`, "ProfileTypes": `{"start":"-1"}`,
		"SelectMergeStacktraces": `{"profileTypeID":"x"}`, "SelectMergeProfile": `{"profileTypeID":"a:b:c:d:e","labelSelector":"{}"}`,
		"SelectMergeSpanProfile": `{"profileTypeID":"a:b:c:d:e","labelSelector":"{}","spanSelector":["xyz"]}`,
		"SelectHeatmap":          `{"profileTypeID":"a:b:c:d:e","labelSelector":"{}","start":"1","end":"2"}`,
		"SelectSeries":           `{"start":"9223372036854775807"}`, "Diff": `{}`,
	} {
		status, body := f.post(t, querierPath+path, request)
		assert.Equal(t, http.StatusBadRequest, status, path)
		code, message := errorOf(t, body)
		assert.Equal(t, "invalid_argument", code, path)
		assert.NotEmpty(t, message, path)
	}
}

func TestTenants(t *testing.T) {
	f := start(t, func(c *Config) { c.Multitenancy = true })
	f.writeMixed(t)
	for _, headers := range [][]string{nil, {"X-Scope-OrgID", ""}} {
		status, body := f.post(t, querierPath+"LabelValues", `{"name":"service_name"}`, headers...)
		assert.Equal(t, http.StatusUnauthorized, status)
		assert.JSONEq(t, `{"code":"unauthenticated","message":"no org id"}`, body)
		status, body = f.do(t, http.MethodGet, "/pyroscope/render?query="+cpuID, "", headers...)
		assert.Equal(t, http.StatusUnauthorized, status)
		assert.JSONEq(t, `{"code":"unauthenticated","message":"no org id"}`, body)
	}
	status, body := f.post(t, "/settings.v1.SettingsService/Get", `{}`, "X-Scope-OrgID", "ten/ant")
	assert.Equal(t, http.StatusUnauthorized, status)
	assert.Contains(t, body, "tenant ID 'ten/ant' contains unsupported character '/'")
	for tenant, want := range map[string]string{"anonymous": `{"names":["app","db"]}`, "other": `{"names":["secret"]}`, "nobody": `{}`} {
		_, body := f.post(t, querierPath+"LabelValues", `{"name":"service_name"}`, "X-Scope-OrgID", tenant)
		assert.JSONEq(t, want, body)
	}
	_, body = f.post(t, querierPath+"LabelNames", `{}`, "X-Scope-OrgID", "other")
	assert.Contains(t, body, "password")
}

func TestConcurrencyLimit(t *testing.T) {
	f := start(t, func(c *Config) { c.Limits.MaxConcurrentQueries = 1 })
	leave, err := f.slots.enter(t.Context(), "anonymous", 1)
	require.NoError(t, err)
	other, err := f.slots.enter(t.Context(), "other", 1)
	require.NoError(t, err)
	other()
	var waiting errgroup.Group
	for range maxWaiting {
		waiting.Go(func() error {
			_, err := f.rpc.ProfileTypes(t.Context(), connect.NewRequest(&querierv1.ProfileTypesRequest{}))
			return err
		})
	}
	users := func() int {
		f.slots.mu.Lock()
		defer f.slots.mu.Unlock()
		return f.slots.tenants["anonymous"].users
	}
	require.Eventually(t, func() bool { return users() == 1+maxWaiting }, time.Minute, time.Millisecond)
	_, err = f.rpc.ProfileTypes(t.Context(), connect.NewRequest(&querierv1.ProfileTypesRequest{}))
	assert.Equal(t, connect.CodeResourceExhausted, codeOf(t, err))
	assert.ErrorContains(t, err, "`limits::max_concurrent_queries` is 1")
	leave()
	require.NoError(t, waiting.Wait())
	assert.Empty(t, f.slots.tenants)

	leave, err = f.slots.enter(t.Context(), "anonymous", 1)
	require.NoError(t, err)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = f.slots.enter(gone, "anonymous", 1)
	require.ErrorIs(t, err, context.Canceled)
	leave()
	assert.Empty(t, f.slots.tenants)
}

func TestMaxStacks(t *testing.T) {
	f := start(t, func(c *Config) { c.MaxStacks = 1 })
	f.writeMixed(t)
	_, err := f.rpc.SelectMergeStacktraces(t.Context(), connect.NewRequest(f.stacktraces(cpuID, `{service_name="app"}`)))
	assert.Equal(t, connect.CodeResourceExhausted, codeOf(t, err))
	assert.ErrorContains(t, err, "`max_stacks` is 1")
	status, _ := f.get(t, "/pyroscope/render", f.renderRange("query", cpuID+`{service_name="app"}`)...)
	assert.Equal(t, http.StatusUnprocessableEntity, status)
	_, err = f.rpc.SelectMergeStacktraces(t.Context(), connect.NewRequest(f.stacktraces("off_cpu:off_cpu:nanoseconds:cpu:nanoseconds", "{}")))
	require.NoError(t, err)
}

func TestErrorsOfTheStore(t *testing.T) {
	for err, want := range map[error]int{
		profilestore.ErrUnavailable: http.StatusServiceUnavailable, profilestore.ErrBusy: http.StatusTooManyRequests,
		context.DeadlineExceeded: http.StatusGatewayTimeout, context.Canceled: http.StatusServiceUnavailable,
		errUnsupported: http.StatusNotImplemented, profilestore.ErrNotFound: http.StatusNotFound, assert.AnError: http.StatusInternalServerError,
	} {
		assert.Equal(t, want, answerTo(err).Status, err)
	}
	f := start(t, func(c *Config) { c.QueryTimeout = time.Nanosecond })
	status, body := f.get(t, "/pyroscope/render", f.renderRange("query", cpuID)...)
	assert.Equal(t, http.StatusGatewayTimeout, status, body)
}

func TestSmallServices(t *testing.T) {
	f := start(t, nil)
	f.build.Version = "1.2.3"
	status, body := f.do(t, http.MethodGet, "/ready", "")
	assert.Equal(t, []any{http.StatusOK, "ready\n"}, []any{status, body})
	status, body = f.do(t, http.MethodGet, "/api/v1/status/buildinfo", "")
	assert.Equal(t, http.StatusOK, status)
	var info struct {
		Status string
		Data   map[string]string
	}
	require.NoError(t, json.Unmarshal([]byte(body), &info))
	assert.Equal(t, []string{"success", "1.2.3"}, []string{info.Status, info.Data["version"]})
	for path, want := range map[string]string{
		"/version.v1.Version/Version":                          `{"QuerierAPI":"1"}`,
		"/capabilities.v1.FeatureFlagsService/GetFeatureFlags": `{}`,
	} {
		status, body := f.post(t, path, `{}`)
		assert.Equal(t, http.StatusOK, status, path)
		assert.JSONEq(t, want, body, path)
	}
	status, body = f.post(t, "/status.v1.StatusService/GetBuildInfo", `{}`)
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, body, "1.2.3")
	for _, path := range []string{"/vcs.v1.VCSService/GithubApp", "/settings.v1.RecordingRulesService/ListRecordingRules", "/status.v1.StatusService/GetConfig"} {
		status, _ := f.post(t, path, `{}`)
		assert.Equal(t, http.StatusNotImplemented, status, path)
	}
	f.writeMixed(t)
	status, body = f.get(t, "/pyroscope/label-values", "label", "__name__")
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, body, `"`+cpuID+`"`)
	status, body = f.get(t, "/pyroscope/label-values", "label", "service_name")
	assert.Equal(t, http.StatusOK, status)
	assert.JSONEq(t, `["app","db"]`, body)
	status, body = f.get(t, "/pyroscope/label-values", "label", "nothing")
	assert.Equal(t, http.StatusOK, status)
	assert.JSONEq(t, `[]`, body)
	status, _ = f.get(t, "/pyroscope/label-values")
	assert.Equal(t, http.StatusBadRequest, status)
}

// Names that are not UTF-8 do not make an answer fail.
func TestNotUTF8(t *testing.T) {
	f := start(t, nil)
	f.write(t, sent{labels: []string{"b\xffd", "v\xff"}, at: 1, stacks: map[string][]int64{"main;f\xff": {1}}})
	resp, err := f.rpc.SelectMergeStacktraces(t.Context(), connect.NewRequest(f.stacktraces(cpuID, "{}")))
	require.NoError(t, err)
	assert.Equal(t, []string{"total", "main", "f\ufffd"}, resp.Msg.Flamegraph.Names)
	names, err := f.rpc.LabelNames(t.Context(), connect.NewRequest(&typesv1.LabelNamesRequest{}))
	require.NoError(t, err)
	assert.Contains(t, names.Msg.Names, "b\ufffdd")
	series, err := f.rpc.Series(t.Context(), connect.NewRequest(&querierv1.SeriesRequest{}))
	require.NoError(t, err)
	assert.NotEmpty(t, series.Msg.LabelsSet)
	//lint:ignore SA1019 older clients call it
	p, err := f.rpc.SelectMergeProfile(t.Context(), connect.NewRequest(&querierv1.SelectMergeProfileRequest{ProfileTypeID: cpuID, LabelSelector: "{}", Start: f.ms(0), End: f.ms(60)}))
	require.NoError(t, err)
	assert.Equal(t, []string{"main@0;f\ufffd@0 10000000"}, stacksOf(parsed(t, p.Msg)))
}
