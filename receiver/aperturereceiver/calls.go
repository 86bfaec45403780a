package aperturereceiver

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"sync/atomic"

	"go.opentelemetry.io/collector/extension/extensionauth"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcmetadata "google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"github.com/aperture-collector/aperture-collector/internal/httpserver"
	"github.com/aperture-collector/aperture-collector/receiver/aperturereceiver/internal/metadata"
)

// requestIDKey is the metadata that names a call, as X-Request-Id does in HTTP.
const requestIDKey = "x-request-id"

// calls is what every call passes before its method is reached. It is safe for
// concurrent use.
type calls struct {
	logger    *zap.Logger
	telemetry *metadata.TelemetryBuilder
	bearer    bool                 // bearer tokens are asked for
	early     extensionauth.Server // nil if there is nothing to check early
	limit     int64                // calls at a time, 0 is unlimited

	open atomic.Int64
}

// tap sees a call before anything of its message is read, so that those who may
// not call, or too many of them, take no memory.
func (c *calls) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	if isHealth(info.FullMethodName) {
		return ctx, nil
	}
	if c.early != nil {
		if _, err := c.early.Authenticate(ctx, info.Header); err != nil {
			err = refuseCaller(ctx, c.bearer, err)
			c.failed(ctx, info.FullMethodName, httpserver.NewRequestID(clientRequestID(ctx)), err)
			return nil, err
		}
	}
	if open := c.open.Add(1); c.limit > 0 && open > c.limit {
		c.open.Add(-1)
		return nil, retryable(codes.ResourceExhausted, fmt.Errorf("receiver is busy: %d calls in work reached max_concurrent_requests, try again later", c.limit))
	}
	// The context of a call ends with it.
	context.AfterFunc(ctx, func() { c.open.Add(-1) })
	return ctx, nil
}

// clientRequestID returns the identity that the client gave a call.
func clientRequestID(ctx context.Context) string {
	if values := grpcmetadata.ValueFromIncomingContext(ctx, requestIDKey); len(values) > 0 {
		return values[0]
	}
	return ""
}

// wrap returns the handler of a method of ours with all that surrounds it: the
// identity of the call, the answer to a message that is none, to a panic, and the
// log of failures. It comes before the message is decoded, which interceptors do
// not.
func (c *calls) wrap(service string, method *grpc.MethodDesc) {
	next, name := method.Handler, "/"+service+"/"+method.MethodName
	method.Handler = func(srv any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (resp any, err error) {
		id := httpserver.NewRequestID(clientRequestID(ctx))
		ctx = httpserver.WithRequestID(ctx, id)
		// It fails only outside of a server.
		_ = grpc.SetHeader(ctx, grpcmetadata.Pairs(requestIDKey, id))
		defer func() {
			if p := recover(); p != nil {
				c.telemetry.ReceiverAperturePanics.Add(context.WithoutCancel(ctx), 1)
				c.logger.Error("call panicked", zap.String("panic", fmt.Sprint(p)), zap.String("method", name),
					zap.String("request_id", id), zap.ByteString("stack", debug.Stack()))
				resp, err = nil, status.Error(codes.Internal, "internal error")
			} else if err != nil {
				c.failed(ctx, name, id, err)
			}
		}()
		return next(srv, ctx, func(v any) error { return decodeStatus(decode(v)) }, interceptor)
	}
}

// decodeStatus says of a message that cannot be decoded that it is the client's
// fault, which gRPC calls an internal error.
func decodeStatus(err error) error {
	st, ok := status.FromError(err)
	if !ok || st.Code() != codes.Internal {
		return err
	}
	message := strings.TrimPrefix(st.Message(), "grpc: error unmarshalling request: ")
	if strings.Contains(message, tooLarge) {
		return status.Error(codes.OutOfRange, message)
	}
	return status.Error(codes.InvalidArgument, "decode request: "+strings.TrimPrefix(message, "decode request: "))
}

// failed logs a call whose failure the operator should know of.
func (c *calls) failed(ctx context.Context, method, id string, err error) {
	st := status.Convert(err)
	fields := []zap.Field{
		zap.String("method", method), zap.String("code", st.Code().String()), zap.String("reason", st.Message()),
		zap.String("request_id", id),
	}
	if p, ok := peer.FromContext(ctx); ok {
		fields = append(fields, zap.Stringer("client", p.Addr))
	}
	switch st.Code() {
	case codes.Unauthenticated:
		c.logger.Warn("authentication failed", fields...)
	case codes.Internal, codes.Unknown, codes.DataLoss:
		c.logger.Warn("call failed", fields...)
	default:
		c.logger.Debug("call failed", fields...)
	}
}

// unary comes before the interceptor of the auth extension: it answers health
// checks, which need no authentication as upstream has it, and puts failures to
// authenticate in upstream's words.
func (c *calls) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if isHealth(info.FullMethod) {
		return answerHealth(ctx, info.Server, req)
	}
	resp, err := handler(ctx, req)
	if status.Code(err) == codes.Unauthenticated {
		return nil, refuseCaller(ctx, c.bearer, err)
	}
	return resp, err
}
