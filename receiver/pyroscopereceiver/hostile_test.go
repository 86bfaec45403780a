package pyroscopereceiver

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/push/v1/pushv1connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"google.golang.org/protobuf/proto"

	"github.com/aperture-collector/aperture-collector/internal/heaptest"
	"github.com/aperture-collector/aperture-collector/internal/jfr/jfrtest"
	"github.com/aperture-collector/aperture-collector/receiver/pyroscopereceiver/internal/metadatatest"
)

// Every body that is cut off is refused, or is what was taken, as a whole.
func TestTruncatedBodies(t *testing.T) {
	f := start(t, options{config: func(c *Config) { c.Limits.IngestionRate = 0 }})
	profile, profileType := formOf(t, "profile", string(gzipped(t, goCPU(t))), "sample_type_config", "{}")
	recording, recordingType := formOf(t, "jfr", string(jfrtest.Small()), "labels", "")
	push, err := proto.Marshal(&pushv1.PushRequest{Series: []*pushv1.RawProfileSeries{
		series(map[string]string{"__name__": "process_cpu"}, gzipped(t, goCPU(t))), series(map[string]string{"__name__": "process_cpu"}, gzipped(t, goCPU(t))),
	}})
	require.NoError(t, err)
	for name, tt := range map[string]struct {
		path        string
		body        []byte
		contentType string
	}{
		"form of pprof": {query("name", "app"), profile, profileType},
		"form of JFR":   {query("name", "app", "format", "jfr"), recording, recordingType},
		"gzipped pprof": {query("name", "app", "format", "pprof"), gzipped(t, goCPU(t)), ""},
		"gzipped text":  {query("name", "app"), gzipped(t, []byte(folded)), ""},
		"push":          {pushv1connect.PusherServicePushProcedure, push, "application/proto"},
	} {
		f.sink.Reset()
		for n := 1; n < len(tt.body)-4; n++ {
			status, body := f.post(t, tt.path, tt.body[:n], "Content-Type", tt.contentType)
			if name == "push" && status == http.StatusOK {
				continue // a message may end after any of its fields
			}
			if n == 1 && name == "gzipped text" {
				continue // a line
			}
			require.GreaterOrEqual(t, status, 400, "%s: %d of %d bytes", name, n, len(tt.body))
			refusalOf(t, body)
		}
		if name != "push" {
			assert.Empty(t, f.sink.AllProfiles(), name)
		}
		status, body := f.post(t, tt.path, tt.body, "Content-Type", tt.contentType)
		assert.Equal(t, http.StatusOK, status, "%s: %s", name, body)
	}
	assert.Zero(t, f.budget.held.Load())
	assert.Empty(t, f.converting)
}

// What is refused leaves nothing in memory, however much it would unfold to.
func TestMemoryAfterBombs(t *testing.T) {
	f := start(t, options{})
	zeros := gzipped(t, make([]byte, 32<<20))
	tree := []byte(strings.Repeat("\x01a\x01\x01", 30_000) + "\x01a\x01\x00")
	deep := []byte(strings.Repeat("f;", 1<<20) + "g 1\n")
	push := f.pushClient(t, protocols["grpc gzip"]...)
	pushes := [][]*pushv1.RawProfileSeries{
		{series(nil, make([]byte, maxPush))}, {series(nil, make([]byte, maxPush-mib))}, slices.Repeat([]*pushv1.RawProfileSeries{{}}, 2*maxEntries),
	}
	bombs := func() {
		var wait sync.WaitGroup
		for range 2 {
			wait.Go(func() {
				for _, message := range pushes {
					_, err := push.Push(t.Context(), pushOf(message...))
					assert.Error(t, err)
				}
				for _, format := range []string{"folded", "lines", "trie", "tree", "pprof", "jfr", "speedscope"} {
					for _, body := range [][]byte{zeros, tree, deep} {
						resp, err := f.client.Post(f.base+query("name", "app", "format", format), "", strings.NewReader(string(body)))
						if err == nil {
							_ = resp.Body.Close()
						}
					}
				}
			})
		}
		wait.Wait()
		f.sink.Reset()
	}
	bombs()
	before := heaptest.InUse()
	bombs()
	assert.Less(t, heaptest.InUse(), before+8<<20)
	assert.Zero(t, f.budget.held.Load())
}

func TestTelemetry(t *testing.T) {
	f := start(t, options{})
	f.push(t, query("name", "app", "format", "pprof"), goCPU(t))
	f.push(t, query("name", "app.live"), []byte("a;b 1\n"))
	f.push(t, query("name", "app{profile_id=1}"), []byte("a;b 1\n"))
	status, _ := f.post(t, query("name", "app.x"), []byte("a;b 1\n"))
	require.Equal(t, http.StatusBadRequest, status)
	at := func(v int64, pairs ...string) metricdata.DataPoint[int64] {
		return metricdata.DataPoint[int64]{Value: v, Attributes: attributes(pairs...)}
	}
	ignore := []metricdatatest.Option{metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars()}
	tel := f.telemetry
	metadatatest.AssertEqualReceiverPyroscopeRequests(t, tel, []metricdata.DataPoint[int64]{
		at(1, "format", "pprof", "status", "ok"), at(2, "format", "folded", "status", "ok"), at(1, "format", "folded", "status", "error"),
	}, ignore...)
	metadatatest.AssertEqualReceiverPyroscopeRefused(t, tel, []metricdata.DataPoint[int64]{at(1, "reason", "profile_id"), at(1, "reason", "type")}, ignore...)
	metadatatest.AssertEqualReceiverPyroscopeSamples(t, tel, []metricdata.DataPoint[int64]{at(4, "format", "pprof"), at(1, "format", "folded")}, ignore...)
	metadatatest.AssertEqualReceiverPyroscopeProfiles(t, tel, []metricdata.DataPoint[int64]{at(4, "format", "pprof"), at(1, "format", "folded")}, ignore...)
	size := int64(len(goCPU(t)))
	metadatatest.AssertEqualReceiverPyroscopeSize(t, tel, []metricdata.DataPoint[int64]{at(size+12, "form", "wire"), at(size+6, "form", "inflated")}, ignore...)
}

func attributes(pairs ...string) attribute.Set {
	var list []attribute.KeyValue
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, attribute.String(pairs[i], pairs[i+1]))
	}
	return attribute.NewSet(list...)
}
