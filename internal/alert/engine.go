package alert

import (
	"context"
	"crypto/rand"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"go.uber.org/zap"
)

// The defaults of Config.
const (
	DefaultInterval = 15 * time.Second
	DefaultMaxRules = 1000
)

// leaseIntervals is how many evaluations a holder of the lease may miss.
const leaseIntervals = 3

// Config says what an Engine works with. Dialect, Store and Evaluator are needed.
type Config struct {
	// Dialect is the API whose rules are evaluated. What its rules are called is
	// IDPrefix and a number.
	Dialect, IDPrefix string

	Store     Store
	Evaluator Evaluator
	// Notifiers are told of all events; each has its own pace.
	Notifiers []Notifier

	// Interval is the time between two evaluations, DefaultInterval if it is 0.
	Interval time.Duration
	// LeaseTTL is how long the holder of the lease may be silent until another
	// replica takes its place, and how old values may be when they change a state:
	// 3 × Interval if it is 0.
	LeaseTTL time.Duration
	// Timeout bounds the search for the values, Interval if it is 0.
	Timeout time.Duration
	// MaxRules is how many rules a tenant may have, DefaultMaxRules if it is 0.
	MaxRules int

	Observer Observer
	Logger   *zap.Logger
}

func (c *Config) setDefaults() {
	if c.Interval <= 0 {
		c.Interval = DefaultInterval
	}
	if c.LeaseTTL <= 0 {
		c.LeaseTTL = leaseIntervals * c.Interval
	}
	if c.Timeout <= 0 {
		c.Timeout = c.Interval
	}
	if c.MaxRules <= 0 {
		c.MaxRules = DefaultMaxRules
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
}

// Engine evaluates the rules of a dialect, stores what changes, and has it
// delivered. Of the engines of all replicas one does so by itself, the holder of
// the lease; each answers the methods. It is safe for concurrent use.
type Engine struct {
	cfg    Config
	holder string

	receivers []*receiver
	// change is taken by who changes rules, now by who evaluates them on demand: one
	// at a time of a tenant in a process, so that replicas and not requests conflict.
	change, now turns
	// failing is whether the last evaluation failed, for the log; loop only.
	failing bool
	// firing are the events that the last evaluation repeated; loop only.
	firing []Event

	mu sync.Mutex
	// heldUntil is when the lease may be lost.
	heldUntil time.Time
	found     map[Key]found

	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// New returns an Engine that answers, but does nothing by itself before Start.
func New(cfg Config) *Engine {
	cfg.setDefaults()
	e := &Engine{
		cfg:    cfg,
		holder: rand.Text(),
		found:  map[Key]found{},
	}
	for _, n := range cfg.Notifiers {
		if r, ok := n.(Repeater); ok {
			r.LongestPause(cfg.LeaseTTL + 2*cfg.Interval)
		}
		e.receivers = append(e.receivers, newReceiver(e, n))
	}
	return e
}

// Start begins to evaluate and to deliver. It must be called at most once, and
// followed by Shutdown.
func (e *Engine) Start() {
	var ctx context.Context
	ctx, e.cancel = context.WithCancel(context.Background())
	for _, r := range e.receivers {
		e.wg.Go(func() { r.run(ctx) })
	}
	e.wg.Go(func() { e.run(ctx) })
}

// Shutdown ends what Start began, also an evaluation or delivery that hangs, and
// gives up the lease. It returns the error of ctx if they do not end in time.
func (e *Engine) Shutdown(ctx context.Context) error {
	if e.cancel == nil {
		return nil
	}
	e.cancel()
	done := make(chan struct{})
	go func() {
		e.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if e.holds() {
		e.held(time.Time{})
		// If it fails, the others wait for the end of the lease.
		_, _ = e.cfg.Store.Lease(ctx, e.cfg.Dialect, e.holder, 0)
	}
	return nil
}

// run evaluates again and again, at intervals that differ a little, so that
// replicas which were started at the same time do not stay in step.
func (e *Engine) run(ctx context.Context) {
	const parts = 10
	timer := time.NewTimer(upTo(e.cfg.Interval / parts))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		begun := time.Now()
		e.round(ctx)
		pause := e.cfg.Interval - upTo(e.cfg.Interval/parts) - time.Since(begun)
		timer.Reset(max(pause, 0))
	}
}

// upTo returns a random duration below d.
func upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return mathrand.N(d)
}

// holds reports whether no other replica can have the lease, as far as we know.
func (e *Engine) holds() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return time.Now().Before(e.heldUntil)
}

func (e *Engine) held(until time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heldUntil = until
}
