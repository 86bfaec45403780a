package alert

import (
	"encoding/json"
	"time"
)

// Rule is a condition on one value. A Rule and what it refers to is not changed
// once it was given away.
type Rule struct {
	// Dialect, Tenant and ID identify a rule: the API it belongs to, who owns it,
	// and what the API calls it. An ID is unique in its dialect over all tenants
	// and is never given twice.
	Dialect, Tenant, ID string
	// Revision counts the changes of the rule from 1.
	Revision uint64
	// Deleted rules are kept so that their IDs stay taken.
	Deleted bool

	Name      string
	Severity  string
	Enabled   bool
	CreatedAt time.Time
	// Operator and Threshold are the condition on the value.
	Operator  Operator
	Threshold float64
	// For is how long the condition must hold before the rule fires; 0: at once.
	For time.Duration
	// Rearm is how long the condition must be false before a rule that has fired
	// is resolved and can fire again; 0: at once.
	Rearm time.Duration
	// Labels and Annotations are added to notifications.
	Labels, Annotations map[string]string
	// Spec says what value the rule is about, in the terms of the dialect.
	Spec json.RawMessage
}

// Key identifies a rule among those of a dialect.
type Key struct{ Tenant, ID string }

// Key returns the key of r.
func (r *Rule) Key() Key { return Key{r.Tenant, r.ID} }

// Operator compares a value with a threshold.
type Operator string

// The operators.
const (
	Greater        Operator = "gt"
	GreaterOrEqual Operator = "gte"
	Less           Operator = "lt"
	LessOrEqual    Operator = "lte"
	Equal          Operator = "eq"
)
