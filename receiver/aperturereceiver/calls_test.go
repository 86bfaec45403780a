package aperturereceiver

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
)

// panickingAPI panics in one method and fails in another.
type panickingAPI struct{ apiExtension }

func (*panickingAPI) Aggregate(context.Context, *aggregatorv1.AggregateRequest) (*aggregatorv1.AggregateResponse, error) {
	panic("secret of the process")
}

func (*panickingAPI) Diff(context.Context, *aggregatorv1.DiffRequest) (*aggregatorv1.DiffResponse, error) {
	return nil, status.Error(codes.Internal, "store is broken")
}

func withLogs(t *testing.T, o serverOptions) (*testServer, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	o.logger = zap.New(core)
	return startServer(t, o), logs
}

func TestPanicInAMethod(t *testing.T) {
	o := withAPI(new(apiExtension))
	o.host[apiID] = new(panickingAPI)
	s, logs := withLogs(t, o)
	var header metadata.MD
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-request-id", "call-1")
	_, err := s.Aggregate(ctx, &aggregatorv1.AggregateRequest{}, grpc.Header(&header))
	assert.Equal(t, codes.Internal, status.Code(err))
	assert.Equal(t, "internal error", status.Convert(err).Message(), "the client learns nothing")
	assert.Equal(t, []string{"call-1"}, header.Get("x-request-id"))

	entries := logs.FilterMessage("call panicked").All()
	require.Len(t, entries, 1)
	fields := entries[0].ContextMap()
	assert.Equal(t, "call-1", fields["request_id"])
	assert.Equal(t, "secret of the process", fields["panic"])
	assert.Contains(t, fields["stack"], "Aggregate")
	m, err := s.telemetry.GetMetric("otelcol_receiver_aperture_panics")
	require.NoError(t, err)
	assert.Equal(t, int64(1), sumPoints(m)[0].Value)

	_, err = s.Query(t.Context(), &aggregatorv1.QueryRequest{})
	require.NoError(t, err, "the server goes on")
}

// A panic of a component behind is that of the push only.
func TestPanicInThePipeline(t *testing.T) {
	s := startServer(t, serverOptions{next: consumeFunc(func(context.Context, pprofile.Profiles) error { panic("boom") })})
	for range 3 {
		_, err := s.Push(t.Context(), &aggregatorv1.PushRequest{Payload: examples(t)["cpu"]})
		assert.Equal(t, codes.Internal, status.Code(err), err)
	}
	assert.Zero(t, s.receiver.push.inflight.Load())
	assert.Empty(t, s.receiver.push.converting)
}

func TestRequestID(t *testing.T) {
	o := withAPI(new(apiExtension))
	o.host[apiID] = new(panickingAPI)
	s, logs := withLogs(t, o)
	idOf := func(sent ...string) string {
		t.Helper()
		ctx := t.Context()
		for _, v := range sent {
			ctx = metadata.AppendToOutgoingContext(ctx, "x-request-id", v)
		}
		var header metadata.MD
		_, err := s.Query(ctx, &aggregatorv1.QueryRequest{}, grpc.Header(&header))
		require.NoError(t, err)
		require.Len(t, header.Get("x-request-id"), 1)
		return header.Get("x-request-id")[0]
	}
	assert.Equal(t, "client-1", idOf("client-1"))
	assert.Equal(t, "first", idOf("first", "second"))
	assert.NotEmpty(t, idOf())
	assert.NotEqual(t, idOf(), idOf())
	for _, bad := range []string{"", "with space", `quote"`, "a;b", "<x>", strings.Repeat("x", 129)} {
		assert.NotEqual(t, bad, idOf(bad))
	}

	var header metadata.MD
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-request-id", "failing")
	_, err := s.Diff(ctx, &aggregatorv1.DiffRequest{}, grpc.Header(&header))
	assert.Equal(t, codes.Internal, status.Code(err))
	assert.Equal(t, []string{"failing"}, header.Get("x-request-id"))
	entries := logs.FilterMessage("call failed").All()
	require.Len(t, entries, 1)
	fields := entries[0].ContextMap()
	assert.Equal(t, "failing", fields["request_id"])
	assert.Equal(t, "store is broken", fields["reason"])
	assert.Equal(t, "/aperture.aggregator.v1.Aggregator/Diff", fields["method"])
}

func TestFailedAuthenticationIsLogged(t *testing.T) {
	s, logs := withLogs(t, withBearerToken(t, "secret"))
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer guess", "x-request-id", "who")
	_, err := s.Query(ctx, &aggregatorv1.QueryRequest{})
	assert.Equal(t, codes.Unauthenticated, status.Code(err))
	entries := logs.FilterMessage("authentication failed").All()
	require.Len(t, entries, 1)
	fields := entries[0].ContextMap()
	assert.Equal(t, "Invalid token", fields["reason"])
	assert.Equal(t, "who", fields["request_id"])
	assert.Contains(t, fields["client"], "127.0.0.1:")
	for _, e := range logs.All() {
		assert.NotContains(t, fmt.Sprint(e.Message, e.ContextMap()), "guess", "tokens are in no log")
	}
}

// Calls beyond the limit are refused retryably and before they are read, and
// there is room again when others end. Health checks are answered all the same.
func TestConcurrencyLimit(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s := startServer(t, serverOptions{
		config: func(c *Config) { c.MaxConcurrentRequests = 1 },
		next: consumeFunc(func(context.Context, pprofile.Profiles) error {
			entered <- struct{}{}
			<-release
			return nil
		}),
	})
	first := make(chan error, 1)
	go func() {
		_, err := s.Push(t.Context(), &aggregatorv1.PushRequest{Payload: examples(t)["cpu"]})
		first <- err
	}()
	<-entered
	_, err := s.Query(t.Context(), &aggregatorv1.QueryRequest{})
	st := status.Convert(err)
	assert.Equal(t, codes.ResourceExhausted, st.Code(), err)
	assert.Equal(t, "receiver is busy: 1 calls in work reached max_concurrent_requests, try again later", st.Message())
	require.Len(t, st.Details(), 1)
	assert.IsType(t, &errdetails.RetryInfo{}, st.Details()[0])
	_, err = healthpb.NewHealthClient(s.conn).Check(t.Context(), &healthpb.HealthCheckRequest{})
	require.NoError(t, err)

	close(release)
	require.NoError(t, <-first)
	for range 20 {
		require.Eventually(t, func() bool {
			_, err := s.Query(t.Context(), &aggregatorv1.QueryRequest{})
			return err == nil
		}, waitFor, pause, "the end of a call makes room")
	}
}

// Who is not known cannot make the server keep what they send: the call is over
// before its message is.
func TestRefusedBeforeTheMessage(t *testing.T) {
	s := startServer(t, withBearerToken(t, "secret"))
	stream, err := s.conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, aggregatorv1.Aggregator_Push_FullMethodName)
	require.NoError(t, err)
	// Nothing is sent, and an answer comes all the same.
	err = stream.RecvMsg(new(aggregatorv1.PushResponse))
	assert.Equal(t, codes.Unauthenticated, status.Code(err), err)
}

var _ component.Component = (*panickingAPI)(nil)
