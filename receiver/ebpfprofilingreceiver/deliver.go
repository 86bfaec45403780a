package ebpfprofilingreceiver

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/xconsumer"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.uber.org/zap"
)

const (
	// maxBatches bounds the batches that wait for the pipeline, beside the one
	// that it is given.
	maxBatches   = 8
	firstBackoff = 500 * time.Millisecond
	maxBackoff   = 30 * time.Second
)

type batch struct {
	pd      pprofile.Profiles
	samples int64 // of the whole host
	count   int   // Sample messages
}

// deliverer gives batches to the pipeline, in order, and tries again what it
// does not take. When it falls behind, the oldest batch is dropped.
type deliverer struct {
	next  xconsumer.Profiles
	obs   *receiverhelper.ObsReport
	log   *zap.Logger
	lost  func(reason string, samples int64)
	retry func()

	mu    sync.Mutex
	queue []batch
	wake  chan struct{}
	stop  chan struct{}
	done  chan struct{}
}

func newDeliverer(next xconsumer.Profiles, obs *receiverhelper.ObsReport, log *zap.Logger,
	lost func(string, int64), retry func(),
) *deliverer {
	return &deliverer{
		next: next, obs: obs, log: log, lost: lost, retry: retry,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
}

// put queues a batch. It never blocks.
func (d *deliverer) put(b batch) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue) == maxBatches {
		d.lost("queue_full", d.queue[0].samples)
		d.queue = append(d.queue[:0], d.queue[1:]...)
	}
	d.queue = append(d.queue, b)
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

func (d *deliverer) take() (batch, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue) == 0 {
		return batch{}, false
	}
	b := d.queue[0]
	d.queue = append(d.queue[:0], d.queue[1:]...)
	return b, true
}

// run delivers until finish is called and the queue is empty, or ctx ends.
func (d *deliverer) run(ctx context.Context) {
	defer close(d.done)
	for {
		for b, ok := d.take(); ok; b, ok = d.take() {
			d.deliver(ctx, b)
		}
		select {
		case <-d.stop:
			// finish is called after the last put, so an empty queue stays empty.
			for b, ok := d.take(); ok; b, ok = d.take() {
				d.deliver(ctx, b)
			}
			return
		case <-d.wake:
		}
	}
}

// finish makes run return after one more try of each batch that is left.
func (d *deliverer) finish() { close(d.stop) }

func (d *deliverer) deliver(ctx context.Context, b batch) {
	for backoff := firstBackoff; ; backoff = min(2*backoff, maxBackoff) {
		err := d.try(ctx, b)
		switch {
		case err == nil:
			return
		case consumererror.IsPermanent(err):
			d.log.Error("pipeline refuses profiles for good", zap.Error(err))
			d.lost("rejected", b.samples)
			return
		}
		select {
		case <-d.stop:
			d.lost("shutdown", b.samples)
			return
		default:
		}
		d.retry()
		timer := time.NewTimer(backoff)
		select {
		case <-timer.C:
		case <-d.stop: // one last try
			timer.Stop()
		}
	}
}

func (d *deliverer) try(ctx context.Context, b batch) error {
	pd := b.pd
	if d.next.Capabilities().MutatesData {
		// A try that fails may have changed the data.
		pd = pprofile.NewProfiles()
		b.pd.CopyTo(pd)
	}
	op := d.obs.StartProfilesOp(ctx)
	err := d.next.ConsumeProfiles(op, pd)
	d.obs.EndProfilesOp(op, "ebpf", b.count, err)
	return err
}
