package profilestoreextension

import (
	"context"
	"errors"
	"math"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/life"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/metadata"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

var _ profilestore.Keeper = (*store)(nil)

// lifeLease is the name of the lease of who deletes, beside those of alerts.
const lifeLease = "profile_store/life"

func (s *store) newKeeper(c *connection) *life.Keeper {
	return life.New(c.pool, life.Options{
		Tables: s.tables(), Everywhere: c.everywhere, Retention: s.cfg.lifetimes(),
		Limits: life.Limits{MaxBytes: s.cfg.Storage.MaxBytes, MinFree: s.cfg.Storage.MinFree},
		Holder: s.holder,
		Lease: func(ctx context.Context, holder string, ttl time.Duration) (bool, error) {
			return c.alerts.Lease(ctx, lifeLease, holder, ttl)
		},
		DeleteDelay: s.cfg.deleteDelay(), MaxMemoryUsage: s.cfg.Query.MaxMemoryUsage,
		OnDropped: s.dropped, OnError: s.keepingFailed,
	})
}

// keeping ends the life of data in the background until f returns.
func (s *store) keeping(ctx context.Context, f func(context.Context)) {
	c := s.conn.Load()
	if c == nil { // ctx has ended
		return
	}
	beside(ctx, f, c.keeper.Run)
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	_ = c.keeper.Release(release)
}

func (s *store) dropped(ctx context.Context, d life.Dropped) {
	s.tele.builder.ProfileStoreRowsDropped.Add(context.WithoutCancel(ctx), int64(d.Rows),
		metric.WithAttributes(attribute.String("table", d.Table), attribute.String("reason", string(d.Reason))))
	if d.Reason == life.ByLimit {
		s.set.Logger.Warn("storage is full: the oldest hours were dropped",
			zap.String("table", d.Table), zap.Uint64("rows", d.Rows), zap.Time("until", d.Until))
	}
}

func (s *store) keepingFailed(ctx context.Context, err error) {
	s.tele.builder.ProfileStoreLifeErrors.Add(context.WithoutCancel(ctx), 1)
	s.set.Logger.Warn("deleting data failed; trying again", zap.Error(err))
}

// keep calls f with the connected keeper.
func keep[T any](s *store, f func(*life.Keeper) (T, error)) (T, error) {
	c, err := s.connected()
	if err != nil {
		var none T
		return none, err
	}
	v, err := f(c.keeper)
	return v, s.note(err)
}

// Delete implements [profilestore.Keeper], as do the other methods.
func (s *store) Delete(ctx context.Context, t profilestore.Target) (profilestore.DeleteJob, error) {
	return keep(s, func(k *life.Keeper) (profilestore.DeleteJob, error) { return k.Delete(ctx, t) })
}

func (s *store) DeleteJob(ctx context.Context, tenant, id string) (profilestore.DeleteJob, error) {
	return keep(s, func(k *life.Keeper) (profilestore.DeleteJob, error) { return k.DeleteJob(ctx, tenant, id) })
}

func (s *store) DeleteJobs(ctx context.Context, tenant string) ([]profilestore.DeleteJob, error) {
	return keep(s, func(k *life.Keeper) ([]profilestore.DeleteJob, error) { return k.DeleteJobs(ctx, tenant) })
}

func (s *store) Usage(ctx context.Context) (*profilestore.Usage, error) {
	return keep(s, func(k *life.Keeper) (*profilestore.Usage, error) { return k.Usage(ctx) })
}

// usageTimeout bounds what reading metrics waits for ClickHouse.
const usageTimeout = 2 * time.Second

// registerUsage has the figures of [profilestore.Usage] read as metrics.
func registerUsage(b *metadata.TelemetryBuilder, s *store) error {
	tables := func(figure func(*profilestore.TableUsage) uint64) metric.Int64Callback {
		return s.observeUsage(func(u *profilestore.Usage, o metric.Int64Observer) {
			for i := range u.Tables {
				t := &u.Tables[i]
				o.Observe(int64(figure(t)), metric.WithAttributes(attribute.String("table", t.Table)))
			}
		})
	}
	return errors.Join(
		b.RegisterProfileStoreTablePartsCallback(tables(func(t *profilestore.TableUsage) uint64 { return t.Parts })),
		b.RegisterProfileStoreTableRowsCallback(tables(func(t *profilestore.TableUsage) uint64 { return t.Rows })),
		b.RegisterProfileStoreTableSizeCallback(tables(func(t *profilestore.TableUsage) uint64 { return t.Bytes })),
		b.RegisterProfileStoreDiskFreeCallback(s.observeUsage(func(u *profilestore.Usage, o metric.Int64Observer) {
			for _, d := range u.Disks {
				o.Observe(int64(min(d.Free, math.MaxInt64)), metric.WithAttributes(attribute.String("disk", d.Name)))
			}
		})),
	)
}

// observeUsage observes nothing while ClickHouse does not answer.
func (s *store) observeUsage(f func(*profilestore.Usage, metric.Int64Observer)) metric.Int64Callback {
	return func(ctx context.Context, o metric.Int64Observer) error {
		ctx, cancel := context.WithTimeout(ctx, usageTimeout)
		defer cancel()
		if u, err := s.Usage(ctx); err == nil {
			f(u, o)
		}
		return nil
	}
}
