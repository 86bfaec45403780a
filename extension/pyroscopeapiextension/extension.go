package pyroscopeapiextension

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"github.com/grafana/pyroscope/api/gen/proto/go/querier/v1/querierv1connect"
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
	forest  *flame.Forest
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
	return &api{cfg: cfg, logger: set.Logger, tel: tel, now: time.Now, forest: flame.NewForest(forestSize, flame.Options{})}, nil
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
func (a *api) Start(_ context.Context, host component.Host) error {
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
	for _, r := range a.routes() {
		unmount, err := server.Mount(r.pattern, r.handler, r.options...)
		if err != nil {
			a.unmountAll()
			return err
		}
		a.unmount = append(a.unmount, unmount)
	}
	return nil
}

// Shutdown takes the routes away.
func (a *api) Shutdown(context.Context) error {
	a.unmountAll()
	a.tel.Shutdown()
	return nil
}

func (a *api) unmountAll() {
	for _, unmount := range a.unmount {
		unmount()
	}
	a.unmount = nil
}

// ready says why the API cannot answer, nil if it can.
func (a *api) ready() error {
	if a.store == nil {
		return errors.New("not started")
	}
	return a.store.Ready()
}

type route struct {
	pattern string
	handler http.Handler
	options []httpserver.MountOption
}

// maxQuery is the largest message of a query in bytes.
const maxQuery = 4 << 20

func (a *api) routes() []route {
	options := []connect.HandlerOption{connect.WithReadMaxBytes(maxQuery), connect.WithCompressMinBytes(1 << 10)}
	path, handler := querierv1connect.NewQuerierServiceHandler(&querier{a}, options...)
	return []route{{path, handler, nil}}
}
