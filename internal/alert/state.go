package alert

import "time"

// Phase is where a rule is.
type Phase string

// The phases. A rule is inactive before its condition was ever true, pending
// while it is true for less than [Rule.For], firing from then on until it was
// false for [Rule.Rearm], and resolved after that.
const (
	Inactive Phase = "inactive"
	Pending  Phase = "pending"
	Firing   Phase = "firing"
	Resolved Phase = "resolved"
)

// State is what is known of a rule. Only changes of the phase are stored.
type State struct {
	Key Key
	// Seq counts the changes of the phase from 1; 0 is a rule that was never
	// evaluated.
	Seq   uint64
	Phase Phase
	// Since is when the phase began, FiredAt when the rule last began to fire.
	Since, FiredAt time.Time
	// Revision is that of the rule when the phase changed: a rule that was changed
	// starts again.
	Revision uint64
	// Episode is the Seq by which the rule last began to fire. It identifies the
	// alert from firing to resolved.
	Episode uint64
	// ClearSince is since when the condition of a firing rule is false; zero while
	// it is true. It is not stored.
	ClearSince time.Time
	// Fired is the event by which the rule began to fire, while it is firing, and
	// nil else. It is how an alert is repeated and resolved by the name and labels
	// it began with, whatever became of the rule. It need not be stored: the event
	// is, by the same Transition.
	Fired *Event
}

// Event is a change of the phase that people are told of: to firing, or to
// resolved. The history is made of them.
type Event struct {
	Key Key
	// Seq is that of the State the event made. Key and Seq identify an event.
	Seq   uint64
	Phase Phase
	// Episode is the Seq of the event by which this alert began to fire.
	Episode   uint64
	RuleName  string
	Severity  string
	Operator  Operator
	Threshold float64
	Value     float64
	// Message is a sentence, Metric the name of the value as the dialect calls it.
	Message, Metric string
	At              time.Time
	// StartsAt is when the alert began to fire.
	StartsAt            time.Time
	Labels, Annotations map[string]string
	// Link leads to what explains the alert; empty if there is nothing.
	Link string
}
