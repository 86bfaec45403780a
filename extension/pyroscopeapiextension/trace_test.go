package pyroscopeapiextension

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/aperture-collector/aperture-collector/extension/pyroscopeapiextension/internal/metadatatest"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

func TestTrace(t *testing.T) {
	f := start(t, nil)
	f.writeMixed(t)
	status, body := f.get(t, "/pyroscope/render", f.renderRange("query", cpuID+`{service_name="db",region!="a-long-secret"}`, "trace", "1")...)
	require.Equal(t, http.StatusOK, status, body)
	var got struct {
		Answer struct{ Flamebearer struct{ NumTicks int64 } }
		Trace  profilestore.StepData
	}
	require.NoError(t, json.Unmarshal([]byte(body), &got))
	assert.EqualValues(t, 80_000_000, got.Answer.Flamebearer.NumTicks)
	names := map[string]bool{}
	for _, s := range got.Trace.Steps {
		names[s.Name] = true
	}
	assert.True(t, names["tree"], body)
	trace, err := json.Marshal(got.Trace)
	require.NoError(t, err)
	assert.NotContains(t, string(trace), "a-long-secret", "text of clients is not told")
	status, body = f.get(t, "/pyroscope/render-diff", "trace", "x")
	assert.Equal(t, http.StatusBadRequest, status)
	assert.Contains(t, body, `trace is \"x\"`)
}

func TestTelemetry(t *testing.T) {
	tel := componenttest.NewTelemetry()
	a, err := newAPI(metadatatest.NewSettings(tel), createDefaultConfig().(*Config))
	require.NoError(t, err)
	fail := errors.New("fail")
	for _, want := range []error{nil, fail, nil} {
		require.Equal(t, want, a.query(t.Context(), "render", http.Header{}, func(context.Context, string) error { return want }))
	}
	point := func(status string, n int64) metricdata.DataPoint[int64] {
		return metricdata.DataPoint[int64]{Value: n, Attributes: attribute.NewSet(attribute.String("operation", "render"), attribute.String("status", status))}
	}
	metadatatest.AssertEqualExtensionPyroscopeAPIQueries(t, tel, []metricdata.DataPoint[int64]{point("ok", 2), point("error", 1)}, metricdatatest.IgnoreTimestamp())
	require.NoError(t, a.Shutdown(t.Context()))
	require.NoError(t, tel.Shutdown(t.Context()))
}
