package aperturereceiver

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configauth"
	"go.opentelemetry.io/collector/config/configoptional"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/aperture-collector/aperture-collector/internal/bearer/bearertest"
	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
)

// withBearerToken protects the receiver with the bearertokenauth extension.
func withBearerToken(t *testing.T, token string) serverOptions {
	id, ext := bearertest.Start(t, token)
	return serverOptions{
		config: func(c *Config) {
			c.GRPC.Auth = configoptional.Some(configauth.Config{AuthenticatorID: id})
			c.MaxMessageSize, c.MaxInflatedSize = 1000, 1000
		},
		host: host{id: ext},
	}
}

func TestAuthentication(t *testing.T) {
	s := startServer(t, withBearerToken(t, "secret"))
	push := func(req *aggregatorv1.PushRequest, authorization ...string) (*aggregatorv1.PushResponse, error) {
		ctx := t.Context()
		for _, a := range authorization {
			ctx = metadata.AppendToOutgoingContext(ctx, "authorization", a)
		}
		return s.Push(ctx, req, grpc.UseCompressor(gzip.Name))
	}
	refused := func(message string, req *aggregatorv1.PushRequest, authorization ...string) {
		t.Helper()
		_, err := push(req, authorization...)
		assert.Equal(t, codes.Unauthenticated, status.Code(err), err)
		assert.Equal(t, message, status.Convert(err).Message())
	}
	cpu := &aggregatorv1.PushRequest{Payload: examples(t)["cpu"]}
	refused("Missing authorization header", cpu)
	refused("Missing Bearer prefix", cpu, "secret")
	refused("Missing Bearer prefix", cpu, "bearer secret")
	refused("Invalid token", cpu, "Bearer wrong")
	refused("Invalid token", cpu, "Bearer ")
	// Who is not known learns nothing else: not even that the push is too large,
	// for nothing of it was inflated.
	refused("Missing authorization header", padded(t, 1_000_000, false))
	assert.Empty(t, s.sink.AllProfiles())

	resp, err := push(cpu, "Bearer secret")
	require.NoError(t, err)
	assert.True(t, resp.Ok)

	_, err = s.Query(t.Context(), &aggregatorv1.QueryRequest{})
	assert.Equal(t, codes.Unauthenticated, status.Code(err))

	health, err := healthpb.NewHealthClient(s.conn).Check(t.Context(), &healthpb.HealthCheckRequest{})
	require.NoError(t, err)
	assert.Equal(t, healthpb.HealthCheckResponse_SERVING, health.Status)

	// Failures to authenticate are not counted as pushes.
	m, err := s.telemetry.GetMetric("otelcol_receiver_aperture_push")
	require.NoError(t, err)
	require.Len(t, sumPoints(m), 1)
	assert.Equal(t, int64(1), sumPoints(m)[0].Value)
}

// Only the words of the bearer token extension are known to mean what upstream's
// mean.
func TestRefusalOfOtherExtensions(t *testing.T) {
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Basic xyz"))
	own := status.Error(codes.Unauthenticated, "own words")
	refusal := func(ctx context.Context, bearerToken bool) string {
		return status.Convert(refuseCaller(ctx, bearerToken, own)).Message()
	}
	assert.Equal(t, "own words", refusal(ctx, false))
	assert.Equal(t, "Missing Bearer prefix", refusal(ctx, true))
	assert.Equal(t, "Missing authorization header", refusal(t.Context(), false))
}
