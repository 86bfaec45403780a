package life

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ClickHouse/ch-go"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// Options configure a [Keeper]. The zero value of a time or size is its default.
type Options struct {
	// Tables say where the rows are. Their retention is the longest of all.
	Tables schema.Options
	// Everywhere runs statements on all servers that have rows of the tables; nil if
	// the servers see to that themselves.
	Everywhere DB
	// Retention says how long rows live that live shorter.
	Retention Retention
	// Limits bound what the tables take.
	Limits Limits
	// Holder names this process among those that may work on the same tables, and
	// Lease takes or renews the right to do so; see alert.Store. Without it, all do.
	Holder string
	Lease  func(ctx context.Context, holder string, ttl time.Duration) (bool, error)
	// DeleteDelay is how long rows stay that were replaced (10 min). It must be that
	// of the compactor, which stores what it made of rows within half of it.
	DeleteDelay time.Duration
	// Every is how often there is something to do (10 s), and Sweep how often
	// retention and limits are looked at (1 min).
	Every, Sweep time.Duration
	// Timeout and MaxMemoryUsage (bytes) bound every statement (1 min, 1 GiB).
	Timeout        time.Duration
	MaxMemoryUsage int64
	// OnDropped is told what was asked to be deleted for good, and OnError what will
	// be tried again.
	OnDropped func(context.Context, Dropped)
	OnError   func(context.Context, error)
}

// Reason is why rows were deleted.
type Reason string

// Reasons.
const (
	ByJob       Reason = "job"
	ByRetention Reason = "retention"
	ByLimit     Reason = "limit"
)

// Dropped describes rows that were asked to be deleted for good.
type Dropped struct {
	Reason Reason
	Table  string
	Rows   uint64
	// Until is the end of the last hour that was dropped for a limit.
	Until time.Time
}

// Keeper deletes data. Its methods are safe for concurrent use, but Run, which may
// be called once.
type Keeper struct {
	t    tables
	opts Options
	wake chan struct{}

	usage  usage
	asked  map[string]asked
	rounds map[string]*round // by job
	turn   time.Duration
	swept  time.Time
}

// asked says that rows were asked to be deleted: when, and how many there were.
type asked struct {
	at   time.Time
	rows uint64
}

var _ profilestore.Keeper = (*Keeper)(nil)

// New returns a keeper.
func New(db DB, o Options) *Keeper {
	set := func(d *time.Duration, usual time.Duration) {
		if *d <= 0 {
			*d = usual
		}
	}
	set(&o.DeleteDelay, 10*time.Minute)
	set(&o.Every, 10*time.Second)
	set(&o.Sweep, time.Minute)
	set(&o.Timeout, time.Minute)
	if o.MaxMemoryUsage <= 0 {
		o.MaxMemoryUsage = 1 << 30
	}
	if o.Everywhere == nil {
		o.Everywhere = db
	}
	return &Keeper{
		t:    tables{db: db, everywhere: o.Everywhere, options: o.Tables, timeout: o.Timeout, memory: o.MaxMemoryUsage},
		opts: o, wake: make(chan struct{}, 1), asked: make(map[string]asked),
		rounds: make(map[string]*round), turn: turn,
	}
}

// Run does what is to be done until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	tick := time.NewTicker(k.opts.Every)
	defer tick.Stop()
	for ctx.Err() == nil {
		if err := k.Pass(ctx); err != nil && ctx.Err() == nil {
			k.failed(ctx, err)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-k.wake:
		}
	}
}

func (k *Keeper) failed(ctx context.Context, err error) {
	if k.opts.OnError != nil {
		k.opts.OnError(ctx, err)
	}
}

func (k *Keeper) dropped(ctx context.Context, d Dropped) {
	if k.opts.OnDropped != nil {
		k.opts.OnDropped(ctx, d)
	}
}

// Pass does once what is due, if the lease can be had.
func (k *Keeper) Pass(ctx context.Context) error {
	if ok, err := k.lead(ctx); err != nil || !ok {
		return err
	}
	jobs, err := k.unfinished(ctx)
	if err != nil {
		return err
	}
	busy := make(map[string]bool)
	left := make(map[string]bool)
	for i := range jobs {
		busy[jobs[i].target.Tenant], left[jobs[i].id] = true, true
	}
	maps.DeleteFunc(k.rounds, func(id string, _ *round) bool { return !left[id] })
	// First rounds are in a hurry, see turn. Who is not through with it is before all
	// others again.
	slices.SortStableFunc(jobs, func(a, b job) int { return cmp.Compare(min(a.fence, 1), min(b.fence, 1)) })
	var errs []error
	hurry := false
	for i := range jobs {
		first := jobs[i].fence == 0
		if !first && hurry {
			break
		}
		err := k.work(ctx, &jobs[i])
		hurry = hurry || first && err == nil && jobs[i].fence == 0
		if err != nil {
			if ctx.Err() != nil {
				return err
			}
			// One job must not stop the others.
			errs = append(errs, err)
		}
		if ok, err := k.lead(ctx); err != nil || !ok {
			return errors.Join(append(errs, err)...)
		}
	}
	if time.Since(k.swept) >= k.opts.Sweep {
		k.swept = time.Now()
		errs = append(errs, k.sweep(ctx, busy), k.limit(ctx))
	}
	return errors.Join(errs...)
}

// again has the next pass begin at once.
func (k *Keeper) again() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// leaseTime is how long nobody else works when this process dies.
const leaseTime = time.Minute

func (k *Keeper) lead(ctx context.Context) (bool, error) {
	if k.opts.Lease == nil {
		return true, nil
	}
	return k.opts.Lease(ctx, k.opts.Holder, leaseTime)
}

// Release lets somebody else take the lease at once. It may be called when Run has
// returned.
func (k *Keeper) Release(ctx context.Context) error {
	if k.opts.Lease == nil {
		return nil
	}
	_, err := k.opts.Lease(ctx, k.opts.Holder, 0)
	return err
}

// now is the time of the server in Unix milliseconds.
func (k *Keeper) now(ctx context.Context) (int64, error) {
	n, err := k.t.number(ctx, "clock", chconn.Query{Query: ch.Query{Body: "SELECT toUInt64(toUnixTimestamp64Milli(now64(3)))"}})
	return int64(n), err
}

// once reports whether something may be asked for: not again while nothing has
// changed, for some time, because the server does it in the background.
func (k *Keeper) once(what string, rows uint64) bool {
	if a, ok := k.asked[what]; ok && a.rows == rows && time.Since(a.at) < k.opts.DeleteDelay {
		return false
	}
	k.asked[what] = asked{time.Now(), rows}
	return true
}

// forget forgets what was asked for long ago.
func (k *Keeper) forget() {
	for what, a := range k.asked {
		if time.Since(a.at) > 2*k.opts.DeleteDelay {
			delete(k.asked, what)
		}
	}
}

// usage is the cache of [Keeper.Usage].
type usage struct {
	mu   sync.Mutex
	last *profilestore.Usage
	took time.Time
	// failed is why there was no answer the last time.
	failed error
	// dropped, oldest and short are of limits.
	dropped, oldest time.Time
	short           string
}
