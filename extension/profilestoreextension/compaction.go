package profilestoreextension

import (
	"context"
	"crypto/rand"
	"os"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/compact"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/stackdict"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/cluster"
)

// compaction is what this collector saw last of the rows that wait, by part of the
// services, while it was the one that compacts the part.
type compaction struct {
	mu    sync.Mutex
	parts map[int]*partCompaction
}

type partCompaction struct {
	compact.Backlog
	// waiting are the rows of the log of stacks that could not be drained.
	waiting uint64
	led     time.Time // when the lease was renewed last
	counted bool      // a pass has set the backlog
	// errors are those since the last pass began, failing says that the first of a row
	// was logged.
	errors  int
	failing bool
}

// part returns one of the parts. The caller holds the lock.
func (c *compaction) part(n int) *partCompaction {
	if c.parts == nil {
		c.parts = make(map[int]*partCompaction)
	}
	p := c.parts[n]
	if p == nil {
		p = new(partCompaction)
		c.parts[n] = p
	}
	return p
}

// leads reports whether this collector had the lease a moment ago.
func (p *partCompaction) leads() bool { return time.Since(p.led) < time.Minute }

// backlog sums the parts that this collector compacts, and reports whether there are
// any.
func (c *compaction) backlog() (out compact.Backlog, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.parts {
		if p.counted && p.leads() {
			out.Rows += p.Rows
			out.Oldest = max(out.Oldest, p.Oldest)
			ok = true
		}
	}
	return out, ok
}

// waiting sums the rows of logs that the last attempts to empty them left.
func (c *compaction) waiting() (n uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.parts {
		n += p.waiting
	}
	return n
}

// leads reports whether this collector had the lease of the first part a moment ago.
func (c *compaction) leads() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.parts[0]
	return p != nil && p.leads()
}

// lead notes that the lease of a part was renewed.
func (c *compaction) lead(part int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.part(part).led = time.Now()
}

// stopped forgets what was seen.
func (c *compaction) stopped() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.parts = nil
}

// releaseTimeout bounds giving the lease back.
const releaseTimeout = 2 * time.Second

// compacting compacts in the background until f returns.
func (s *store) compacting(ctx context.Context, f func(context.Context)) {
	c := s.conn.Load()
	if c == nil { // ctx has ended
		return
	}
	parts, err := c.parts(ctx)
	if err != nil && ctx.Err() == nil {
		s.compactionFailed(ctx, 0, err)
	}
	compactors := make([]*compact.Compactor, parts)
	runs := make([]func(context.Context), parts)
	for i := range compactors {
		compactors[i] = s.newCompactor(c, i, parts)
		runs[i] = compactors[i].Run
	}
	beside(ctx, f, runs...)
	s.compaction.stopped()
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	for _, one := range compactors {
		// Whoever waits for it has it when it ends, too.
		_ = one.Release(release)
	}
}

// parts returns how many compactors share the services: one for each shard. Those
// of other collectors may count differently for a while.
func (c *connection) parts(ctx context.Context) (int, error) {
	if c.cluster == "" {
		return 1, nil
	}
	shards, err := cluster.Shards(ctx, c.pool, c.cluster)
	return max(len(shards), 1), err
}

func (s *store) newCompactor(c *connection, part, parts int) *compact.Compactor {
	var logs func(context.Context, func(context.Context, compact.DB) error) error
	if c.nodes != nil {
		logs = func(ctx context.Context, f func(context.Context, compact.DB) error) error {
			return c.nodes.Some(ctx, part, parts, func(ctx context.Context, node *chconn.Pool) error { return f(ctx, node) })
		}
	}
	return compact.New(c.pool, compact.Options{
		Tables: s.tables(), Everywhere: c.everywhere, Part: part, Parts: parts, Holder: s.holder,
		Rules: compact.Rules{DeleteDelay: s.cfg.deleteDelay()}, MaxMemoryUsage: s.cfg.Query.MaxMemoryUsage, Lagging: c.lagging,
		OnLead: func(context.Context) { s.compaction.lead(part) },
		OnPass: func(_ context.Context, b compact.Backlog) { s.compactionPass(part, b) },
		OnMade: s.tele.compacted, OnDeleted: s.tele.deleted,
		Logs: logs, OnDrained: func(ctx context.Context, d stackdict.Drained) { s.drained(ctx, part, d) },
		OnError: func(ctx context.Context, err error) { s.compactionFailed(ctx, part, err) },
	})
}

// newHolder returns a name for the lease that no other process has.
func newHolder() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return host + "/" + rand.Text()
}

func (s *store) compactionPass(part int, b compact.Backlog) {
	c := &s.compaction
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.part(part)
	p.counted, p.Backlog = true, b
	if p.failing && p.errors == 0 {
		p.failing = false
		s.set.Logger.Info("compacting goes on", zap.Int("part", part))
	}
	p.errors = 0
}

// compactionFailed logs the first of several errors; the others are counted only.
func (s *store) compactionFailed(ctx context.Context, part int, err error) {
	s.tele.builder.ProfileStoreCompactionErrors.Add(context.WithoutCancel(ctx), 1)
	c := &s.compaction
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.part(part)
	p.errors++
	if !p.failing {
		p.failing = true
		s.set.Logger.Warn("compacting failed; trying again", zap.Int("part", part), zap.Error(err))
	}
}

func (t *telemetry) compacted(ctx context.Context, m compact.Made) {
	ctx = context.WithoutCancel(ctx)
	made, replaced := outcomeOf("made"), outcomeOf("replaced")
	t.builder.ProfileStoreCompactionRows.Add(ctx, 1, made)
	t.builder.ProfileStoreCompactionRows.Add(ctx, int64(m.Rows), replaced)
	t.builder.ProfileStoreCompactionBytes.Add(ctx, m.After, made)
	t.builder.ProfileStoreCompactionBytes.Add(ctx, m.Bytes, replaced)
	t.builder.ProfileStoreCompactionIncidences.Add(ctx, m.Incidences)
	t.builder.ProfileStoreCompactionDuration.Record(ctx, m.Took.Seconds(), metric.WithAttributes(attribute.Int("level", int(m.Level))))
}

func (s *store) drained(ctx context.Context, part int, d stackdict.Drained) {
	s.tele.builder.ProfileStoreStacksDrained.Add(context.WithoutCancel(ctx), int64(d.Rows))
	c := &s.compaction
	c.mu.Lock()
	defer c.mu.Unlock()
	c.part(part).waiting = d.Waiting
}

func (t *telemetry) deleted(ctx context.Context, rows int) {
	t.builder.ProfileStoreCompactionRows.Add(context.WithoutCancel(ctx), int64(rows), outcomeOf("deleted"))
}

func outcomeOf(what string) metric.AddOption {
	return metric.WithAttributes(attribute.String("outcome", what))
}
