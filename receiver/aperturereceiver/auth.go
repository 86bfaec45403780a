package aperturereceiver

import (
	"context"
	"strings"

	"go.opentelemetry.io/collector/config/configgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// bearerType is the type of the extension that checks bearer tokens.
const bearerType = "bearertokenauth"

// outermost returns the interceptor that runs before that of the auth extension.
// It answers health checks, which need no authentication as upstream has it, and
// puts failures to authenticate in upstream's words where that is what they mean.
func outermost(cfg *configgrpc.ServerConfig) grpc.UnaryServerInterceptor {
	bearer := cfg.Auth.HasValue() && cfg.Auth.Get().AuthenticatorID.Type().String() == bearerType
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		if info.FullMethod == healthpb.Health_Check_FullMethodName {
			if srv, ok := info.Server.(healthpb.HealthServer); ok {
				return srv.Check(ctx, req.(*healthpb.HealthCheckRequest))
			}
		}
		resp, err := handler(ctx, req)
		if status.Code(err) == codes.Unauthenticated {
			return nil, status.Error(codes.Unauthenticated, authMessage(ctx, bearer, status.Convert(err).Message()))
		}
		return resp, err
	}
}

// authMessage returns upstream's message, or else the extension's own.
func authMessage(ctx context.Context, bearer bool, own string) string {
	md, _ := metadata.FromIncomingContext(ctx)
	values := md.Get("authorization")
	switch {
	case len(values) == 0:
		return "Missing authorization header"
	case !bearer:
		return own
	case !strings.HasPrefix(values[0], "Bearer "):
		return "Missing Bearer prefix"
	}
	return "Invalid token"
}
