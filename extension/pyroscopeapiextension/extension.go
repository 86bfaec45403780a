package pyroscopeapiextension

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"connectrpc.com/connect"
	"github.com/grafana/pyroscope/api/gen/proto/go/adhocprofiles/v1/adhocprofilesv1connect"
	"github.com/grafana/pyroscope/api/gen/proto/go/capabilities/v1/capabilitiesv1connect"
	"github.com/grafana/pyroscope/api/gen/proto/go/querier/v1/querierv1connect"
	"github.com/grafana/pyroscope/api/gen/proto/go/settings/v1/settingsv1connect"
	"github.com/grafana/pyroscope/api/gen/proto/go/status/v1/statusv1connect"
	"github.com/grafana/pyroscope/api/gen/proto/go/vcs/v1/vcsv1connect"
	"github.com/grafana/pyroscope/api/gen/proto/go/version/v1/versionv1connect"
	"github.com/klauspost/compress/gzhttp"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.uber.org/zap"

	"github.com/aperture-collector/aperture-collector/extension/pyroscopeapiextension/internal/metadata"
	"github.com/aperture-collector/aperture-collector/internal/flame"
	"github.com/aperture-collector/aperture-collector/internal/httpserver"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

var (
	_ extension.Extension             = (*api)(nil)
	_ extensioncapabilities.Dependent = (*api)(nil)
)

// api is the extension.
type api struct {
	cfg    *Config
	logger *zap.Logger
	tel    *metadata.TelemetryBuilder
	now    func() time.Time

	// store is set before routes are mounted.
	store profilestore.Store
	names *labelNames
	// forest makes the trees of what comes from the store, whose stacks are shared.
	forest *flame.Forest
	// keep has settings and ad hoc profiles.
	keep    keeper
	id      component.ID
	build   component.BuildInfo
	slots   slots
	unmount []func()
}

// forestSize is for the call paths of some 100,000 stacks, in bytes.
const forestSize = 64 << 20

func newAPI(set extension.Settings, cfg *Config) (*api, error) {
	tel, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, fmt.Errorf("create telemetry: %w", err)
	}
	return &api{cfg: cfg, logger: set.Logger, tel: tel, now: time.Now, id: set.ID, build: set.BuildInfo, forest: flame.NewForest(forestSize, flame.Options{})}, nil
}

// Dependencies implements [extensioncapabilities.Dependent].
func (a *api) Dependencies() []component.ID {
	ids := []component.ID{a.cfg.Server, a.cfg.Store}
	if a.cfg.Storage != nil {
		ids = append(ids, *a.cfg.Storage)
	}
	return ids
}

// Start mounts the routes. It does not wait for the store.
func (a *api) Start(ctx context.Context, host component.Host) error {
	ext, ok := host.GetExtensions()[a.cfg.Store]
	if !ok {
		return fmt.Errorf("find extension `store: %s`: not in service::extensions", a.cfg.Store)
	}
	if a.store, ok = ext.(profilestore.Store); !ok {
		return fmt.Errorf("find extension `store: %s`: it is no profile store", a.cfg.Store)
	}
	a.names = &labelNames{store: a.store}
	server, err := httpserver.Find(host, a.cfg.Server, "server")
	if err != nil {
		return err
	}
	if a.keep, err = openKeeper(ctx, host, a.cfg.Storage, a.id); err != nil {
		return err
	}
	for _, r := range a.routes() {
		unmount, err := server.Mount(r.pattern, r.handler, r.options...)
		if err != nil {
			a.unmountAll()
			return errors.Join(err, a.keep.Close(ctx))
		}
		a.unmount = append(a.unmount, unmount)
	}
	return nil
}

// Shutdown takes the routes away.
func (a *api) Shutdown(ctx context.Context) error {
	a.unmountAll()
	a.tel.Shutdown()
	if a.keep == nil {
		return nil
	}
	return a.keep.Close(ctx)
}

func (a *api) unmountAll() {
	for _, unmount := range a.unmount {
		unmount()
	}
	a.unmount = nil
}

type route struct {
	pattern string
	handler http.Handler
	options []httpserver.MountOption
}

// maxQuery is the largest message of a query in bytes.
const maxQuery = 4 << 20

func (a *api) routes() []route {
	options := []connect.HandlerOption{connect.WithCodec(codec{}), connect.WithReadMaxBytes(maxQuery), connect.WithCompressMinBytes(1 << 10)}
	large := append(slices.Clone(options), connect.WithReadMaxBytes(maxAdhocMessage))
	s := &small{api: a}
	var out []route
	service := func(path string, handler http.Handler) { out = append(out, route{path, handler, nil}) }
	service(querierv1connect.NewQuerierServiceHandler(&querier{a}, options...))
	service(settingsv1connect.NewSettingsServiceHandler(&settings{api: a}, options...))
	service(settingsv1connect.NewRecordingRulesServiceHandler(settingsv1connect.UnimplementedRecordingRulesServiceHandler{}, options...))
	service(adhocprofilesv1connect.NewAdHocProfileServiceHandler(&adhoc{api: a}, large...))
	service(versionv1connect.NewVersionHandler(s, options...))
	service(capabilitiesv1connect.NewFeatureFlagsServiceHandler(s, options...))
	service(statusv1connect.NewStatusServiceHandler(s, options...))
	service(vcsv1connect.NewVCSServiceHandler(vcsv1connect.UnimplementedVCSServiceHandler{}, options...))
	probe := []httpserver.MountOption{httpserver.Always(), httpserver.Public()}
	return append(out,
		route{"GET /pyroscope/render", gzhttp.GzipHandler(a.traced("render", a.render)), nil},
		route{"GET /pyroscope/render-diff", gzhttp.GzipHandler(a.traced("render_diff", a.renderDiff)), nil},
		route{"GET /pyroscope/label-values", gzhttp.GzipHandler(http.HandlerFunc(a.labelValues)), nil},
		route{"GET /ready", http.HandlerFunc(a.readyz), probe},
		route{"GET /api/v1/status/buildinfo", http.HandlerFunc(a.buildInfo), []httpserver.MountOption{httpserver.Always()}},
	)
}
