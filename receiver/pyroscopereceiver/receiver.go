package pyroscopereceiver

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"connectrpc.com/connect"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/xconsumer"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"

	"github.com/aperture-collector/aperture-collector/internal/httpserver"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/pyrotenant"
	"github.com/aperture-collector/aperture-collector/receiver/pyroscopereceiver/internal/metadata"
)

// pyroscopeReceiver answers on a listener of others.
type pyroscopeReceiver struct {
	cfg       *Config
	next      xconsumer.Profiles
	obsrep    *receiverhelper.ObsReport
	telemetry *metadata.TelemetryBuilder
	tenants   *tenants
	budget    budget
	// converting has room for the requests that are decoded at a time. Without it,
	// hundreds that came together would need their memory at once, to share the
	// processors all the same.
	converting chan struct{}

	unmount []func()

	mu       sync.Mutex
	stopping bool
	working  sync.WaitGroup // requests
}

func newReceiver(cfg *Config, set receiver.Settings, next xconsumer.Profiles) (*pyroscopeReceiver, error) {
	obsrep, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
		ReceiverID: set.ID, Transport: "http", ReceiverCreateSettings: set,
	})
	if err != nil {
		return nil, fmt.Errorf("create telemetry: %w", err)
	}
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, fmt.Errorf("create telemetry: %w", err)
	}
	return &pyroscopeReceiver{
		cfg: cfg, next: next, obsrep: obsrep, telemetry: telemetry, tenants: newTenants(cfg),
		budget: budget{limit: cfg.MaxInflightSize}, converting: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}, nil
}

// Start mounts the routes.
func (r *pyroscopeReceiver) Start(_ context.Context, host component.Host) error {
	server, err := httpserver.Find(host, r.cfg.Server, "server")
	if err != nil {
		return err
	}
	push, handler := r.pushHandler(nil)
	handler = &pushGuard{r, handler, connect.NewErrorWriter(r.pushOptions(nil)...)}
	ingest := &ingestHandler{r}
	for _, path := range []string{"/ingest", "/pyroscope/ingest"} {
		unmount, err := server.Mount("POST "+path, ingest, httpserver.Refuse(pyrotenant.Refuse))
		if err != nil {
			r.unmountAll()
			return err
		}
		r.unmount = append(r.unmount, unmount)
	}
	unmount, err := server.Mount(push, handler, httpserver.Refuse(pyrotenant.Refuse))
	if err != nil {
		r.unmountAll()
		return err
	}
	r.unmount = append(r.unmount, unmount)
	return nil
}

func (r *pyroscopeReceiver) unmountAll() {
	for _, unmount := range r.unmount {
		unmount()
	}
	r.unmount = nil
}

// stopTimeout bounds the wait for requests in work at shutdown.
const stopTimeout = 10 * time.Second

// enter counts a request as one in work, unless the receiver stops.
func (r *pyroscopeReceiver) enter() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.stopping {
		r.working.Add(1)
	}
	return !r.stopping
}

// Shutdown takes the routes away and waits for the requests in work. It may be called
// without Start and more than once.
func (r *pyroscopeReceiver) Shutdown(ctx context.Context) error {
	r.unmountAll()
	r.mu.Lock()
	first := !r.stopping
	r.stopping = true
	r.mu.Unlock()
	if !first {
		return nil
	}
	defer r.telemetry.Shutdown()
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		r.working.Wait()
	}()
	select {
	case <-stopped:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for requests: %w", ctx.Err())
	}
}
