package e2e

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"connectrpc.com/connect"
	pprof "github.com/google/pprof/profile"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/push/v1/pushv1connect"
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/querier/v1/querierv1connect"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const withPyroscope = "yaml:service::pipelines::profiles::receivers: [aperture, otlp, pyroscope]"

// What clients of Pyroscope push comes back to them with the same sums, by every
// protocol, over HTTP/1.1 and HTTP/2.
func TestPyroscope(t *testing.T) {
	c := newCollector(t, "all-in-one.yaml", withPyroscope, "yaml:receivers::pyroscope::limits: {max_samples: 0, ingestion_rate: 0}")
	c.startReady()
	data, err := os.ReadFile(filepath.Join(root(t), "internal", "corpus", "testdata", "cpu.pb.gz"))
	require.NoError(t, err)
	p, err := pprof.ParseData(data)
	require.NoError(t, err)
	p.TimeNanos = time.Now().UnixNano()
	var raw bytes.Buffer
	require.NoError(t, p.Write(&raw))
	want := make(map[string]int64)
	for _, s := range p.Sample {
		for i, v := range s.Value {
			want[p.SampleType[i].Type] += v
		}
	}

	base := "http://" + c.pyroscope
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	post := func(query url.Values, body []byte) {
		t.Helper()
		resp, err := client.Post(base+"/ingest?"+query.Encode(), "application/octet-stream", bytes.NewReader(body))
		require.NoError(t, err)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusOK, resp.StatusCode, string(text))
	}
	post(url.Values{"name": {"sdk{env=test}"}, "format": {"pprof"}, "spyName": {"gospy"}}, raw.Bytes())
	post(url.Values{"name": {"script.cpu"}, "from": {strconv.FormatInt(time.Now().Unix(), 10)}}, []byte("foo;bar 100\nfoo;baz 200"))

	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	for name, o := range map[string][]connect.ClientOption{
		"connect": nil, "json": {connect.WithProtoJSON()}, "grpc": {connect.WithGRPC()}, "grpc-web": {connect.WithGRPCWeb()},
	} {
		push := pushv1connect.NewPusherServiceClient(&http.Client{Transport: transport}, base, o...)
		_, err := push.Push(t.Context(), connect.NewRequest(&pushv1.PushRequest{Series: []*pushv1.RawProfileSeries{{
			Labels:  []*typesv1.LabelPair{{Name: "__name__", Value: "process_cpu"}, {Name: "service_name", Value: name}},
			Samples: []*pushv1.RawSample{{RawProfile: raw.Bytes()}},
		}}}))
		require.NoError(t, err, name)
	}

	ask := querierv1connect.NewQuerierServiceClient(client, base)
	total := func(id, selector string) (total int64) {
		t.Helper()
		require.Eventually(t, func() bool {
			resp, err := ask.SelectMergeStacktraces(t.Context(), connect.NewRequest(&querierv1.SelectMergeStacktracesRequest{
				ProfileTypeID: id, LabelSelector: selector,
				Start: time.Now().Add(-time.Hour).UnixMilli(), End: time.Now().Add(time.Minute).UnixMilli(),
			}))
			if err != nil {
				t.Log(err)
				return false
			}
			total = resp.Msg.GetFlamegraph().GetTotal()
			return total > 0
		}, 30*time.Second, 100*time.Millisecond, "%s%s", id, selector)
		return total
	}
	const samples, cpu = "process_cpu:samples:count:cpu:nanoseconds", "process_cpu:cpu:nanoseconds:cpu:nanoseconds"
	for _, selector := range []string{`{service_name="sdk",env="test"}`, `{service_name="connect"}`, `{service_name="json"}`, `{service_name="grpc"}`, `{service_name="grpc-web"}`} {
		if want["samples"] > 0 {
			assert.Equal(t, want["samples"], total(samples, selector), selector)
		}
		if want["cpu"] > 0 {
			assert.Equal(t, want["cpu"], total(cpu, selector), selector)
		}
	}
	assert.EqualValues(t, 3e9, total(cpu, `{service_name="script"}`))
}
