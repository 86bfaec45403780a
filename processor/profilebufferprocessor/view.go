package profilebufferprocessor

import (
	"context"

	"go.opentelemetry.io/otel/metric"

	"github.com/aperture-collector/aperture-collector/internal/aggregate"
	"github.com/aperture-collector/aperture-collector/internal/apertureapi"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// view is what others see of the processor.
type view struct{ p *bufferProcessor }

var _ apertureapi.LiveView = view{}

// RecentBatches implements [apertureapi.LiveView].
func (v view) RecentBatches(tenant string, agentID *string, limit int) []apertureapi.BatchInfo {
	return v.p.live.recent(tenant, agentID, limit)
}

// BufferStats implements [apertureapi.LiveView].
func (v view) BufferStats() apertureapi.BufferStats {
	s := v.p.live.stats()
	s.QueueUtilization = min(float64(v.p.pending.Load())/float64(v.p.cfg.MaxPendingBytes), 1)
	return s
}

// Reader implements [apertureapi.LiveView].
func (v view) Reader() profilestore.Reader {
	if v.p.kept == nil {
		return nil
	}
	return v.p.kept
}

// observe registers the metrics that are read when they are collected.
func (p *bufferProcessor) observe() error {
	table := func() aggregate.TableStats {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.table.Stats()
	}
	for _, register := range []func() error{
		func() error {
			return p.tel.RegisterProcessorProfileBufferBatchesCallback(func(_ context.Context, o metric.Int64Observer) error {
				o.Observe(int64(p.live.stats().Batches))
				return nil
			})
		},
		func() error {
			return p.tel.RegisterProcessorProfileBufferBatchesSizeCallback(func(_ context.Context, o metric.Int64Observer) error {
				o.Observe(p.live.stats().Bytes)
				return nil
			})
		},
		func() error {
			return p.tel.RegisterProcessorProfileBufferPendingSizeCallback(func(_ context.Context, o metric.Int64Observer) error {
				o.Observe(p.pending.Load())
				return nil
			})
		},
		func() error {
			return p.tel.RegisterProcessorProfileBufferInternSizeCallback(func(_ context.Context, o metric.Int64Observer) error {
				o.Observe(table().Bytes)
				return nil
			})
		},
		func() error {
			return p.tel.RegisterProcessorProfileBufferInternEvictionsCallback(func(_ context.Context, o metric.Int64Observer) error {
				o.Observe(int64(table().Evicted))
				return nil
			})
		},
	} {
		if err := register(); err != nil {
			return err
		}
	}
	return nil
}
