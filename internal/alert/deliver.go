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
	// deliveryBatch is how many events are sent at once: one request of a webhook, so
	// that what it has taken is not sent again because of what it has not.
	deliveryBatch = 64
	// maxAside is how many rules are put aside at once. Beyond that the receiver is
	// taken to be away.
	maxAside = 1000
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
	// size is how many events are sent at once: a quarter of those that were not
	// taken, until the one that is at fault is alone. It grows again when there are no
	// suspects left: events that were sent together with it.
	size, suspects int
	// aside are rules with an event that was not taken even alone. They are tried
	// again later, in the order of their events, and do not hold up others.
	aside map[Key]*aside

	mu sync.Mutex
	// firing is what is to be repeated, nil if it was.
	firing []Event
}

// aside is when a rule is tried again.
type aside struct {
	until   time.Time
	backoff time.Duration
}

func newReceiver(e *Engine, n Notifier) *receiver {
	return &receiver{e: e, n: n, woken: make(chan struct{}, 1), size: deliveryBatch, aside: map[Key]*aside{}}
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
			r.backoff = r.longer(r.backoff)
			wait := r.backoff/2 + upTo(r.backoff)
			r.notBefore = time.Now().Add(wait)
			retry.Reset(wait)
			r.e.cfg.Logger.Warn("Alert events cannot be delivered, will try again",
				zap.String("receiver", r.n.Name()), zap.Duration("wait", wait), zap.Error(err))
			continue
		}
		r.backoff = 0
		if at, ok := r.nextAside(); ok {
			// Not at once, as it would be tried in vain without the lease.
			retry.Reset(max(time.Until(at), firstBackoff))
		}
	}
}

// longer returns the backoff after another failure.
func (r *receiver) longer(backoff time.Duration) time.Duration {
	return min(max(2*backoff, min(firstBackoff, r.e.cfg.Interval)), maxBackoff)
}

// nextAside returns when the first rule that was put aside is tried again.
func (r *receiver) nextAside() (next time.Time, ok bool) {
	for _, a := range r.aside {
		if !ok || a.until.Before(next) {
			next, ok = a.until, true
		}
	}
	return next, ok
}

// skipped returns the rules that are not tried now. Those whose events are too old
// by now are forgotten.
func (r *receiver) skipped() []Key {
	var keys []Key
	for k, a := range r.aside {
		switch wait := time.Until(a.until); {
		case wait > 0:
			keys = append(keys, k)
		case wait < -2*maxBackoff:
			delete(r.aside, k)
		}
	}
	return keys
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
		events, err := store.Undelivered(ctx, dialect, name, time.Now().Add(-deliverySince), r.skipped(), deliveryBatch)
		if err != nil {
			return fmt.Errorf("read events: %w", err)
		}
		if len(events) == 0 {
			return nil
		}
		inOrder(events)
		last := len(events) < deliveryBatch && len(events) <= r.size
		events = events[:min(r.size, len(events))]
		if err := r.send(ctx, events); err != nil {
			r.failed(events)
			return err
		}
		r.taken(events)
		markCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), markTimeout)
		err = store.Delivered(markCtx, dialect, name, events)
		cancel()
		if err != nil {
			return fmt.Errorf("mark events as delivered: %w", err)
		}
		if last {
			return nil
		}
	}
	return nil
}

// failed makes the next attempt smaller, or leaves out the rule that is at fault.
func (r *receiver) failed(events []Event) {
	r.size, r.suspects = max(len(events)/4, 1), len(events)
	if len(events) > 1 || len(r.aside) >= maxAside {
		return
	}
	a := r.aside[events[0].Key]
	if a == nil {
		a = &aside{}
		r.aside[events[0].Key] = a
	}
	r.suspects = 0
	a.backoff = r.longer(a.backoff)
	a.until = time.Now().Add(a.backoff/2 + upTo(a.backoff))
}

// taken makes the next attempt larger.
func (r *receiver) taken(events []Event) {
	r.backoff = 0
	if r.suspects -= len(events); r.suspects <= 0 {
		r.size = min(2*r.size, deliveryBatch)
	}
	for i := range events {
		delete(r.aside, events[i].Key)
	}
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
