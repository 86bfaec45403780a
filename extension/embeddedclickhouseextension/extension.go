package embeddedclickhouseextension

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/otel/metric"

	"github.com/aperture-collector/aperture-collector/extension/embeddedclickhouseextension/internal/metadata"
	"github.com/aperture-collector/aperture-collector/internal/chserver"
)

// embedded is the extension. Others that need the server implement
// extensioncapabilities.Dependent, so that it starts first and stops last.
type embedded struct {
	set       extension.Settings
	cfg       *Config
	telemetry *metadata.TelemetryBuilder
	up        atomic.Int64
	server    *chserver.Server
	host      component.Host
}

var (
	_ extension.Extension       = (*embedded)(nil)
	_ chserver.EndpointProvider = (*embedded)(nil)
)

func newExtension(set extension.Settings, cfg *Config) (*embedded, error) {
	e := &embedded{set: set, cfg: cfg}
	var err error
	if e.telemetry, err = metadata.NewTelemetryBuilder(set.TelemetrySettings); err != nil {
		return nil, fmt.Errorf("create telemetry: %w", err)
	}
	err = e.telemetry.RegisterExtensionEmbeddedClickhouseUpCallback(func(_ context.Context, o metric.Int64Observer) error {
		o.Observe(e.up.Load())
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("create telemetry: %w", err)
	}
	return e, nil
}

// Start starts the server and waits at most start_timeout for it to answer. A
// server that needs longer is reported as a recoverable error: what depends on it
// waits for it by itself.
func (e *embedded) Start(ctx context.Context, host component.Host) error {
	options, err := e.options()
	if err != nil {
		return err
	}
	server, err := chserver.New(options)
	if err != nil {
		return err
	}
	e.host = host
	ctx, cancel := context.WithTimeout(ctx, e.cfg.StartTimeout)
	defer cancel()
	if err := server.Start(ctx); err != nil {
		return err
	}
	e.server = server
	if _, err := server.ClickHouse(ctx); err != nil {
		e.report(componentstatus.NewRecoverableErrorEvent(err))
	}
	return nil
}

func (e *embedded) options() (chserver.Options, error) {
	o := chserver.Options{
		DataDir:     e.cfg.DataDir,
		Launcher:    e.cfg.Launcher,
		Library:     e.cfg.Library,
		TCPPort:     e.cfg.TCPPort,
		HTTPPort:    e.cfg.HTTPPort,
		MemoryLimit: e.cfg.MemoryLimit,
		Settings:    e.cfg.settings(),
		Logger:      e.set.Logger,
		OnStatus:    e.onStatus,
	}
	var err error
	if o.Launcher == "" {
		if o.Launcher, err = chserver.FindLauncher(); err != nil {
			return o, err
		}
	}
	if o.Library == "" {
		if o.Library, err = chserver.FindLibrary(); err != nil {
			return o, err
		}
	}
	return o, nil
}

// onStatus is called by the server, one call at a time.
func (e *embedded) onStatus(s chserver.Status) {
	e.up.Store(0)
	switch s.State {
	case chserver.Starting:
		if s.Restarts > 0 {
			e.telemetry.ExtensionEmbeddedClickhouseRestarts.Add(context.Background(), 1)
		}
	case chserver.Ready:
		e.up.Store(1)
		e.report(componentstatus.NewEvent(componentstatus.StatusOK))
	case chserver.Down:
		e.report(componentstatus.NewRecoverableErrorEvent(s.Err))
	case chserver.Stopped: // the collector reports it
	}
}

func (e *embedded) report(event *componentstatus.Event) {
	componentstatus.ReportStatus(e.host, event)
}

// errNotStarted is the answer before Start.
var errNotStarted = errors.New("wait for embedded ClickHouse: the extension is not started")

// ClickHouse implements chserver.EndpointProvider.
func (e *embedded) ClickHouse(ctx context.Context) (chserver.Endpoint, error) {
	if e.server == nil {
		return chserver.Endpoint{}, errNotStarted
	}
	return e.server.ClickHouse(ctx)
}

// Shutdown stops the server and returns when it is gone.
func (e *embedded) Shutdown(ctx context.Context) error {
	defer e.telemetry.Shutdown()
	if e.server == nil {
		return nil
	}
	return e.server.Stop(ctx)
}
