package pyroscopereceiver

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"
	pprof "github.com/google/pprof/profile"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pprofile"
)

// Parts of messages that are a few bytes each take much more in memory.
func TestPushParts(t *testing.T) {
	f := start(t, options{})
	for name, o := range protocols {
		for part, one := range map[string]*pushv1.RawProfileSeries{
			"series": {}, "labels": {Labels: slices.Repeat([]*typesv1.LabelPair{{}}, maxEntries)}, "samples": {Samples: slices.Repeat([]*pushv1.RawSample{{}}, maxEntries)},
		} {
			all := []*pushv1.RawProfileSeries{one}
			if part == "series" {
				all = slices.Repeat(all, maxEntries)
			}
			_, err := f.pushClient(t, o...).Push(t.Context(), pushOf(append(all, &pushv1.RawProfileSeries{})...))
			require.ErrorContains(t, err, "message has more than 65536 series, labels and samples together", "%s of %s", part, name)
			assert.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err))
		}
	}
	assert.Zero(t, f.budget.held.Load())
}

// What profiles of a message become is bounded, however small they are in it.
func TestPushThatBecomesMuch(t *testing.T) {
	f := start(t, options{config: func(c *Config) { c.Limits.IngestionRate = 0 }})
	p := profileOf("cpu/nanoseconds", []string{"cpu/nanoseconds"}, &pprof.Sample{Location: []*pprof.Location{at("main", "")}, Value: []int64{7}})
	p.DropFrames = strings.Repeat("x", 3<<20)
	raw := gzipped(t, encoded(t, p))
	require.Less(t, len(raw), 100<<10)
	client := f.pushClient(t)
	_, err := client.Push(t.Context(), pushOf(series(nil, slices.Repeat([][]byte{raw}, 10)...)))
	require.NoError(t, err)
	_, err = client.Push(t.Context(), pushOf(series(nil, slices.Repeat([][]byte{raw}, 20)...)))
	require.ErrorContains(t, err, "inflated profiles of a push have more than 37748736 bytes together; send less at once")
	assert.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err))
	assert.Len(t, f.sink.AllProfiles(), 1)
	assert.Zero(t, f.budget.held.Load())

	// The room may be that of others.
	others := f.budget.reserve()
	require.NoError(t, others.grow(f.cfg.MaxInflightSize/2))
	_, err = client.Push(t.Context(), pushOf(series(nil, slices.Repeat([][]byte{raw}, 10)...)))
	assert.Equal(t, connect.CodeUnavailable, connect.CodeOf(err), err)
	others.release()
	assert.Zero(t, f.budget.held.Load())
}

type panics struct{}

func (panics) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (panics) ConsumeProfiles(context.Context, pprofile.Profiles) error { panic(http.ErrAbortHandler) }

// A request that panics is none in work any more: Shutdown does not wait for it.
func TestPanic(t *testing.T) {
	f := start(t, options{next: panics{}})
	resp, err := f.client.Post(f.base+query("name", "app"), "", strings.NewReader(folded))
	if err == nil {
		require.NoError(t, resp.Body.Close())
	}
	require.Error(t, err)
	_, err = f.pushClient(t).Push(t.Context(), pushOf(series(nil, goCPU(t))))
	require.Error(t, err)
	assert.Zero(t, f.budget.held.Load())
	assert.Empty(t, f.converting)
	require.NoError(t, f.Shutdown(t.Context()))
}

// A body is read only as far as it can be of use, and a form in parts.
func TestBodyOfUse(t *testing.T) {
	f := start(t, options{})
	status, text := f.post(t, query("name", "app", "format", "jfr"), make([]byte, 2*16*mib+mib+1))
	assert.Equal(t, http.StatusRequestEntityTooLarge, status)
	assert.Contains(t, text, "the limit is 34603008")
	fields := []string{"profile", string(goCPU(t))}
	for len(fields) < 2*maxParts {
		fields = append(fields, "other", "x")
	}
	form, contentType := formOf(t, fields...)
	f.push(t, query("name", "app"), form, "Content-Type", contentType)
	form, contentType = formOf(t, append(fields, "other", "x")...)
	status, text = f.post(t, query("name", "app"), form, "Content-Type", contentType)
	assert.Equal(t, http.StatusUnprocessableEntity, status)
	assert.Contains(t, text, "there are more than 16 parts")
	assert.Zero(t, f.budget.held.Load())
}
