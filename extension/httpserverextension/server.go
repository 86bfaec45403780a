package httpserverextension

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.uber.org/zap"

	"github.com/aperture-collector/aperture-collector/extension/httpserverextension/internal/metadata"
	"github.com/aperture-collector/aperture-collector/internal/httpserver"
)

var (
	_ httpserver.Server                     = (*server)(nil)
	_ extensioncapabilities.PipelineWatcher = (*server)(nil)
)

// server is the extension. Routes may be mounted before it is started and after
// it was shut down.
type server struct {
	cfg       *Config
	settings  component.TelemetrySettings
	logger    *zap.Logger
	telemetry *metadata.TelemetryBuilder

	router router
	ready  atomic.Bool
	// slots has one element per request being served; nil is unlimited.
	slots chan struct{}

	http    *http.Server
	addr    atomic.Pointer[net.Addr]
	serving sync.WaitGroup
}

func newServer(set extension.Settings, cfg *Config) (*server, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, fmt.Errorf("create telemetry: %w", err)
	}
	s := &server{
		cfg:       cfg,
		settings:  set.TelemetrySettings,
		logger:    set.Logger,
		telemetry: telemetry,
	}
	if cfg.Limits.MaxConcurrentRequests > 0 {
		s.slots = make(chan struct{}, cfg.Limits.MaxConcurrentRequests)
	}
	return s, nil
}

// Mount implements [httpserver.Server].
func (s *server) Mount(pattern string, handler http.Handler, options ...httpserver.MountOption) (func(), error) {
	return s.router.mount(pattern, handler, options)
}

// Addr implements [httpserver.Server].
func (s *server) Addr() net.Addr {
	if addr := s.addr.Load(); addr != nil {
		return *addr
	}
	return nil
}

// Ready implements [extensioncapabilities.PipelineWatcher].
func (s *server) Ready() error {
	s.ready.Store(true)
	return nil
}

// NotReady implements [extensioncapabilities.PipelineWatcher].
func (s *server) NotReady() error {
	s.ready.Store(false)
	return nil
}

// Start opens the listener. It fails if the address cannot be used; a failure
// after that is reported as the component's status.
func (s *server) Start(ctx context.Context, host component.Host) error {
	inner, err := s.cfg.ServerConfig.ToServer(ctx, host.GetExtensions(), s.settings, http.HandlerFunc(s.serve),
		confighttp.WithErrorHandler(s.writeError), confighttp.WithDecoder("zstd", unzstd), confighttp.WithDecoder("identity", asItIs))
	if err != nil {
		return fmt.Errorf("create HTTP server: %w", err)
	}
	inner.MaxHeaderBytes = s.cfg.Limits.MaxHeaderBytes
	inner.Protocols = protocols()
	listener, err := s.cfg.ServerConfig.ToListener(ctx)
	if err != nil {
		return fmt.Errorf("listen on `endpoint: %s`: %w", s.cfg.ServerConfig.NetAddr.Endpoint, err)
	}
	inner.Handler = s.guard(newOrigins(s.cfg, listener.Addr()), inner.Handler)
	s.http = inner
	addr := listener.Addr()
	s.addr.Store(&addr)
	s.logger.Info("HTTP server listening", zap.Stringer("endpoint", addr))

	s.serving.Go(func() { serveListener(host, inner, listener) })
	return nil
}

// protocols are those that clients may speak. Those of gRPC speak HTTP/2, and without
// TLS they do so from the first byte.
func protocols() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(true)
	return p
}

func serveListener(host component.Host, inner *http.Server, listener net.Listener) {
	if err := inner.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		componentstatus.ReportStatus(host, componentstatus.NewPermanentErrorEvent(
			fmt.Errorf("serve HTTP on %s: %w", listener.Addr(), err)))
	}
}

// Shutdown stops listening and waits for the requests being served, at most
// until ctx ends or `shutdown_timeout` has passed.
func (s *server) Shutdown(ctx context.Context) error {
	s.ready.Store(false)
	defer s.telemetry.Shutdown()
	if s.http == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Limits.ShutdownTimeout)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("wait for HTTP requests: %w", err), s.http.Close())
	}
	s.serving.Wait()
	s.addr.Store(nil)
	s.http = nil
	return err
}
