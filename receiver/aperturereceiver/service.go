package aperturereceiver

import (
	"context"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"

	"github.com/aperture-collector/aperture-collector/internal/apertureapi"
	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
)

// notConfigured is upstream's answer of a server without a store; clients show it.
const notConfigured = "storage not configured (enable ClickHouse)"

// service is the Aggregator service. Push has a handler of its own, because its
// request is not decoded by gRPC; the other methods are passed on.
type service struct {
	aggregatorv1.UnimplementedAggregatorServer
	push *pusher
	api  apertureapi.QueryServer // nil without an extension
}

// unready returns what tells whether queries are answered, nil if they always are.
func (s *service) unready() func() error {
	if r, ok := s.api.(apertureapi.Readiness); ok {
		return r.Unready
	}
	return nil
}

// serviceDesc returns the generated description of the service with our Push, its
// methods surrounded by c.
func serviceDesc(c *calls) *grpc.ServiceDesc {
	desc := aggregatorv1.Aggregator_ServiceDesc
	desc.Methods = slices.Clone(desc.Methods)
	i := slices.IndexFunc(desc.Methods, func(m grpc.MethodDesc) bool { return m.MethodName == "Push" })
	desc.Methods[i].Handler = handlePush
	for i := range desc.Methods {
		c.wrap(desc.ServiceName, &desc.Methods[i])
	}
	return &desc
}

func handlePush(srv any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
	msg := new(rawMessage)
	if err := decode(msg); err != nil {
		return nil, err
	}
	defer msg.release()
	// gRPC would compress the few bytes of the answer because the request was
	// compressed. Outside of a server, which is where it fails, nothing compresses.
	_ = grpc.SetSendCompressor(ctx, encoding.Identity)
	push := func(ctx context.Context, _ any) (any, error) { return srv.(*service).push.push(ctx, msg) }
	if interceptor == nil {
		return push(ctx, msg)
	}
	info := &grpc.UnaryServerInfo{Server: srv, FullMethod: aggregatorv1.Aggregator_Push_FullMethodName}
	return interceptor(ctx, msg, info, push)
}

func (s *service) Query(ctx context.Context, req *aggregatorv1.QueryRequest) (*aggregatorv1.QueryResponse, error) {
	if s.api == nil {
		return &aggregatorv1.QueryResponse{Error: notConfigured}, nil
	}
	return s.api.Query(ctx, req)
}

func (s *service) QueryStorage(ctx context.Context, req *aggregatorv1.QueryStorageRequest) (*aggregatorv1.QueryResponse, error) {
	if s.api == nil {
		return &aggregatorv1.QueryResponse{Error: notConfigured}, nil
	}
	return s.api.QueryStorage(ctx, req)
}

func (s *service) Aggregate(ctx context.Context, req *aggregatorv1.AggregateRequest) (*aggregatorv1.AggregateResponse, error) {
	if s.api == nil {
		return &aggregatorv1.AggregateResponse{Error: notConfigured}, nil
	}
	return s.api.Aggregate(ctx, req)
}

func (s *service) Diff(ctx context.Context, req *aggregatorv1.DiffRequest) (*aggregatorv1.DiffResponse, error) {
	if s.api == nil {
		return &aggregatorv1.DiffResponse{Error: notConfigured}, nil
	}
	return s.api.Diff(ctx, req)
}
