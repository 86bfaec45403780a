package alert

import (
	"context"
	"errors"
	"time"
)

// ErrConflict is the cause of errors that say that somebody else has made the
// same change, or another one, before.
var ErrConflict = errors.New("changed by somebody else")

// ErrNotFound is the cause of errors that say that there is no such rule.
var ErrNotFound = errors.New("rule not found")

// Store keeps what outlives a process and is shared by all replicas. It is safe
// for concurrent use, by several processes too. What a method has returned is
// durable. Times are kept to the millisecond or better.
//
// Errors wrap ErrConflict, or profilestore.ErrUnavailable if a retry may help.
type Store interface {
	// NewID returns a number from 1 that no other call for the dialect ever
	// returns, in any process.
	NewID(ctx context.Context, dialect string) (uint64, error)
	// Rules returns the newest revision of each rule that is not deleted, of all
	// tenants, in the order they were created.
	Rules(ctx context.Context, dialect string) ([]Rule, error)
	// TenantRules returns those of one tenant.
	TenantRules(ctx context.Context, dialect, tenant string) ([]Rule, error)
	// Rule returns the newest revision of a rule. The error is ErrNotFound if there
	// is none, or if it is deleted.
	Rule(ctx context.Context, dialect string, k Key) (Rule, error)
	// Usage counts the rules that are not deleted.
	Usage(ctx context.Context, dialect, tenant string) (Usage, error)
	// PutRule stores a revision of a rule. Of several calls with the same
	// revision of a rule exactly one succeeds, the others get ErrConflict: also
	// if they are in several processes, and also if the revision is not the next
	// one.
	PutRule(ctx context.Context, r *Rule) error

	// States returns the newest state of each rule of the dialect that has one,
	// with State.Fired if it is firing. Those of deleted rules are left out, unless
	// they are firing.
	States(ctx context.Context, dialect string) ([]State, error)
	// TenantStates returns those of one tenant.
	TenantStates(ctx context.Context, dialect, tenant string) ([]State, error)
	// Transition stores a state and, if it is not nil, its event. Of several
	// calls with the same Seq of a rule exactly one succeeds, the others, and those
	// with a Seq that is not the next one, get ErrConflict: this, and not the
	// lease, is why an alert fires once. State and event are stored both or
	// neither.
	Transition(ctx context.Context, dialect string, s *State, e *Event) error
	// History returns the newest events of a tenant, newest first, at most limit.
	History(ctx context.Context, dialect, tenant string, limit int) ([]Event, error)

	// Undelivered returns the events since a time that are not marked as
	// delivered to the receiver, oldest first, at most limit. Of events of the same
	// time those with the lower Seq come first, in History last. Events of the rules
	// in skip are left out, and so is the end of an alert that began before that time
	// and is known not to have been delivered then: nobody has heard of it.
	Undelivered(ctx context.Context, dialect, receiver string, since time.Time, skip []Key, limit int) ([]Event, error)
	// Delivered marks events as delivered to a receiver. Twice does no harm.
	Delivered(ctx context.Context, dialect, receiver string, events []Event) error

	// Lease takes or renews the right to evaluate the rules of a dialect for ttl,
	// by the clock of the store, and reports whether holder has it now. Others get
	// it when the ttl of its last holder is over; a ttl of 0 gives it up. It only
	// saves work: what must happen once is guarded by Transition.
	Lease(ctx context.Context, dialect, holder string, ttl time.Duration) (bool, error)

	// Publish stores what a replica says of itself, over what it has said before.
	Publish(ctx context.Context, dialect, replica string, values map[string]float64) error
	// Published returns what the replicas have said within the last maxAge, by
	// the clock of the store.
	Published(ctx context.Context, dialect string, maxAge time.Duration) (map[string]map[string]float64, error)
}

// Usage is how many rules a tenant and all tenants have, and how many bytes of
// text these hold by [Rule.Size].
type Usage struct {
	Rules, Bytes       int
	AllRules, AllBytes int
}

// Result is what an evaluator found for a rule.
type Result struct {
	Value float64
	// Err says why there is no value. The condition is then false if NoData, and
	// else as it was: a store that is away resolves nothing.
	Err    error
	NoData bool
	// Metric is the name of the value, Message the sentence of the event, Link
	// where to look.
	Metric, Message, Link string
}

// Evaluator finds values. It is safe for concurrent use.
type Evaluator interface {
	// Evaluate returns a result for each rule, in their order. It is given all
	// rules at once so that rules that need the same data share a query.
	Evaluate(ctx context.Context, now time.Time, rules []Rule) []Result
}

// Notifier tells people. It is safe for concurrent use.
type Notifier interface {
	// Name identifies the receiver in the store and in logs; it is unique and
	// does not change between restarts.
	Name() string
	// Notify sends events and returns when all were taken, or with an error; then
	// all are sent again later. Receivers know repeated events by their keys.
	Notify(ctx context.Context, events []Event) error
}

// Repeater is a Notifier that wants to know regularly what is firing.
type Repeater interface {
	Notifier
	// LongestPause is called once, before anything else, with how much time may pass
	// between two calls of Repeat when another replica takes over.
	LongestPause(d time.Duration)
	// Repeat is called on every evaluation of the holder of the lease, with the
	// events by which all alerts that are firing now began.
	Repeat(ctx context.Context, now time.Time, firing []Event) error
}
