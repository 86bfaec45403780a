package profilestoreextension

import (
	"context"
	"crypto/rand"
	"os"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/compact"
)

// compaction is what this collector saw last of the rows that wait, while it was
// the one that compacts.
type compaction struct {
	rows   atomic.Int64
	oldest atomic.Int64 // nanoseconds
	pass   atomic.Int64 // when the last one began, Unix nanoseconds

	// Of the compacting goroutine: errors since the last pass began, and whether the
	// first of a row of them was logged.
	errors  int
	failing bool
}

// leads reports whether this collector compacted a moment ago.
func (c *compaction) leads() bool {
	return time.Since(time.Unix(0, c.pass.Load())) < time.Minute
}

// releaseTimeout bounds giving the lease back.
const releaseTimeout = 2 * time.Second

// compacting compacts in the background until f returns.
func (s *store) compacting(ctx context.Context, f func(context.Context)) {
	c := s.conn.Load()
	if c == nil { // ctx has ended
		return
	}
	compactor := compact.New(c.pool, compact.Options{
		Tables: s.cfg.tables(), Holder: s.holder, Rules: compact.Rules{DeleteDelay: s.cfg.deleteDelay()},
		MaxMemoryUsage: s.cfg.Query.MaxMemoryUsage, Lagging: c.lagging,
		OnPass: s.compactionPass, OnMade: s.tele.compacted, OnDeleted: s.tele.deleted, OnError: s.compactionFailed,
	})
	run, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		compactor.Run(run)
	}()
	f(ctx)
	stop()
	<-done
	s.compaction.pass.Store(0)
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	// Whoever waits for it has it when it ends, too.
	_ = compactor.Release(release)
}

// newHolder returns a name for the lease that no other process has.
func newHolder() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return host + "/" + rand.Text()
}

func (s *store) compactionPass(_ context.Context, b compact.Backlog) {
	c := &s.compaction
	c.pass.Store(time.Now().UnixNano())
	c.rows.Store(int64(b.Rows))
	c.oldest.Store(int64(b.Oldest))
	if c.failing && c.errors == 0 {
		c.failing = false
		s.set.Logger.Info("compacting goes on")
	}
	c.errors = 0
}

// compactionFailed logs the first of several errors; the others are counted only.
func (s *store) compactionFailed(ctx context.Context, err error) {
	s.tele.builder.ProfileStoreCompactionErrors.Add(context.WithoutCancel(ctx), 1)
	c := &s.compaction
	c.errors++
	if !c.failing {
		c.failing = true
		s.set.Logger.Warn("compacting failed; trying again", zap.Error(err))
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

func (t *telemetry) deleted(ctx context.Context, rows int) {
	t.builder.ProfileStoreCompactionRows.Add(context.WithoutCancel(ctx), int64(rows), outcomeOf("deleted"))
}

func outcomeOf(what string) metric.AddOption {
	return metric.WithAttributes(attribute.String("outcome", what))
}
