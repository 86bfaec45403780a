package profilestoreextension

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.uber.org/zap"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/alerts"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/check"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkreader"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkwriter"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/cluster"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/life"
	"github.com/aperture-collector/aperture-collector/internal/chserver"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// store is the extension. Its state is one of two: connected, with the tables
// up to date, or away, with the reason.
type store struct {
	cfg  *Config
	set  extension.Settings
	tele *telemetry
	// holder is who this process is in leases.
	holder string

	provider chserver.EndpointProvider // nil without `embedded`
	tls      *tls.Config
	status   func(*componentstatus.Event)

	// conn is set by the connecting goroutine once the endpoint is known.
	conn atomic.Pointer[connection]
	away atomic.Pointer[error]
	// check wakes the connecting goroutine up before its time.
	check chan struct{}
	// migrate is set when a table was found missing.
	migrate    atomic.Bool
	compaction compaction

	stop context.CancelFunc
	done sync.WaitGroup
}

// connection is what there is once the endpoint is known.
type connection struct {
	pool    *chconn.Pool
	reader  *chunkreader.Reader
	writer  *chunkwriter.Writer
	alerts  *alerts.Store
	keeper  *life.Keeper
	checker *check.Checker
	cluster string // its name, "" for a single server
	// nodes are the servers of a cluster without Keeper, nil otherwise; everywhere
	// runs statements on all servers that have tables.
	nodes      *cluster.Nodes
	everywhere interface {
		Do(ctx context.Context, q chconn.Query) error
	}
	// lagging says that a query may not see what was stored before it.
	lagging bool
}

var (
	_ profilestore.Store              = (*store)(nil)
	_ extensioncapabilities.Dependent = (*store)(nil)
)

var errStarting = errors.New("not connected to ClickHouse yet")

func newStore(set extension.Settings, cfg *Config) (*store, error) {
	s := &store{cfg: cfg, set: set, holder: newHolder(), check: make(chan struct{}, 1)}
	s.setAway(errStarting)
	var err error
	if s.tele, err = newTelemetry(set.TelemetrySettings, s); err != nil {
		return nil, err
	}
	return s, nil
}

// Dependencies implements [extensioncapabilities.Dependent]: the embedded server
// starts before the store and stops after it.
func (s *store) Dependencies() []component.ID {
	if s.cfg.Embedded == nil {
		return nil
	}
	return []component.ID{*s.cfg.Embedded}
}

// Start implements [component.Component]. It does not wait for ClickHouse.
func (s *store) Start(ctx context.Context, host component.Host) error {
	if id := s.cfg.Embedded; id != nil {
		ext, ok := host.GetExtensions()[*id]
		if !ok {
			return fmt.Errorf("`embedded` is %q: there is no such extension", id)
		}
		if s.provider, ok = ext.(chserver.EndpointProvider); !ok {
			return fmt.Errorf("`embedded` is %q: the extension does not bring a ClickHouse server along", id)
		}
	}
	if c := s.cfg.TLS.Get(); c != nil {
		var err error
		if s.tls, err = c.LoadTLSConfig(ctx); err != nil {
			return fmt.Errorf("load `tls`: %w", err)
		}
	}
	s.status = func(e *componentstatus.Event) { componentstatus.ReportStatus(host, e) }
	s.status(componentstatus.NewRecoverableErrorEvent(errStarting))
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.done.Go(func() { s.run(run) })
	return nil
}

// Shutdown implements [component.Component].
func (s *store) Shutdown(context.Context) error {
	if s.stop != nil {
		s.stop()
		s.done.Wait()
	}
	s.setAway(errors.New("profile store is shut down"))
	if c := s.conn.Load(); c != nil {
		c.pool.Close()
		if c.nodes != nil {
			c.nodes.Close()
		}
	}
	s.tele.shutdown()
	return nil
}

func (s *store) setAway(err error) {
	err = fmt.Errorf("%w: %w", profilestore.ErrUnavailable, err)
	s.away.Store(&err)
}

// Ready implements [profilestore.Store].
func (s *store) Ready() error {
	if err := s.away.Load(); err != nil {
		return *err
	}
	return nil
}

func (s *store) connected() (*connection, error) {
	if err := s.Ready(); err != nil {
		return nil, err
	}
	return s.conn.Load(), nil
}

// Write implements [profilestore.Writer].
func (s *store) Write(ctx context.Context, w *profilestore.Window) error {
	c, err := s.connected()
	if err == nil {
		err = c.writer.Write(ctx, w)
	}
	if err != nil {
		s.tele.writeFailed(ctx)
	}
	return s.note(err)
}

// MergeStacks implements [profilestore.Reader].
func (s *store) MergeStacks(ctx context.Context, sel profilestore.Selector, opts profilestore.MergeOptions) (*profilestore.Merge, error) {
	c, err := s.connected()
	if err != nil {
		return nil, err
	}
	m, err := c.reader.MergeStacks(ctx, sel, opts)
	return m, s.note(err)
}

// CountEvents implements [profilestore.Reader].
func (s *store) CountEvents(ctx context.Context, sel profilestore.Selector) (uint64, error) {
	c, err := s.connected()
	if err != nil {
		return 0, err
	}
	n, err := c.reader.CountEvents(ctx, sel)
	return n, s.note(err)
}

// Batches implements [profilestore.Reader].
func (s *store) Batches(ctx context.Context, sel profilestore.Selector, limit int) ([]profile.Batch, error) {
	c, err := s.connected()
	if err != nil {
		return nil, err
	}
	b, err := c.reader.Batches(ctx, sel, limit)
	return b, s.note(err)
}

// note has the connection looked at when an error says that it should be.
func (s *store) note(err error) error {
	if errors.Is(err, profilestore.ErrUnavailable) {
		if chconn.IsException(err, proto.ErrUnknownTable, proto.ErrUnknownDatabase) {
			s.migrate.Store(true)
		}
		select {
		case s.check <- struct{}{}:
		default:
		}
	}
	return err
}

// warnAway logs the first error of an outage; the others are counted only.
func (s *store) warnAway(err error) {
	s.set.Logger.Warn("ClickHouse is not available; trying again until it is", zap.Error(err))
	s.status(componentstatus.NewRecoverableErrorEvent(err))
}

func (s *store) announceReady(took time.Duration) {
	s.set.Logger.Info("profile store is ready", zap.String("database", s.cfg.Database), zap.Duration("after", took))
	s.status(componentstatus.NewEvent(componentstatus.StatusOK))
}
