package aperturereceiver

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
)

const (
	waitFor = 10 * time.Second
	pause   = time.Millisecond
)

const (
	serving    = healthpb.HealthCheckResponse_SERVING
	notServing = healthpb.HealthCheckResponse_NOT_SERVING
)

// switchedAPI is ready or not.
type switchedAPI struct {
	apiExtension
	away atomic.Bool
}

func (a *switchedAPI) Unready() error {
	if a.away.Load() {
		return errors.New("store is away")
	}
	return nil
}

func switched() (*switchedAPI, serverOptions) {
	api := new(switchedAPI)
	o := withAPI(&api.apiExtension)
	o.host[apiID] = api
	return api, o
}

var names = []string{"", "aperture.aggregator.v1.Aggregator"}

func TestHealth(t *testing.T) {
	api, o := switched()
	client := healthpb.NewHealthClient(startServer(t, o).conn)
	check := func(want healthpb.HealthCheckResponse_ServingStatus) {
		t.Helper()
		for _, name := range names {
			for _, opts := range [][]grpc.CallOption{nil, {grpc.UseCompressor(gzip.Name)}} {
				resp, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: name}, opts...)
				require.NoError(t, err)
				assert.Equal(t, want, resp.Status)
			}
		}
		list, err := client.List(t.Context(), &healthpb.HealthListRequest{})
		require.NoError(t, err)
		require.Len(t, list.Statuses, len(names))
		assert.Equal(t, want, list.Statuses[names[1]].Status)
	}
	check(serving)
	api.away.Store(true)
	check(notServing)
	api.away.Store(false)
	check(serving)
	_, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "other"})
	assert.Equal(t, codes.NotFound, status.Code(err))
	assert.Equal(t, "service not registered", status.Convert(err).Message())
}

func TestHealthWithoutReadiness(t *testing.T) {
	s := startServer(t, serverOptions{})
	resp, err := healthpb.NewHealthClient(s.conn).Check(t.Context(), &healthpb.HealthCheckRequest{})
	require.NoError(t, err)
	assert.Equal(t, serving, resp.Status)
}

// Watchers are told of changes, and that the server stops.
func TestHealthWatch(t *testing.T) {
	api, o := switched()
	s := startServer(t, o)
	for _, name := range names {
		watch, err := healthpb.NewHealthClient(s.conn).Watch(t.Context(), &healthpb.HealthCheckRequest{Service: name})
		require.NoError(t, err)
		for range 2 {
			for _, want := range []healthpb.HealthCheckResponse_ServingStatus{serving, notServing} {
				api.away.Store(want == notServing)
				resp, err := watch.Recv()
				require.NoError(t, err)
				assert.Equal(t, want, resp.Status)
			}
		}
		api.away.Store(false)
	}
	unknown, err := healthpb.NewHealthClient(s.conn).Watch(t.Context(), &healthpb.HealthCheckRequest{Service: "other"})
	require.NoError(t, err)
	resp, err := unknown.Recv()
	require.NoError(t, err)
	assert.Equal(t, healthpb.HealthCheckResponse_SERVICE_UNKNOWN, resp.Status)

	watch, err := healthpb.NewHealthClient(s.conn).Watch(t.Context(), &healthpb.HealthCheckRequest{})
	require.NoError(t, err)
	resp, err = watch.Recv()
	require.NoError(t, err)
	assert.Equal(t, serving, resp.Status)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.NoError(t, s.receiver.Shutdown(ctx))
	resp, err = watch.Recv()
	require.NoError(t, err)
	assert.Equal(t, notServing, resp.Status)
	_, err = watch.Recv()
	assert.Equal(t, codes.Unavailable, status.Code(err))
}

// Health needs no token, reflection does.
func TestHealthAndReflectionWithToken(t *testing.T) {
	o := withBearerToken(t, "secret")
	protect := o.config
	o.config = func(c *Config) {
		protect(c)
		c.Reflection = true
	}
	s := startServer(t, o)
	client := healthpb.NewHealthClient(s.conn)
	_, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{})
	require.NoError(t, err)
	_, err = client.List(t.Context(), &healthpb.HealthListRequest{})
	require.NoError(t, err)
	watch, err := client.Watch(t.Context(), &healthpb.HealthCheckRequest{})
	require.NoError(t, err)
	_, err = watch.Recv()
	require.NoError(t, err)

	_, err = reflected(t.Context(), s)
	assert.Equal(t, codes.Unauthenticated, status.Code(err))
	assert.Equal(t, "Missing authorization header", status.Convert(err).Message())
	services, err := reflected(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer secret"), s)
	require.NoError(t, err)
	assert.Contains(t, services, "aperture.aggregator.v1.Aggregator")
	assert.Contains(t, services, "grpc.health.v1.Health")
}

// reflected lists the services.
func reflected(ctx context.Context, s *testServer) ([]string, error) {
	stream, err := reflectionpb.NewServerReflectionClient(s.conn).ServerReflectionInfo(ctx, grpc.UseCompressor(gzip.Name))
	if err != nil {
		return nil, err
	}
	// A failure is told by Recv.
	_ = stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}})
	resp, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, svc := range resp.GetListServicesResponse().GetService() {
		out = append(out, svc.GetName())
	}
	return out, nil
}

func TestReflection(t *testing.T) {
	_, err := reflected(t.Context(), startServer(t, serverOptions{}))
	assert.Equal(t, codes.Unimplemented, status.Code(err), "off by default")

	s := startServer(t, serverOptions{config: func(c *Config) { c.Reflection = true }})
	services, err := reflected(t.Context(), s)
	require.NoError(t, err)
	assert.Equal(t, []string{"aperture.aggregator.v1.Aggregator", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"}, services)

	// The messages of both versions are the same.
	stream, err := s.conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true},
		"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
	require.NoError(t, err)
	require.NoError(t, stream.SendMsg(&reflectionpb.ServerReflectionRequest{
		MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "aperture.aggregator.v1.Aggregator"},
	}))
	resp := new(reflectionpb.ServerReflectionResponse)
	require.NoError(t, stream.RecvMsg(resp))
	assert.NotEmpty(t, resp.GetFileDescriptorResponse().GetFileDescriptorProto())
}
