package aperturereceiver

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
)

// healthInterval is how often watchers are told of a change.
const healthInterval = 250 * time.Millisecond

// health answers grpc.health.v1 for the server and its service alike. Other than
// gRPC's own implementation it remembers nothing of what it was asked for: anybody
// may ask.
type health struct {
	healthpb.UnimplementedHealthServer
	unready func() error // nil: always ready

	mu      sync.Mutex
	stopped bool
	status  healthpb.HealthCheckResponse_ServingStatus
	changed chan struct{} // closed when status changes
	stop    chan struct{}
	polling sync.WaitGroup
}

func newHealth(unready func() error) *health {
	h := &health{unready: unready, changed: make(chan struct{}), stop: make(chan struct{})}
	h.refresh()
	if unready != nil {
		h.polling.Go(h.poll)
	}
	return h
}

func (h *health) poll() {
	tick := time.NewTicker(healthInterval)
	defer tick.Stop()
	for {
		select {
		case <-h.stop:
			return
		case <-tick.C:
			h.refresh()
		}
	}
}

// refresh returns the status as it is now, and a channel that is closed when it
// is another.
func (h *health) refresh() (healthpb.HealthCheckResponse_ServingStatus, <-chan struct{}) {
	now := healthpb.HealthCheckResponse_SERVING
	if h.unready != nil && h.unready() != nil {
		now = healthpb.HealthCheckResponse_NOT_SERVING
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped {
		now = healthpb.HealthCheckResponse_NOT_SERVING
	}
	if now != h.status {
		h.status = now
		close(h.changed)
		h.changed = make(chan struct{})
	}
	return now, h.changed
}

// shutdown tells watchers that the server stops.
func (h *health) shutdown() {
	h.mu.Lock()
	if !h.stopped {
		h.stopped = true
		close(h.stop)
	}
	h.mu.Unlock()
	h.polling.Wait()
	h.refresh()
}

// isKnown says whether a name is that of the server or of its service.
func isKnown(service string) bool {
	return service == "" || service == aggregatorv1.Aggregator_ServiceDesc.ServiceName
}

// Check answers how the service is now.
func (h *health) Check(_ context.Context, req *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	if !isKnown(req.GetService()) {
		return nil, status.Error(codes.NotFound, "service not registered")
	}
	now, _ := h.refresh()
	return &healthpb.HealthCheckResponse{Status: now}, nil
}

// List answers how the server and the service are.
func (h *health) List(context.Context, *healthpb.HealthListRequest) (*healthpb.HealthListResponse, error) {
	now, _ := h.refresh()
	all := &healthpb.HealthCheckResponse{Status: now}
	return &healthpb.HealthListResponse{Statuses: map[string]*healthpb.HealthCheckResponse{
		"": all, aggregatorv1.Aggregator_ServiceDesc.ServiceName: all,
	}}, nil
}

// Watch sends how the service is, and again whenever that changes.
func (h *health) Watch(req *healthpb.HealthCheckRequest, stream grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	if !isKnown(req.GetService()) {
		// As the protocol has it, the stream goes on: the service might come.
		if err := stream.Send(&healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVICE_UNKNOWN}); err != nil {
			return err
		}
		<-stream.Context().Done()
		return status.FromContextError(stream.Context().Err()).Err()
	}
	sent := healthpb.HealthCheckResponse_UNKNOWN
	for {
		now, changed := h.refresh()
		if now != sent {
			if err := stream.Send(&healthpb.HealthCheckResponse{Status: now}); err != nil {
				return err
			}
			sent = now
		}
		select {
		case <-changed:
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		}
	}
}
