package check

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
)

// DB is what a [Checker] needs of a [chconn.Pool].
type DB interface {
	Do(ctx context.Context, q chconn.Query) error
}

// Options configure a [Checker]. The zero value of a time or size is its default.
type Options struct {
	// Tables say where the rows are.
	Tables schema.Options
	// Lead reports whether this collector is the one that checks; nil: it is.
	Lead func() bool
	// Retention returns the shortest of anything that a tenant has.
	Retention func(tenant string) time.Duration
	// Limited says that the oldest hours may be dropped because of a limit.
	Limited bool
	// Every is how often there may be something to do (5 min). An hour is checked for
	// the first time First (15 min) and again Again (3 h) after its end: when it is
	// mostly compacted, and when what was replaced is gone. Hours that ended more
	// than Lookback (24 h) ago are not checked.
	Every, First, Again, Lookback time.Duration
	// Timeout and MaxMemoryUsage (bytes) bound every statement (1 min, 1 GiB).
	Timeout        time.Duration
	MaxMemoryUsage int64
	// OnHour is told about every hour that was checked, OnDifference about those that
	// have one, again each time that it is seen, OnError about what is tried again.
	OnHour       func(context.Context)
	OnDifference func(context.Context, Difference)
	OnError      func(context.Context, error)
}

// Difference is what was found for a tenant and hour.
type Difference struct {
	Tenant string
	Hour   time.Time
	// Batches is how many observations the windows had that batches are of, Chunks
	// how many of these are in rows that count.
	Batches, Chunks uint64
	// Missing is how many observations batches say they had beyond those of their
	// windows: something between took them out.
	Missing uint64
}

// Stored is by how many observations batches and rows differ.
func (d *Difference) Stored() uint64 { return max(d.Batches, d.Chunks) - min(d.Batches, d.Chunks) }

// Totals sum what is known now.
type Totals struct {
	// Received is the sum of Difference.Missing, Stored that of Difference.Stored.
	Received, Stored uint64
}

// hoursPerPass bounds what one pass reads.
const hoursPerPass = 4

// Checker checks hours that have ended. Totals is safe for concurrent use; Run and
// Pass are not.
type Checker struct {
	db   DB
	opts Options
	// hours are those that were checked, by Unix seconds.
	hours map[int64]*state

	mu      sync.Mutex
	totals  Totals
	leading bool
}

// state is what is known of an hour.
type state struct {
	checks int
	// found are differences by tenant, as they were seen last. What is seen once
	// may be a window that was being written.
	found map[string]Difference
	sure  map[string]Difference
}

// New returns a checker.
func New(db DB, o Options) *Checker {
	for _, d := range []struct {
		value *time.Duration
		usual time.Duration
	}{
		{&o.Every, 5 * time.Minute},
		{&o.First, 15 * time.Minute},
		{&o.Again, 3 * time.Hour},
		{&o.Lookback, 24 * time.Hour},
		{&o.Timeout, time.Minute},
	} {
		if *d.value <= 0 {
			*d.value = d.usual
		}
	}
	if o.MaxMemoryUsage <= 0 {
		o.MaxMemoryUsage = 1 << 30
	}
	return &Checker{db: db, opts: o, hours: make(map[int64]*state)}
}

// Run checks until ctx ends.
func (c *Checker) Run(ctx context.Context) {
	for ctx.Err() == nil {
		chconn.Pause(ctx, c.opts.Every)
		if err := c.Pass(ctx); err != nil && ctx.Err() == nil && c.opts.OnError != nil {
			c.opts.OnError(ctx, err)
		}
	}
	c.show(Totals{}, false)
}

// Totals returns the sums of all differences that were seen twice, and whether this
// collector checks.
func (c *Checker) Totals() (Totals, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.totals, c.leading
}

func (c *Checker) show(t Totals, leading bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.totals, c.leading = t, leading
}

// Pass checks some hours that are due, if this collector leads.
func (c *Checker) Pass(ctx context.Context) error {
	if c.opts.Lead != nil && !c.opts.Lead() {
		// What was found stays: a collector may lead again in a moment, and compares
		// once more what it knows.
		c.show(Totals{}, false)
		return nil
	}
	err := c.check(ctx)
	var t Totals
	for _, s := range c.hours {
		for _, d := range s.sure {
			t.Received += d.Missing
			t.Stored += d.Stored()
		}
	}
	c.show(t, true)
	return err
}

func (c *Checker) check(ctx context.Context) error {
	now, err := c.now(ctx)
	if err != nil {
		return err
	}
	first, err := c.first(ctx, now)
	if err != nil {
		return err
	}
	hours := c.due(first, now)
	if len(hours) == 0 {
		return nil
	}
	batches, err := c.received(ctx, hours)
	if err != nil {
		return err
	}
	cuts, err := c.deleted(ctx)
	if err != nil {
		return err
	}
	for _, h := range hours {
		sums, unknown, err := c.stored(ctx, h)
		if err != nil {
			return err
		}
		found := make(map[string]Difference)
		compare := func(tenant string) {
			b := batches[place{tenant, h}]
			d := Difference{Tenant: tenant, Hour: time.Unix(h, 0).UTC(), Batches: b.events, Chunks: sums[tenant], Missing: b.missing}
			if d.Stored() == 0 && d.Missing == 0 || unknown[tenant] || !c.whole(tenant, h, now, cuts) {
				return
			}
			found[tenant] = d
		}
		for tenant := range sums {
			compare(tenant)
		}
		for at := range batches {
			if _, done := sums[at.tenant]; at.hour == h && !done {
				compare(at.tenant)
			}
		}
		c.note(ctx, h, found)
	}
	return nil
}

// first returns the first hour that is checked. States of earlier ones are
// forgotten.
func (c *Checker) first(ctx context.Context, now int64) (int64, error) {
	since, err := c.since(ctx)
	if err != nil {
		return 0, err
	}
	// What was stored in part before the columns were there has none.
	first := max(now-int64(c.opts.Lookback/time.Second), since+hour-1)
	if c.opts.Limited {
		oldest, err := c.oldest(ctx)
		if err != nil {
			return 0, err
		}
		first = max(first, oldest+hour)
	}
	first -= first % hour
	for h := range c.hours {
		if h < first {
			delete(c.hours, h)
		}
	}
	return first, nil
}

const hour = int64(time.Hour / time.Second)

// due returns hours that are to be checked: those that were not, the newest first,
// and then those that have differences, which may be gone by now.
func (c *Checker) due(first, now int64) []int64 {
	var fresh, again []int64
	for h := now - now%hour - hour; h >= first; h -= hour {
		ended := time.Duration(now-h-hour) * time.Second
		s := c.hours[h]
		switch {
		case s == nil && ended >= c.opts.First, s != nil && len(s.found) == 0 && s.checks == 1 && ended >= c.opts.Again:
			fresh = append(fresh, h)
		case s != nil && len(s.found) > 0:
			again = append(again, h)
		}
	}
	out := append(fresh, again...)
	return out[:min(len(out), hoursPerPass)]
}

// whole reports whether both sides still have everything of an hour: what arrived for
// it came an hour before at the earliest, as clocks go.
func (c *Checker) whole(tenant string, at, now int64, cuts map[string]int64) bool {
	if cut, ok := cuts[tenant]; ok && at < cut+2*hour {
		return false
	}
	return c.opts.Retention == nil || now < at+int64(c.opts.Retention(tenant)/time.Second)
}

// note keeps what was found for an hour.
func (c *Checker) note(ctx context.Context, at int64, found map[string]Difference) {
	s := c.hours[at]
	if s == nil {
		s = new(state)
		c.hours[at] = s
	}
	sure := make(map[string]Difference)
	for tenant, d := range found {
		if s.found[tenant] == d {
			sure[tenant] = d
		}
	}
	s.found, s.sure = found, sure
	if len(found) == 0 {
		s.checks++
	}
	if c.opts.OnHour != nil {
		c.opts.OnHour(ctx)
	}
	if c.opts.OnDifference == nil {
		return
	}
	tenants := make([]string, 0, len(sure))
	for tenant := range sure {
		tenants = append(tenants, tenant)
	}
	slices.Sort(tenants)
	for _, tenant := range tenants {
		c.opts.OnDifference(ctx, sure[tenant])
	}
}
