package alert

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// deliverySince is for how long an event is worth telling. Alerts that still fire
	// after that are repeated by receivers that want it.
	deliverySince = 24 * time.Hour
	// deliveryBatch is how many events are sent at once.
	deliveryBatch = 100
	// deliveryTimeout ends an attempt of a notifier that does not end it itself.
	deliveryTimeout = 2 * time.Minute
	// markTimeout is how long is tried to mark as delivered what was delivered, also
	// while we are shut down.
	markTimeout = 5 * time.Second

	firstBackoff = time.Second
	maxBackoff   = 5 * time.Minute
)

// receiver is a notifier with a pace of its own, so that one which is away or slow
// delays nobody.
type receiver struct {
	e       *Engine
	n       Notifier
	woken   chan struct{}
	backoff time.Duration
	// notBefore is when it is tried again after a failure.
	notBefore time.Time

	mu sync.Mutex
	// firing is what is to be repeated, nil if it was.
	firing []Event
}

func newReceiver(e *Engine, n Notifier) *receiver {
	return &receiver{e: e, n: n, woken: make(chan struct{}, 1)}
}

// wake has events delivered, and firing repeated if it is not nil. What was to be
// repeated before and was not is out of date.
func (r *receiver) wake(firing []Event) {
	if firing != nil {
		r.mu.Lock()
		r.firing = firing
		r.mu.Unlock()
	}
	select {
	case r.woken <- struct{}{}:
	default:
	}
}

// run works until ctx ends.
func (r *receiver) run(ctx context.Context) {
	retry := time.NewTimer(0)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.woken:
		case <-retry.C:
		}
		// Before the events: if an alert was resolved in the meantime, that is the
		// last thing to be told.
		r.repeat(ctx)
		if wait := time.Until(r.notBefore); wait > 0 {
			retry.Reset(wait)
			continue
		}
		if err := r.deliver(ctx); err != nil && ctx.Err() == nil {
			r.backoff = min(max(2*r.backoff, min(firstBackoff, r.e.cfg.Interval)), maxBackoff)
			wait := r.backoff/2 + upTo(r.backoff)
			r.notBefore = time.Now().Add(wait)
			retry.Reset(wait)
			r.e.cfg.Logger.Warn("Alert events cannot be delivered, will try again",
				zap.String("receiver", r.n.Name()), zap.Duration("wait", wait), zap.Error(err))
			continue
		}
		r.backoff = 0
	}
}

// repeat tells what is firing.
func (r *receiver) repeat(ctx context.Context) {
	r.mu.Lock()
	firing := r.firing
	r.firing = nil
	r.mu.Unlock()
	n, ok := r.n.(Repeater)
	if !ok || firing == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, deliveryTimeout)
	defer cancel()
	if err := n.Repeat(ctx, time.Now().UTC(), firing); err != nil {
		r.e.cfg.Observer.delivery(ctx, n.Name(), DeliveryFailed, len(firing))
	}
}

// deliver sends what the receiver does not have, while we hold the lease.
func (r *receiver) deliver(ctx context.Context) error {
	for r.e.holds() {
		store, dialect, name := r.e.cfg.Store, r.e.cfg.Dialect, r.n.Name()
		events, err := store.Undelivered(ctx, dialect, name, time.Now().Add(-deliverySince), deliveryBatch)
		if err != nil {
			return fmt.Errorf("read events: %w", err)
		}
		if len(events) == 0 {
			return nil
		}
		inOrder(events)
		if err := r.send(ctx, events); err != nil {
			return err
		}
		markCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), markTimeout)
		err = store.Delivered(markCtx, dialect, name, events)
		cancel()
		if err != nil {
			return fmt.Errorf("mark events as delivered: %w", err)
		}
		if len(events) < deliveryBatch {
			return nil
		}
	}
	return nil
}

// send sends events. Those that are refused for good count as sent.
func (r *receiver) send(ctx context.Context, events []Event) error {
	sendCtx, cancel := context.WithTimeout(ctx, deliveryTimeout)
	defer cancel()
	status, err := DeliveryOK, r.n.Notify(sendCtx, events)
	switch {
	case errors.Is(err, ErrPermanent):
		status = DeliveryDropped
		r.e.cfg.Logger.Error("Alert events were refused and are dropped",
			zap.String("receiver", r.n.Name()), zap.Int("events", len(events)), zap.Error(err))
		err = nil
	case err != nil:
		status, err = DeliveryFailed, fmt.Errorf("notify: %w", err)
	}
	r.e.cfg.Observer.delivery(ctx, r.n.Name(), status, len(events))
	return err
}

// inOrder puts the events of each rule in the order they happened, where clocks
// that do not agree have given them times in another one.
func inOrder(events []Event) {
	places := map[Key][]int{}
	for i := range events {
		places[events[i].Key] = append(places[events[i].Key], i)
	}
	for _, at := range places {
		rule := make([]Event, len(at))
		for n, i := range at {
			rule[n] = events[i]
		}
		slices.SortFunc(rule, func(a, b Event) int { return cmp.Compare(a.Seq, b.Seq) })
		for n, i := range at {
			events[i] = rule[n]
		}
	}
}
