package alert

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/profile"
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

// MaxRuleBytes bounds [Rule.Size]: all rules are read at every evaluation.
const MaxRuleBytes = 16 << 10

// Size returns how many bytes of text r holds.
func (r *Rule) Size() int {
	n := len(r.Dialect) + len(r.Tenant) + len(r.ID) + len(r.Name) + len(r.Severity) + len(r.Operator) + len(r.Spec)
	for _, m := range []map[string]string{r.Labels, r.Annotations} {
		for k, v := range m {
			n += len(k) + len(v)
		}
	}
	return n
}

// Validate returns an error if no engine could evaluate r. What the dialect
// demands of names, severities and [Rule.Spec] is checked by its API.
func (r *Rule) Validate() error {
	switch {
	case !r.Operator.Valid():
		return fmt.Errorf("operator %q must be one of %v", r.Operator, Operators())
	case !finite(r.Threshold):
		return fmt.Errorf("threshold %v must be a finite number", r.Threshold)
	case r.For < 0:
		return fmt.Errorf("for %v must not be negative", r.For)
	case r.Rearm < 0:
		return fmt.Errorf("rearm %v must not be negative", r.Rearm)
	case r.Size() > MaxRuleBytes:
		return fmt.Errorf("%w: the rule has %d bytes of text; the limit is %d", profile.ErrInvalid, r.Size(), MaxRuleBytes)
	}
	return nil
}

// condition reports whether a value meets the condition of r.
func (r *Rule) condition(value float64) bool { return r.Operator.Compare(value, r.Threshold) }

// message returns the sentence of an event whose evaluator has none.
func (r *Rule) message(res *Result) string {
	name := res.Metric
	if name == "" {
		name = "value"
	}
	return fmt.Sprintf("%s: %s %s %s (current: %.2f)", r.Name, name, r.Operator.Symbol(),
		strconv.FormatFloat(r.Threshold, 'f', -1, 64), res.Value)
}
