package alert

import (
	"context"
	"time"
)

// DeliveryStatus is how an attempt to deliver events ended.
type DeliveryStatus string

// The statuses of deliveries. Events that failed are sent again; those that were
// dropped were refused with ErrPermanent.
const (
	DeliveryOK      DeliveryStatus = "ok"
	DeliveryFailed  DeliveryStatus = "failed"
	DeliveryDropped DeliveryStatus = "dropped"
)

// Observer is told what an Engine does, for metrics. Each function may be nil; they
// are called from several goroutines and must not block.
type Observer struct {
	// Evaluated is told how many rules an evaluation was about, how many of them
	// have no value because of an error, and how long finding the values took.
	Evaluated func(ctx context.Context, rules, failed int, took time.Duration)
	// Failed is told why an evaluation was given up.
	Failed func(ctx context.Context, err error)
	// Rules is told by the holder of the lease how many rules there are, and how
	// many fire.
	Rules func(ctx context.Context, rules, firing int)
	// Event is told of each event this process has stored.
	Event func(ctx context.Context, e Event)
	// Delivery is told of each attempt to deliver events to a receiver.
	Delivery func(ctx context.Context, receiver string, status DeliveryStatus, events int)
}

func (o *Observer) evaluated(ctx context.Context, rules, failed int, took time.Duration) {
	if o.Evaluated != nil {
		o.Evaluated(ctx, rules, failed, took)
	}
}

func (o *Observer) failed(ctx context.Context, err error) {
	if o.Failed != nil {
		o.Failed(ctx, err)
	}
}

func (o *Observer) rules(ctx context.Context, rules, firing int) {
	if o.Rules != nil {
		o.Rules(ctx, rules, firing)
	}
}

func (o *Observer) event(ctx context.Context, e Event) {
	if o.Event != nil {
		o.Event(ctx, e)
	}
}

func (o *Observer) delivery(ctx context.Context, receiver string, status DeliveryStatus, events int) {
	if o.Delivery != nil {
		o.Delivery(ctx, receiver, status, events)
	}
}
