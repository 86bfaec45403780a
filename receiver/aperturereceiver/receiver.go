package aperturereceiver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/config/configgrpc"
	"go.opentelemetry.io/collector/consumer/xconsumer"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"github.com/aperture-collector/aperture-collector/internal/apertureapi"
	"github.com/aperture-collector/aperture-collector/internal/syscallname"
	"github.com/aperture-collector/aperture-collector/receiver/aperturereceiver/internal/metadata"
)

// stopTimeout bounds the wait for calls in work at shutdown. Watchers of the
// health service never end their calls.
const stopTimeout = 10 * time.Second

// maxHeaderListSize is the most bytes of metadata of a call, instead of gRPC's
// 16 MiB: they are read before anything is known of the caller.
const maxHeaderListSize = 64 << 10

// connectTimeout is how long a client may take to begin speaking HTTP/2, instead
// of gRPC's two minutes.
const connectTimeout = 10 * time.Second

// apertureReceiver runs the gRPC server.
type apertureReceiver struct {
	cfg       *Config
	set       receiver.Settings
	push      *pusher
	telemetry *metadata.TelemetryBuilder

	server  *grpc.Server
	health  *health
	address net.Addr
	serving sync.WaitGroup
}

func newReceiver(cfg *Config, set receiver.Settings, next xconsumer.Profiles) (*apertureReceiver, error) {
	arch, err := syscallname.ParseArch(cfg.SyscallArchitecture)
	if err != nil {
		return nil, err
	}
	obsrep, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
		ReceiverID: set.ID, Transport: "grpc", ReceiverCreateSettings: set,
	})
	if err != nil {
		return nil, fmt.Errorf("create telemetry: %w", err)
	}
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, fmt.Errorf("create telemetry: %w", err)
	}
	return &apertureReceiver{
		cfg:       cfg,
		set:       set,
		telemetry: telemetry,
		push:      &pusher{cfg: cfg, arch: arch, next: next, obsrep: obsrep, telemetry: telemetry, converting: newConverting()},
	}, nil
}

// Start finds the API extension, listens and serves.
func (r *apertureReceiver) Start(ctx context.Context, host component.Host) error {
	svc := &service{push: r.push}
	if err := r.findAPI(svc, host); err != nil {
		return err
	}
	calls := &calls{
		logger: r.set.Logger, telemetry: r.telemetry, bearer: isBearer(&r.cfg.GRPC), limit: int64(r.cfg.MaxConcurrentRequests),
	}
	var err error
	if calls.early, err = earlyAuth(ctx, &r.cfg.GRPC, host.GetExtensions()); err != nil {
		return fmt.Errorf("create gRPC server: %w", err)
	}
	server, err := r.cfg.GRPC.ToServer(ctx, host.GetExtensions(), r.set.TelemetrySettings,
		configgrpc.WithGrpcServerOption(grpc.MaxRecvMsgSize(int(maxFrameFactor*r.cfg.MaxMessageSize))),
		configgrpc.WithGrpcServerOption(grpc.ForceServerCodecV2(newCodec())),
		//lint:ignore SA1019 the replacement is global to the process, this is for one server
		configgrpc.WithGrpcServerOption(grpc.RPCDecompressor(keepCompressed{})),
		configgrpc.WithGrpcServerOption(grpc.MaxHeaderListSize(maxHeaderListSize)),
		configgrpc.WithGrpcServerOption(grpc.ConnectionTimeout(connectTimeout)),
		configgrpc.WithGrpcServerOption(grpc.InTapHandle(calls.tap)),
		configgrpc.WithGrpcServerOption(grpc.UnaryInterceptor(calls.unary)),
		configgrpc.WithGrpcServerOption(grpc.StreamInterceptor(calls.streams)),
	)
	if err != nil {
		return fmt.Errorf("create gRPC server: %w", err)
	}
	listener, err := r.cfg.GRPC.NetAddr.Listen(ctx)
	if err != nil {
		server.Stop()
		return fmt.Errorf("listen on %s: %w", r.cfg.GRPC.NetAddr.Endpoint, err)
	}
	server.RegisterService(serviceDesc(calls), svc)
	r.health = newHealth(svc.unready())
	healthpb.RegisterHealthServer(server, r.health)
	if r.cfg.Reflection {
		reflection.Register(server)
	}
	r.server, r.address = server, listener.Addr()

	r.set.Logger.Info("Serving Aperture agents", zap.Stringer("endpoint", r.address))
	r.serving.Go(func() {
		if err := server.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			componentstatus.ReportStatus(host, componentstatus.NewFatalErrorEvent(fmt.Errorf("serve gRPC: %w", err)))
		}
	})
	return nil
}

// findAPI connects the service with the extension that `api` names.
func (r *apertureReceiver) findAPI(svc *service, host component.Host) error {
	if r.cfg.API == nil {
		return nil
	}
	ext, ok := host.GetExtensions()[*r.cfg.API]
	if !ok {
		return fmt.Errorf("find extension %q (`api`): it is not in service.extensions", r.cfg.API)
	}
	if svc.api, ok = ext.(apertureapi.QueryServer); !ok {
		return fmt.Errorf("use extension %q (`api`): it does not answer the Aperture API", r.cfg.API)
	}
	r.push.backpressure, _ = ext.(apertureapi.Backpressure)
	return nil
}

// Shutdown refuses new pushes, waits for those in work and stops the server. It
// may be called without Start and more than once.
func (r *apertureReceiver) Shutdown(ctx context.Context) error {
	if r.server == nil {
		r.telemetry.Shutdown()
		return nil
	}
	r.health.shutdown()
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		r.server.GracefulStop()
	}()
	select {
	case <-stopped:
	case <-ctx.Done():
		r.server.Stop()
		<-stopped
	}
	r.serving.Wait()
	r.telemetry.Shutdown()
	return nil
}
