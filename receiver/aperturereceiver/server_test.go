package aperturereceiver

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/consumer/xconsumer"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
	"github.com/aperture-collector/aperture-collector/receiver/aperturereceiver/internal/metadatatest"
)

// host is a component.Host with extensions.
type host map[component.ID]component.Component

func (h host) GetExtensions() map[component.ID]component.Component { return h }

// testServer is a running receiver and a client of it.
type testServer struct {
	aggregatorv1.AggregatorClient
	conn      *grpc.ClientConn
	sink      *consumertest.ProfilesSink
	telemetry *componenttest.Telemetry
	receiver  *apertureReceiver
}

// serverOptions vary a testServer.
type serverOptions struct {
	config func(*Config)
	host   host
	next   xconsumer.Profiles // a sink if nil
	dial   []grpc.DialOption
	logger *zap.Logger // none if nil
}

// startServer runs a receiver on a free port of the loopback interface until the
// test ends.
func startServer(tb testing.TB, o serverOptions) *testServer {
	tb.Helper()
	s := &testServer{sink: new(consumertest.ProfilesSink), telemetry: componenttest.NewTelemetry()}
	cfg := createDefaultConfig().(*Config)
	cfg.GRPC.NetAddr.Endpoint = "127.0.0.1:0"
	if o.config != nil {
		o.config(cfg)
	}
	require.NoError(tb, cfg.Validate())
	next := o.next
	if next == nil {
		next = s.sink
	}
	var err error
	settings := metadatatest.NewSettings(s.telemetry)
	if o.logger != nil {
		settings.Logger = o.logger
	}
	s.receiver, err = newReceiver(cfg, settings, next)
	require.NoError(tb, err)
	require.NoError(tb, s.receiver.Start(tb.Context(), o.host))
	s.conn, err = grpc.NewClient(s.receiver.address.String(),
		append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, o.dial...)...)
	require.NoError(tb, err)
	s.AggregatorClient = aggregatorv1.NewAggregatorClient(s.conn)
	tb.Cleanup(func() {
		require.NoError(tb, s.conn.Close())
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		require.NoError(tb, s.receiver.Shutdown(ctx))
		require.NoError(tb, s.telemetry.Shutdown(ctx))
	})
	return s
}

// consumeFunc is a consumer made of a function.
type consumeFunc func(context.Context, pprofile.Profiles) error

func (consumeFunc) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (f consumeFunc) ConsumeProfiles(ctx context.Context, pd pprofile.Profiles) error {
	return f(ctx, pd)
}

// apiExtension stands in for the API extension at the seam between the two.
type apiExtension struct {
	component.StartFunc
	component.ShutdownFunc

	mu    sync.Mutex
	full  bool
	calls []any
}

func (e *apiExtension) Backpressure() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.full
}

func (e *apiExtension) setFull(full bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.full = full
}

func (e *apiExtension) called(req any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls = append(e.calls, req)
}

func (e *apiExtension) Query(_ context.Context, req *aggregatorv1.QueryRequest) (*aggregatorv1.QueryResponse, error) {
	e.called(req)
	return &aggregatorv1.QueryResponse{Batches: []*aggregatorv1.BatchInfo{{AgentId: "query"}}}, nil
}

func (e *apiExtension) QueryStorage(_ context.Context, req *aggregatorv1.QueryStorageRequest) (*aggregatorv1.QueryResponse, error) {
	e.called(req)
	return &aggregatorv1.QueryResponse{Batches: []*aggregatorv1.BatchInfo{{AgentId: "storage"}}}, nil
}

func (e *apiExtension) Aggregate(_ context.Context, req *aggregatorv1.AggregateRequest) (*aggregatorv1.AggregateResponse, error) {
	e.called(req)
	return &aggregatorv1.AggregateResponse{ResultJson: "{}"}, nil
}

func (e *apiExtension) Diff(_ context.Context, req *aggregatorv1.DiffRequest) (*aggregatorv1.DiffResponse, error) {
	e.called(req)
	return &aggregatorv1.DiffResponse{ResultJson: "[]"}, nil
}
