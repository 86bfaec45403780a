package profilebufferprocessor

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/xconsumer"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"

	"github.com/aperture-collector/aperture-collector/internal/aggregate"
	"github.com/aperture-collector/aperture-collector/internal/apertureapi"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/retryable"
	"github.com/aperture-collector/aperture-collector/processor/profilebufferprocessor/internal/metadata"
)

var (
	errStopping = errors.New("profile buffer is not running")
	errSlow     = errors.New("the next component took longer than `shutdown_timeout`")
)

// bufferProcessor collects pushes in the open window. One goroutine hands closed
// windows on, one after the other, while the next window collects.
type bufferProcessor struct {
	cfg    *Config
	logger *zap.Logger
	tel    *metadata.TelemetryBuilder
	next   xconsumer.Profiles
	live   *liveView
	kept   *aggregate.Recent // nil when profiles are not kept

	// splits bounds how many pushes are taken apart at a time, because each
	// needs memory in proportion to its size.
	splits chan struct{}
	// pending is the estimated size of pushes that are taken apart or wait, and
	// of windows that are not handed on.
	pending atomic.Int64

	mu        sync.Mutex
	table     *aggregate.Table
	sequences *sequences
	open      *window
	closed    []*window // oldest first
	stopping  bool

	kick       chan struct{} // tells the flusher that there is work or that it must stop
	flusher    chan struct{} // closed when the flusher has returned; nil when not started
	cancel     context.CancelFunc
	unregister func()
}

func newProcessor(set processor.Settings, cfg *Config, next xconsumer.Profiles) (*bufferProcessor, error) {
	tel, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, fmt.Errorf("create telemetry: %w", err)
	}
	p := &bufferProcessor{
		cfg:       cfg,
		logger:    set.Logger,
		tel:       tel,
		next:      next,
		live:      newLiveView(cfg.MaxBatches, cfg.MaxBytes),
		splits:    make(chan struct{}, 2*runtime.GOMAXPROCS(0)),
		table:     aggregate.NewTable(cfg.MaxInternBytes),
		sequences: newSequences(),
		kick:      make(chan struct{}, 1),
	}
	if cfg.KeepProfiles.Duration > 0 {
		p.kept = aggregate.NewRecent(cfg.KeepProfiles.Duration, cfg.KeepProfiles.MaxBytes)
	}
	return p, p.observe()
}

// Capabilities says that the data pushed is changed: it is emptied, see collect.
func (p *bufferProcessor) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

// Start begins to hand windows on and registers the view of recent batches.
func (p *bufferProcessor) Start(_ context.Context, host component.Host) error {
	if id := p.cfg.LiveView; id != nil {
		ext, ok := host.GetExtensions()[*id]
		if !ok {
			return fmt.Errorf("find `live_view`: there is no extension %q", id)
		}
		registry, ok := ext.(apertureapi.Registry)
		if !ok {
			return fmt.Errorf("find `live_view`: extension %q does not show recent batches", id)
		}
		p.unregister = registry.RegisterLiveView(view{p})
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.flusher = make(chan struct{})
	go p.flush(ctx)
	return nil
}

// Shutdown refuses further pushes, hands on what was taken and answers everyone
// who waits. When ctx ends first or the time for it is over, the rest is answered
// with an error: a next component that waits for its store may do so for ever.
func (p *bufferProcessor) Shutdown(ctx context.Context) error {
	p.mu.Lock()
	first := !p.stopping
	p.stopping = true
	p.mu.Unlock()
	if !first {
		return nil
	}
	defer p.tel.Shutdown()
	if p.unregister != nil {
		p.unregister()
	}
	if p.flusher == nil {
		return nil
	}
	p.wake()
	defer p.cancel()
	ctx, cancel := context.WithTimeoutCause(ctx, p.cfg.ShutdownTimeout, errSlow)
	defer cancel()
	select {
	case <-p.flusher:
		return nil
	case <-ctx.Done():
		p.cancel()
		<-p.flusher
		return fmt.Errorf("flush window: %w", context.Cause(ctx))
	}
}

// ConsumeProfiles takes a push and returns when its window was handed on, with
// the answer of the next component. An error that is not permanent means that
// the sender may try again; when its own context ended, the data may have been
// taken nevertheless.
func (p *bufferProcessor) ConsumeProfiles(ctx context.Context, pd pprofile.Profiles) error {
	size := pushBytes(pd)
	if err := p.reserve(ctx, size); err != nil {
		return err
	}
	w, err := p.collect(ctx, pd)
	if err != nil || w == nil {
		p.pending.Add(-size)
		return err
	}
	// From here on the window holds what it needs of the push, and counts it.
	p.pending.Add(waitCost - size)
	defer p.pending.Add(-waitCost)
	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
		return fmt.Errorf("wait for window: %w", context.Cause(ctx))
	}
}

// collect sums a push into the open window, of which it returns nil for a push that
// holds nothing. It takes the content out of pd when it has summed it: the caller
// and whoever called it hold pd until the window is handed on, which is much
// longer than anything needs it.
func (p *bufferProcessor) collect(ctx context.Context, pd pprofile.Profiles) (*window, error) {
	g, err := p.split(ctx, pd)
	if err != nil {
		return nil, err
	}
	if len(g.Groups) == 0 && len(g.Batches) == 0 {
		return nil, nil
	}
	w, err := p.add(ctx, g)
	if err != nil {
		return nil, err
	}
	pd.MoveTo(pprofile.NewProfiles())
	p.tel.ProcessorProfileBufferEvents.Add(ctx, int64(g.Events))
	g.Release()
	return w, nil
}

// reserve admits a push of that size or refuses it.
func (p *bufferProcessor) reserve(ctx context.Context, size int64) error {
	if size > p.cfg.MaxPendingBytes {
		p.refused(ctx, "invalid")
		return consumererror.NewPermanent(fmt.Errorf("push has about %d bytes; `max_pending_bytes` is %d", size, p.cfg.MaxPendingBytes))
	}
	if n := p.pending.Add(size); n > p.cfg.MaxPendingBytes {
		p.pending.Add(-size)
		p.refused(ctx, "full")
		err := fmt.Errorf("profile buffer is full: %d bytes wait to be handed on; `max_pending_bytes` is %d", n-size, p.cfg.MaxPendingBytes)
		return retryable.New(codes.ResourceExhausted, err, max(p.cfg.Window, time.Second))
	}
	return nil
}

func (p *bufferProcessor) refused(ctx context.Context, reason string) {
	p.tel.ProcessorProfileBufferRefused.Add(ctx, 1, metric.WithAttributes(attribute.String("reason", reason)))
}

// split validates a push and completes its tenants and agents.
func (p *bufferProcessor) split(ctx context.Context, pd pprofile.Profiles) (*profile.Groups, error) {
	select {
	case p.splits <- struct{}{}:
		defer func() { <-p.splits }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for profile buffer: %w", context.Cause(ctx))
	}
	g, err := p.validate(ctx, pd)
	if err != nil {
		p.refused(ctx, "invalid")
		return nil, consumererror.NewPermanent(err)
	}
	return g, nil
}

// validate takes pd apart. Its errors are permanent.
func (p *bufferProcessor) validate(ctx context.Context, pd pprofile.Profiles) (*profile.Groups, error) {
	override, err := p.headerTenant(ctx)
	if err != nil {
		return nil, err
	}
	g, err := profile.Split(pd, p.cfg.Window, p.cfg.Limits.limits())
	if err != nil {
		return nil, err
	}
	if err := p.checkLabels(g); err != nil {
		return nil, err
	}
	if err := checkTimes(g, time.Now()); err != nil {
		return nil, err
	}
	if n := aggregate.Weeks(g); n > p.cfg.Limits.MaxWeeks {
		return nil, fmt.Errorf("%w: observations fall on %d different weeks; `limits::max_weeks` is %d", profile.ErrInvalid, n, p.cfg.Limits.MaxWeeks)
	}
	return g, assignTenant(g, override)
}

// fits reports whether g may share the window: a window as a whole keeps the
// limits of a push, because that is what the next hop takes it for.
func (p *bufferProcessor) fits(w *window, g *profile.Groups) bool {
	return w.sums.Fits(g, p.cfg.Limits.MaxGroups, p.cfg.Limits.MaxWeeks)
}

// closeOpen hands the open window over.
func (p *bufferProcessor) closeOpen(w *window) {
	w.timer.Stop()
	p.closed = append(p.closed, w)
	p.open = nil
	p.wake()
}

// add sums g into the open window and closes it when it is full.
func (p *bufferProcessor) add(ctx context.Context, g *profile.Groups) (*window, error) {
	from := nameAgents(g, time.Now().UnixNano())
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopping || p.flusher == nil {
		p.refused(ctx, "stopping")
		return nil, retryable.New(codes.Unavailable, errStopping, time.Second)
	}
	for i := from; i < len(g.Batches); i++ {
		b := &g.Batches[i]
		b.Sequence = p.sequences.next(agentKey{b.Tenant, b.AgentID})
	}
	w := p.open
	if w != nil && !p.fits(w, g) {
		p.closeOpen(w)
		w = nil
	}
	if w == nil {
		w = p.newWindow()
	}
	before, dropped := w.sums.Bytes(), w.sums.ExemplarsDropped()
	w.sums.Add(g)
	if n := g.ExemplarsDropped + w.sums.ExemplarsDropped() - dropped; n > 0 {
		p.tel.ProcessorProfileBufferExemplarsDropped.Add(ctx, int64(n))
	}
	p.pending.Add(w.sums.Bytes() - before)
	if w.sums.Bytes() >= p.cfg.MaxWindowBytes || w.sums.Samples() >= p.cfg.MaxWindowSamples {
		p.closeOpen(w)
	}
	return w, nil
}
