package httpserverextension

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/aperture-collector/aperture-collector/extension/httpserverextension/internal/metadatatest"
)

func TestTelemetry(t *testing.T) {
	tel := componenttest.NewTelemetry()
	cfg := createDefaultConfig().(*Config)
	cfg.ServerConfig.NetAddr.Endpoint = "127.0.0.1:0"
	cfg.Limits.MaxConcurrentRequests = 1
	s, err := newServer(metadatatest.NewSettings(tel), cfg)
	require.NoError(t, err)
	require.NoError(t, s.Start(t.Context(), newHost()))
	f := &fixture{server: s, client: &http.Client{Transport: &http.Transport{}}}
	entered, release := make(chan struct{}), make(chan struct{})
	_, err = s.Mount("GET /panic", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") }))
	require.NoError(t, err)
	_, err = s.Mount("GET /slow", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(entered)
		<-release
	}))
	require.NoError(t, err)

	f.do(t, "GET", "/panic", nil) // not ready
	require.NoError(t, s.Ready())
	f.do(t, "GET", "/panic", nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.do(t, "GET", "/slow", nil)
	}()
	<-entered
	f.do(t, "GET", "/panic", nil) // one too many
	one := []metricdata.DataPoint[int64]{{Value: 1}}
	metadatatest.AssertEqualExtensionHTTPServerActiveRequests(t, tel, one, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
	close(release)
	<-done
	metadatatest.AssertEqualExtensionHTTPServerActiveRequests(t, tel, []metricdata.DataPoint[int64]{{}}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
	metadatatest.AssertEqualExtensionHTTPServerPanics(t, tel, one, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
	metadatatest.AssertEqualExtensionHTTPServerRefusedRequests(t, tel, []metricdata.DataPoint[int64]{
		{Value: 1, Attributes: attribute.NewSet(attribute.String("reason", "not_ready"))},
		{Value: 1, Attributes: attribute.NewSet(attribute.String("reason", "concurrency"))},
	}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())

	f.client.CloseIdleConnections()
	require.NoError(t, s.Shutdown(context.Background()))
	require.NoError(t, tel.Shutdown(context.Background()))
}
