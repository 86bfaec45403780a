package pyroscopereceiver

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	pprof "github.com/google/pprof/profile"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/push/v1/pushv1connect"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// protocols are the ways in which clients push.
var protocols = map[string][]connect.ClientOption{
	"connect":       nil,
	"connect json":  {connect.WithProtoJSON()},
	"connect gzip":  {connect.WithSendGzip()},
	"grpc":          {connect.WithGRPC()},
	"grpc gzip":     {connect.WithGRPC(), connect.WithSendGzip()},
	"grpc-web":      {connect.WithGRPCWeb()},
	"grpc-web gzip": {connect.WithGRPCWeb(), connect.WithSendGzip()},
}

// pushClient returns a client; that of gRPC speaks HTTP/2, as all of them do.
func (f *fixture) pushClient(t testing.TB, o ...connect.ClientOption) pushv1connect.PusherServiceClient {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return pushv1connect.NewPusherServiceClient(&http.Client{Transport: transport}, f.base, o...)
}

func series(labels map[string]string, profiles ...[]byte) *pushv1.RawProfileSeries {
	s := &pushv1.RawProfileSeries{}
	for k, v := range labels {
		s.Labels = append(s.Labels, &typesv1.LabelPair{Name: k, Value: v})
	}
	for _, p := range profiles {
		s.Samples = append(s.Samples, &pushv1.RawSample{RawProfile: p, ID: "01234567-89ab-cdef-0123-456789abcdef"})
	}
	return s
}

func pushOf(s ...*pushv1.RawProfileSeries) *connect.Request[pushv1.PushRequest] {
	return connect.NewRequest(&pushv1.PushRequest{Series: s})
}

func TestPush(t *testing.T) {
	f := start(t, options{})
	raw := goCPU(t)
	memory := encoded(t, profileOf("space/bytes", []string{"alloc_objects/count", "alloc_space/bytes"},
		&pprof.Sample{Location: []*pprof.Location{at("main", "main.go")}, Value: []int64{1, 2}}))
	for name, o := range protocols {
		f.sink.Reset()
		_, err := f.pushClient(t, o...).Push(t.Context(), pushOf(
			series(map[string]string{"__name__": "process_cpu", "service_name": "app", "x.y": "z", "__delta__": "false"}, raw, gzipped(t, raw)),
			series(map[string]string{"__name__": "godeltaprof_memory", "pod": "b", "__session_id__": "1"}, memory),
		))
		require.NoError(t, err, name)
		assert.Len(t, f.sink.AllProfiles(), 1, "one push is taken as a whole")
		assert.Equal(t, map[string]int64{
			"anonymous process_cpu:cpu:nanoseconds:cpu:nanoseconds {pod=a,service_name=app,x_y=z} main.main;main.get":                         60_000_002,
			"anonymous process_cpu:samples:count:cpu:nanoseconds {pod=a,service_name=app,x_y=z} main.main;main.get":                           6,
			"anonymous process_cpu:cpu:nanoseconds:cpu:nanoseconds {service_name=app,x_y=z} main.main":                                        20_000_000,
			"anonymous process_cpu:samples:count:cpu:nanoseconds {service_name=app,x_y=z} main.main":                                          2,
			"anonymous memory:alloc_objects:count:space:bytes {__name_replaced__=godeltaprof_memory,pod=b,service_name=unknown_service} main": 1,
			"anonymous memory:alloc_space:bytes:space:bytes {__name_replaced__=godeltaprof_memory,pod=b,service_name=unknown_service} main":   2,
		}, f.sums(t), name)
		p := f.sink.AllProfiles()[0].ResourceProfiles().At(0).ScopeProfiles().At(0).Profiles().At(0)
		assert.Equal(t, "0123456789abcdef0123456789abcdef", p.ProfileID().String())
	}
}

func TestPushErrors(t *testing.T) {
	f := start(t, options{})
	cpu := map[string]string{"__name__": "process_cpu", "service_name": "app"}
	with := func(key, value string) map[string]string {
		return map[string]string{"__name__": "process_cpu", key: value}
	}
	old := encoded(t, func() *pprof.Profile {
		p := profileOf("cpu/nanoseconds", []string{"cpu/nanoseconds"}, &pprof.Sample{Location: []*pprof.Location{at("main", "")}, Value: []int64{7}})
		p.TimeNanos = time.Date(2021, 3, 15, 0, 0, 0, 0, time.UTC).UnixNano()
		return p
	}())
	for name, tt := range map[string]struct {
		req  *connect.Request[pushv1.PushRequest]
		code connect.Code
		want string
	}{
		"nothing":      {pushOf(), connect.CodeInvalidArgument, "no profiles received"},
		"no pprof":     {pushOf(series(cpu, []byte("nonsense"))), connect.CodeUnknown, "failed to parse profile: decode pprof: invalid pprof: "},
		"empty":        {pushOf(series(cpu, []byte{})), connect.CodeUnknown, "failed to parse profile: decode pprof: invalid pprof: there is no data"},
		"second wrong": {pushOf(series(cpu, goCPU(t)), series(cpu, []byte{0xff})), connect.CodeUnknown, "failed to parse profile"},
		"label twice":  {pushOf(&pushv1.RawProfileSeries{Labels: []*typesv1.LabelPair{{Name: "a.b", Value: "1"}, {Name: "a_b", Value: "2"}}}), connect.CodeInvalidArgument, `label "a_b" is there twice, with values "1" and "2"`},
		"no label":     {pushOf(series(with("", "x"), goCPU(t))), connect.CodeInvalidArgument, `a label with value "x" has no name`},
		"label value":  {pushOf(series(with("x", strings.Repeat("v", 2049)), goCPU(t))), connect.CodeInvalidArgument, "label value too long: that of 'x' has 2049 bytes; limit 2048"},
		"label name":   {pushOf(series(with(strings.Repeat("n", 1025), "x"), goCPU(t))), connect.CodeInvalidArgument, "has 1025 bytes; limit 1024"},
		"old":          {pushOf(series(cpu, old)), connect.CodeInvalidArgument, "is outside of ingestion window (profile timestamp: 2021-03-15T00:00:00Z, the ingestion window starts at "},
	} {
		for _, protocol := range []string{"connect", "grpc", "grpc-web"} {
			_, err := f.pushClient(t, protocols[protocol]...).Push(t.Context(), tt.req)
			require.ErrorContains(t, err, tt.want, name)
			assert.Equal(t, tt.code, connect.CodeOf(err), name)
		}
	}
	assert.Empty(t, f.sink.AllProfiles())

	// What Connect itself answers.
	push := pushv1connect.PusherServicePushProcedure
	status, _ := f.post(t, push, []byte("{}"), "Content-Type", "text/plain")
	assert.Equal(t, http.StatusUnsupportedMediaType, status)
	status, _ = f.post(t, "/push.v1.PusherService/Other", []byte("{}"), "Content-Type", "application/json")
	assert.Equal(t, http.StatusNotFound, status)
	status, text := f.post(t, push, []byte("{"), "Content-Type", "application/json")
	assert.Equal(t, http.StatusBadRequest, status)
	assert.Contains(t, text, `"code":"invalid_argument"`)
	resp, err := f.client.Get(f.base + push)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode)
}

// A message is read only as far as there is room.
func TestPushWithoutRoom(t *testing.T) {
	f := start(t, options{config: func(c *Config) { c.MaxBodySize, c.MaxInflightSize = 200<<10, 200<<10 }})
	fits, most := make([]byte, 50<<10), make([]byte, 120<<10)
	for name, o := range protocols {
		if strings.HasSuffix(name, "gzip") {
			continue
		}
		_, err := f.pushClient(t, o...).Push(t.Context(), pushOf(series(nil, fits)))
		require.ErrorContains(t, err, "failed to parse profile", name)
		// Half of it is for the message, half for what is in it.
		_, err = f.pushClient(t, o...).Push(t.Context(), pushOf(series(nil, most)))
		require.Error(t, err, name)
		assert.Equal(t, connect.CodeUnavailable, connect.CodeOf(err), "%s: %v", name, err)
		_, err = f.pushClient(t, o...).Push(t.Context(), pushOf(series(nil, make([]byte, 201<<10))))
		require.Error(t, err, name)
		assert.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(err), "%s: %v", name, err)
	}
	assert.Zero(t, f.budget.held.Load())
	f = start(t, options{config: func(c *Config) { c.MaxBodySize, c.MaxInflightSize = 200<<10, 300<<10 }})
	for name, o := range protocols {
		if strings.HasSuffix(name, "gzip") {
			_, err := f.pushClient(t, o...).Push(t.Context(), pushOf(series(nil, make([]byte, 4<<20))))
			assert.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(err), "%s: %v", name, err)
		}
	}
	assert.Zero(t, f.budget.held.Load())
}
