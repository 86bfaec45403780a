package aperturereceiver

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configgrpc"
	"go.opentelemetry.io/collector/extension/extensionauth"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/aperture-collector/aperture-collector/internal/bearer"
)

// isBearer says whether bearer tokens are asked for.
func isBearer(cfg *configgrpc.ServerConfig) bool {
	return cfg.Auth.HasValue() && cfg.Auth.Get().AuthenticatorID.Type().String() == bearer.ExtensionType
}

// earlyAuth returns the extension that checks bearer tokens, nil if they are not
// asked for. It may be asked before a call is read, because it only compares;
// others may take their time, which a connection must not be held up for.
func earlyAuth(ctx context.Context, cfg *configgrpc.ServerConfig, extensions map[component.ID]component.Component) (extensionauth.Server, error) {
	if !isBearer(cfg) {
		return nil, nil
	}
	return cfg.Auth.Get().GetServerAuthenticator(ctx, extensions)
}

// refuseCaller puts a failure to authenticate in upstream's words, where that is
// what it means.
func refuseCaller(ctx context.Context, bearerToken bool, err error) error {
	md, _ := metadata.FromIncomingContext(ctx)
	values := md.Get("authorization")
	message := status.Convert(err).Message()
	if bearerToken || len(values) == 0 {
		message = bearer.Refusal(values)
	}
	return status.Error(codes.Unauthenticated, message)
}

// isHealth tells the calls of the health service, which anybody may make.
func isHealth(method string) bool {
	switch method {
	case healthpb.Health_Check_FullMethodName, healthpb.Health_List_FullMethodName, healthpb.Health_Watch_FullMethodName:
		return true
	}
	return false
}

// answerHealth answers a unary call of the health service without asking who
// calls.
func answerHealth(ctx context.Context, server any, req any) (any, error) {
	health := server.(healthpb.HealthServer)
	switch req := req.(type) {
	case *healthpb.HealthCheckRequest:
		return health.Check(ctx, req)
	case *healthpb.HealthListRequest:
		return health.List(ctx, req)
	}
	return nil, status.Errorf(codes.Unimplemented, "unknown request %T", req)
}

// streams answers watchers of the health service without asking who they are,
// and passes other streams, which are those of reflection, on.
func (c *calls) streams(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if info.FullMethod == healthpb.Health_Watch_FullMethodName {
		req := new(healthpb.HealthCheckRequest)
		if err := stream.RecvMsg(req); err != nil {
			return err
		}
		return srv.(healthpb.HealthServer).Watch(req, &grpc.GenericServerStream[healthpb.HealthCheckRequest, healthpb.HealthCheckResponse]{ServerStream: stream})
	}
	err := handler(srv, stream)
	if status.Code(err) == codes.Unauthenticated {
		return refuseCaller(stream.Context(), c.bearer, err)
	}
	return err
}
