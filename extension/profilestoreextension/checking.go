package profilestoreextension

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/check"
)

func (s *store) newChecker(c *connection) *check.Checker {
	lifetimes := s.cfg.lifetimes()
	return check.New(c.pool, check.Options{
		Tables: s.tables(), Lead: s.compaction.leads, Retention: lifetimes.Shortest,
		Limited: s.cfg.Storage != StorageConfig{}, MaxMemoryUsage: s.cfg.Query.MaxMemoryUsage,
		OnHour:       func(ctx context.Context) { s.tele.builder.ProfileStoreCheckedHours.Add(context.WithoutCancel(ctx), 1) },
		OnDifference: s.unaccounted,
		OnError: func(_ context.Context, err error) {
			s.set.Logger.Warn("comparing batches with stored sums failed; trying again", zap.Error(err))
		},
	})
}

// checking compares in the background until f returns.
func (s *store) checking(ctx context.Context, f func(context.Context)) {
	c := s.conn.Load()
	if c == nil { // ctx has ended
		return
	}
	beside(ctx, f, c.checker.Run)
}

func (s *store) unaccounted(_ context.Context, d check.Difference) {
	s.set.Logger.Warn("batches and what is stored differ: see docs/durability.md",
		zap.String("tenant", d.Tenant), zap.Time("hour", d.Hour), zap.Uint64("in_windows", d.Batches), zap.Uint64("in_chunks", d.Chunks),
		zap.Uint64("missing_in_windows", d.Missing))
}

// observeUnaccounted observes nothing on collectors that do not check.
func (s *store) observeUnaccounted(_ context.Context, o metric.Int64Observer) error {
	c := s.conn.Load()
	if c == nil {
		return nil
	}
	if t, leads := c.checker.Totals(); leads {
		o.Observe(int64(min(t.Received, 1<<62)), stageOf("received"))
		o.Observe(int64(min(t.Stored, 1<<62)), stageOf("stored"))
	}
	return nil
}

func stageOf(what string) metric.ObserveOption {
	return metric.WithAttributes(attribute.String("stage", what))
}
