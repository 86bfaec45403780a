package aperturereceiver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/aperture-collector/aperture-collector/internal/aperturewire"
	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
	"github.com/aperture-collector/aperture-collector/receiver/aperturereceiver/internal/metadatatest"
)

// Every example arrives the same whether it is sent with gzip, as agents do, or
// without.
func TestPushExamples(t *testing.T) {
	s := startServer(t, serverOptions{})
	for name, payload := range examples(t) {
		want, samples := convertPayload(t, payload, batch{agentID: "web-1", sequence: 9, receivedAt: testNow})
		for _, opts := range [][]grpc.CallOption{nil, {grpc.UseCompressor(gzip.Name)}} {
			s.sink.Reset()
			before := time.Now().UnixNano()
			resp, err := s.Push(t.Context(), &aggregatorv1.PushRequest{AgentId: "web-1", Sequence: 9, Payload: payload}, opts...)
			require.NoError(t, err, name)
			assert.True(t, resp.Ok, name)
			assert.Empty(t, resp.Error, name)
			assert.False(t, resp.Backpressure, name)
			require.Len(t, s.sink.AllProfiles(), 1, name)
			got := s.sink.AllProfiles()[0]
			assert.Equal(t, want, dump(got), name)
			assert.Equal(t, samples, got.SampleCount(), name)
			received, ok := got.ResourceProfiles().At(0).Resource().Attributes().Get("aperture.batch.received_at")
			require.True(t, ok, name)
			assert.GreaterOrEqual(t, received.Int(), before, name)
			assert.LessOrEqual(t, received.Int(), time.Now().UnixNano(), name)
		}
	}
}

func TestPushWithoutAgentID(t *testing.T) {
	s := startServer(t, serverOptions{})
	resp, err := s.Push(t.Context(), &aggregatorv1.PushRequest{Payload: examples(t)["cpu"]})
	require.NoError(t, err)
	require.True(t, resp.Ok)
	assert.Contains(t, dump(s.sink.AllProfiles()[0]), "aperture.agent.id=unknown")
}

// What cannot be decoded is refused for good and never stored.
func TestPushRefused(t *testing.T) {
	s := startServer(t, serverOptions{})
	f := func(req *aggregatorv1.PushRequest, want string) {
		t.Helper()
		for _, opts := range [][]grpc.CallOption{nil, {grpc.UseCompressor(gzip.Name)}} {
			resp, err := s.Push(t.Context(), req, opts...)
			require.NoError(t, err)
			assert.False(t, resp.Ok)
			assert.Equal(t, want, resp.Error)
		}
	}
	f(&aggregatorv1.PushRequest{}, "decode payload: header at offset 0: payload ends too early: 20 bytes needed, 0 left")
	f(&aggregatorv1.PushRequest{Payload: bytes.Repeat([]byte{0xff}, 20)},
		"decode payload: version at offset 0: invalid value: found 4294967295, the limit is 1")
	syscall := examples(t)["syscall"]
	f(&aggregatorv1.PushRequest{Payload: syscall[:len(syscall)-1]},
		"decode payload: event 0 comm at offset 60: length exceeds the rest of the payload: found 3, the limit is 2")
	f(&aggregatorv1.PushRequest{AgentId: string(bytes.Repeat([]byte{'a'}, 1025)), Payload: syscall},
		"decode request: agent_id: found 1025 bytes, the limit is 1024")
	assert.Empty(t, s.sink.AllProfiles())

	metadatatest.AssertEqualReceiverAperturePush(t, s.telemetry, []metricdata.DataPoint[int64]{
		{Attributes: attribute.NewSet(attribute.String("status", "error")), Value: 8},
	}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
}

func TestPushTelemetry(t *testing.T) {
	s := startServer(t, serverOptions{})
	payload := examples(t)["mixed"]
	for range 3 {
		_, err := s.Push(t.Context(), &aggregatorv1.PushRequest{Payload: payload})
		require.NoError(t, err)
	}
	_, err := s.Push(t.Context(), &aggregatorv1.PushRequest{Payload: payload[:30]})
	require.NoError(t, err)
	metadatatest.AssertEqualReceiverAperturePush(t, s.telemetry, []metricdata.DataPoint[int64]{
		{Attributes: attribute.NewSet(attribute.String("status", "ok")), Value: 3},
		{Attributes: attribute.NewSet(attribute.String("status", "error")), Value: 1},
	}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
	metadatatest.AssertEqualReceiverAperturePushEvents(t, s.telemetry, []metricdata.DataPoint[int64]{{Value: 12}}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
	m, err := s.telemetry.GetMetric("otelcol_receiver_aperture_push_duration")
	require.NoError(t, err)
	h := m.Data.(metricdata.Histogram[float64]).DataPoints[0]
	assert.Equal(t, uint64(4), h.Count)
	assert.Equal(t, []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1}, h.Bounds)
	m, err = s.telemetry.GetMetric("otelcol_receiver_accepted_profile_samples")
	require.NoError(t, err)
	assert.Equal(t, int64(12), m.Data.(metricdata.Sum[int64]).DataPoints[0].Value)
}

func TestPushTenant(t *testing.T) {
	s := startServer(t, serverOptions{})
	push := func(values ...string) *aggregatorv1.PushResponse {
		ctx := t.Context()
		for _, v := range values {
			ctx = metadata.AppendToOutgoingContext(ctx, "X-Scope-OrgID", v)
		}
		resp, err := s.Push(ctx, &aggregatorv1.PushRequest{Payload: examples(t)["cpu"]})
		require.NoError(t, err)
		return resp
	}
	require.True(t, push("team-a").Ok)
	assert.Contains(t, dump(s.sink.AllProfiles()[0]), " aperture.tenant.id=team-a ")
	require.True(t, push().Ok)
	assert.NotContains(t, dump(s.sink.AllProfiles()[1]), "aperture.tenant.id")
	require.True(t, push("").Ok)
	assert.NotContains(t, dump(s.sink.AllProfiles()[2]), "aperture.tenant.id")

	assert.Equal(t, "read x-scope-orgid: found 2 values, the limit is 1", push("a", "b").Error)
	assert.Equal(t, "read x-scope-orgid: found 151 bytes, the limit is 150", push(string(bytes.Repeat([]byte{'a'}, 151))).Error)
	assert.Equal(t, `read x-scope-orgid: must not be ".."`, push("..").Error)
	assert.Contains(t, push("a/b").Error, "has a character at offset 1")
	assert.Len(t, s.sink.AllProfiles(), 3)
}

func TestPushTenantWithoutMetadata(t *testing.T) {
	s := startServer(t, serverOptions{config: func(c *Config) { c.GRPC.IncludeMetadata = false }})
	_, err := s.Push(metadata.AppendToOutgoingContext(t.Context(), "x-scope-orgid", "team-a"), &aggregatorv1.PushRequest{Payload: examples(t)["cpu"]})
	require.NoError(t, err)
	assert.NotContains(t, dump(s.sink.AllProfiles()[0]), "aperture.tenant.id")
}

func TestPushPipelineErrors(t *testing.T) {
	var fail error
	s := startServer(t, serverOptions{next: consumeFunc(func(context.Context, pprofile.Profiles) error { return fail })})
	req := &aggregatorv1.PushRequest{Payload: examples(t)["mixed"]}
	retry := func(err error, code codes.Code) {
		t.Helper()
		fail = err
		_, got := s.Push(t.Context(), req)
		st, _ := status.FromError(got)
		require.Equal(t, code, st.Code(), got)
		assert.Contains(t, st.Message(), "no room")
		require.Len(t, st.Details(), 1)
		assert.Positive(t, st.Details()[0].(*errdetails.RetryInfo).RetryDelay.AsDuration())
	}
	retry(errors.New("no room"), codes.Unavailable)
	retry(fmt.Errorf("wrapped: %w", consumererror.NewRetryableError(errors.New("no room"))), codes.Unavailable)
	retry(status.Error(codes.ResourceExhausted, "no room"), codes.ResourceExhausted)
	retry(status.Error(codes.OutOfRange, "no room"), codes.Unavailable)
	retry(retryable(codes.ResourceExhausted, errors.New("no room")), codes.ResourceExhausted)

	final := func(err error) {
		t.Helper()
		fail = err
		resp, got := s.Push(t.Context(), req)
		require.NoError(t, got)
		assert.False(t, resp.Ok)
		assert.Contains(t, resp.Error, "store batch: ")
		assert.Contains(t, resp.Error, "never")
	}
	final(consumererror.NewPermanent(errors.New("never")))
	final(status.Error(codes.InvalidArgument, "never"))
	final(consumererror.NewPermanent(status.Error(codes.Unavailable, "never")))

	fail = nil
	resp, err := s.Push(t.Context(), req)
	require.NoError(t, err)
	assert.True(t, resp.Ok)
}

// The answer comes when the pipeline has taken the batch, and a client that goes
// away takes its batch with it.
func TestPushWaitsForPipeline(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s := startServer(t, serverOptions{next: consumeFunc(func(ctx context.Context, _ pprofile.Profiles) error {
		entered <- struct{}{}
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})})
	req := &aggregatorv1.PushRequest{Payload: examples(t)["cpu"]}
	answered := make(chan error, 1)
	go func() {
		_, err := s.Push(t.Context(), req)
		answered <- err
	}()
	<-entered
	assert.Empty(t, answered)
	release <- struct{}{}
	require.NoError(t, <-answered)

	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, err := s.Push(ctx, req)
		answered <- err
	}()
	<-entered
	cancel()
	assert.Equal(t, codes.Canceled, status.Code(<-answered))
}

func TestPushBackpressure(t *testing.T) {
	ext := new(apiExtension)
	s := startServer(t, withAPI(ext))
	for _, full := range []bool{false, true, false} {
		ext.setFull(full)
		resp, err := s.Push(t.Context(), &aggregatorv1.PushRequest{Payload: examples(t)["cpu"]})
		require.NoError(t, err)
		assert.True(t, resp.Ok)
		assert.Equal(t, full, resp.Backpressure)
	}
}

func TestPushConcurrently(t *testing.T) {
	s := startServer(t, serverOptions{})
	const clients, pushes = 8, 25
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for i := range pushes {
				var enc aperturewire.Encoder
				payload := enc.AppendHeader(nil, uint64(i), i)
				for e := range i {
					payload = enc.AppendCPU(payload, &aperturewire.CPUSample{
						Timestamp: uint64(e), PID: int32(c), Comm: "c", User: []uint64{uint64(c)},
						UserSymbols: []aperturewire.Symbol{aperturewire.Some(fmt.Sprintf("f%d [client%d]", e%3, c))},
					})
				}
				resp, err := s.Push(t.Context(), &aggregatorv1.PushRequest{AgentId: fmt.Sprint(c), Sequence: uint64(i), Payload: payload}, grpc.UseCompressor(gzip.Name))
				assert.NoError(t, err)
				assert.True(t, resp.GetOk())
			}
		})
	}
	wg.Wait()
	require.Len(t, s.sink.AllProfiles(), clients*pushes)
	events := 0
	for _, pd := range s.sink.AllProfiles() {
		for _, rp := range pd.ResourceProfiles().All() {
			agent, _ := rp.Resource().Attributes().Get("aperture.agent.id")
			for _, sp := range rp.ScopeProfiles().All() {
				for _, p := range sp.Profiles().All() {
					for _, sample := range p.Samples().All() {
						events += sample.TimestampsUnixNano().Len()
						assert.Contains(t, dumpStack(pd.Dictionary(), sample.StackIndex()), "@client"+agent.Str())
					}
				}
			}
		}
	}
	assert.Equal(t, clients*pushes*(pushes-1)/2, events)
}

func sumPoints(m metricdata.Metrics) []metricdata.DataPoint[int64] {
	return m.Data.(metricdata.Sum[int64]).DataPoints
}
