package profilestoreextension

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/metadata"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// telemetry counts what the store does.
type telemetry struct {
	builder *metadata.TelemetryBuilder
}

func newTelemetry(set component.TelemetrySettings, s *store) (*telemetry, error) {
	b, err := metadata.NewTelemetryBuilder(set)
	if err != nil {
		return nil, fmt.Errorf("build telemetry: %w", err)
	}
	connected := func(read func(*connection) int64) metric.Int64Callback {
		return func(_ context.Context, o metric.Int64Observer) error {
			if c := s.conn.Load(); c != nil {
				o.Observe(read(c))
			}
			return nil
		}
	}
	err = errors.Join(
		registerUsage(b, s),
		b.RegisterProfileStoreUnaccountedEventsCallback(s.observeUnaccounted),
		b.RegisterProfileStoreUpCallback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(flag(s.Ready() == nil))
			return nil
		}),
		b.RegisterProfileStoreCompactionBacklogCallback(connected(func(*connection) int64 { b, _ := s.compaction.backlog(); return int64(b.Rows) })),
		b.RegisterProfileStoreCompactionLeaderCallback(func(_ context.Context, o metric.Int64Observer) error {
			_, leads := s.compaction.backlog()
			o.Observe(flag(leads))
			return nil
		}),
		b.RegisterProfileStoreCompactionOldestCallback(func(_ context.Context, o metric.Float64Observer) error {
			b, _ := s.compaction.backlog()
			o.Observe(b.Oldest.Seconds())
			return nil
		}),
		b.RegisterProfileStoreStackCacheSizeCallback(connected(func(c *connection) int64 { return c.reader.Stacks().Stats().Bytes })),
		b.RegisterProfileStoreStackCacheHitsCallback(connected(func(c *connection) int64 { return c.reader.Stacks().Stats().Hits })),
		b.RegisterProfileStoreStackCacheMissesCallback(connected(func(c *connection) int64 { return c.reader.Stacks().Stats().Misses })),
		b.RegisterProfileStoreStackDictionarySizeCallback(connected(func(c *connection) int64 { return c.reader.Dictionaries().Stats().Bytes })),
		b.RegisterProfileStoreStackDictionaryHitsCallback(connected(func(c *connection) int64 { return c.reader.Dictionaries().Stats().Hits })),
		b.RegisterProfileStoreStackDictionaryMissesCallback(connected(func(c *connection) int64 { return c.reader.Dictionaries().Stats().Misses })),
		b.RegisterProfileStoreStacksWaitingCallback(connected(func(*connection) int64 { return int64(s.compaction.waiting()) })),
		b.RegisterProfileStoreStacksAbsentCallback(connected(func(c *connection) int64 { return c.reader.Stacks().Stats().Absent })),
		b.RegisterProfileStoreDictionaryCacheEntriesCallback(connected(func(c *connection) int64 { return int64(c.writer.KnownEntries()) })),
	)
	if err != nil {
		b.Shutdown()
		return nil, fmt.Errorf("register telemetry: %w", err)
	}
	return &telemetry{builder: b}, nil
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func (t *telemetry) shutdown() { t.builder.Shutdown() }

func (t *telemetry) query(ctx context.Context, name string, took time.Duration, err error) {
	ctx = context.WithoutCancel(ctx)
	query := attribute.String("query", name)
	t.builder.ProfileStoreQueries.Add(ctx, 1, metric.WithAttributes(query, attribute.String("outcome", outcome(err))))
	t.builder.ProfileStoreQueryDuration.Record(ctx, took.Seconds(), metric.WithAttributes(query))
}

func (t *telemetry) rows(ctx context.Context, table string, rows int, took time.Duration) {
	set := metric.WithAttributes(attribute.String("table", table))
	t.builder.ProfileStoreRowsWritten.Add(ctx, int64(rows), set)
	t.builder.ProfileStoreInsertDuration.Record(ctx, took.Seconds(), set)
}

func (t *telemetry) writeFailed(ctx context.Context) {
	t.builder.ProfileStoreWriteErrors.Add(context.WithoutCancel(ctx), 1)
}

func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "canceled"
	case errors.Is(err, profilestore.ErrLimit):
		return "limit"
	case errors.Is(err, profilestore.ErrUnavailable):
		return "unavailable"
	}
	return "error"
}
