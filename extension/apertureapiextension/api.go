package apertureapiextension

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.uber.org/zap"

	"github.com/aperture-collector/aperture-collector/extension/apertureapiextension/internal/metadata"
	"github.com/aperture-collector/aperture-collector/internal/apertureapi"
	"github.com/aperture-collector/aperture-collector/internal/flame"
	"github.com/aperture-collector/aperture-collector/internal/httpserver"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

var (
	_ apertureapi.QueryServer               = (*api)(nil)
	_ apertureapi.Registry                  = (*api)(nil)
	_ extensioncapabilities.Dependent       = (*api)(nil)
	_ extensioncapabilities.PipelineWatcher = (*api)(nil)
)

// api is the extension.
type api struct {
	cfg    *Config
	logger *zap.Logger
	tel    *metadata.TelemetryBuilder
	// telemetry is for clients of others.
	telemetry component.TelemetrySettings

	views  views
	scrape *scraper
	live   *liveAnswers
	// store is nil if none is configured. It is set before routes are mounted
	// and receivers start.
	store profilestore.Store
	// forest makes the trees of what comes from the store, whose stacks are shared.
	forest *flame.Forest
	// alerts is nil before Start.
	alerts *alerts
	// ready is true while the pipelines run.
	ready   atomic.Bool
	unmount []func()
}

func newAPI(set extension.Settings, cfg *Config) (*api, error) {
	tel, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, fmt.Errorf("create telemetry: %w", err)
	}
	return &api{
		cfg: cfg, logger: set.Logger, tel: tel, telemetry: set.TelemetrySettings, scrape: newScraper(cfg.TelemetryEndpoint, tel),
		live:   newLiveAnswers(cfg.ShareLiveAnswers),
		forest: flame.NewForest(forestSize, folded),
	}, nil
}

// Dependencies implements [extensioncapabilities.Dependent].
func (a *api) Dependencies() []component.ID {
	ids := []component.ID{a.cfg.Server}
	if a.cfg.Store != nil {
		ids = append(ids, *a.cfg.Store)
	}
	return append(ids, a.cfg.Alerts.extensions()...)
}

// Start mounts the routes. It does not wait for the store.
func (a *api) Start(ctx context.Context, host component.Host) error {
	if a.cfg.Store != nil {
		ext, ok := host.GetExtensions()[*a.cfg.Store]
		if !ok {
			return fmt.Errorf("find extension `store: %s`: not in service::extensions", a.cfg.Store)
		}
		if a.store, ok = ext.(profilestore.Store); !ok {
			return fmt.Errorf("find extension `store: %s`: it is no profile store", a.cfg.Store)
		}
	}
	server, err := httpserver.Find(host, a.cfg.Server, "server")
	if err != nil {
		return err
	}
	if err := a.startAlerts(ctx, host); err != nil {
		return err
	}
	if err := a.mount(server); err != nil {
		a.unmountAll()
		return errors.Join(err, a.alerts.shutdown(ctx))
	}
	return nil
}

// Shutdown takes the routes away and ends what runs in the background.
func (a *api) Shutdown(ctx context.Context) error {
	a.ready.Store(false)
	a.unmountAll()
	var err error
	if a.alerts != nil {
		err = a.alerts.shutdown(ctx)
	}
	a.live.close()
	a.scrape.close()
	a.tel.Shutdown()
	return err
}

func (a *api) unmountAll() {
	for _, unmount := range a.unmount {
		unmount()
	}
	a.unmount = nil
}

// Ready implements [extensioncapabilities.PipelineWatcher].
func (a *api) Ready() error {
	a.ready.Store(true)
	return nil
}

// NotReady implements [extensioncapabilities.PipelineWatcher].
func (a *api) NotReady() error {
	a.ready.Store(false)
	return nil
}

// notReady says why the API cannot answer in full, nil if it can.
func (a *api) notReady() error {
	if !a.ready.Load() {
		return errors.New("the pipelines are not running")
	}
	if a.store != nil {
		if err := a.store.Ready(); err != nil {
			return fmt.Errorf("profile store: %w", err)
		}
	}
	return nil
}

// RegisterLiveView implements [apertureapi.Registry].
func (a *api) RegisterLiveView(view apertureapi.LiveView) (unregister func()) {
	return a.views.add(view)
}

// Backpressure implements [apertureapi.Backpressure]. Besides the live views it
// looks at the queues of the exporters of profiles.
func (a *api) Backpressure() bool {
	return a.views.queueUtilization() > apertureapi.BackpressureThreshold ||
		a.scrape.queueUtilization() > apertureapi.BackpressureThreshold
}

func (a *api) mount(server httpserver.Server) error {
	for _, route := range a.routes() {
		unmount, err := server.Mount(route.pattern, route.handler, route.options...)
		if err != nil {
			return err
		}
		a.unmount = append(a.unmount, unmount)
	}
	return nil
}

type route struct {
	pattern string
	handler http.HandlerFunc
	options []httpserver.MountOption
}

func (a *api) routes() []route {
	always := []httpserver.MountOption{httpserver.Always()}
	probe := []httpserver.MountOption{httpserver.Always(), httpserver.Public()}
	routes := []route{
		{"GET /healthz", a.healthz, probe},
		{"GET /readyz", a.readyz, probe},
		{"GET /metrics", a.metrics, always},
		{"GET /api/health", a.health, always},
		{"POST /api/aggregate", a.traced(a.aggregateHTTP), nil},
		{"POST /api/diff", a.traced(a.diffHTTP), nil},
		{"GET /api/batches", a.traced(a.batchesHTTP), nil},
		{"GET /api/export/json", a.traced(a.exportJSON), nil},
		{"GET /api/export/collapsed", a.traced(a.exportCollapsed), nil},
		{"GET /api/export/pprof", a.traced(a.exportPprof), nil},
		{"GET /api/export/speedscope", a.traced(a.exportSpeedscope), nil},
		{"GET /api/export/svg", a.traced(a.exportSVG), nil},
		{"GET /api/export/otlp", a.traced(a.exportOTLP), nil},
		{"GET /debug/pprof/profile", a.debugPprofProfile, nil},
	}
	return append(append(routes, a.dataRoutes()...), a.alertRoutes()...)
}
