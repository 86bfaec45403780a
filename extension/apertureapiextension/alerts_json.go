package apertureapiextension

import (
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/alert"
	"github.com/aperture-collector/aperture-collector/internal/alert/profilerule"
)

// float is written as the clients of the Aperture API know doubles: with a point
// and without an exponent.
type float float64

// MarshalJSON implements [json.Marshaler]. JSON has no number for what is not
// finite.
func (f float) MarshalJSON() ([]byte, error) {
	v := float64(f)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return []byte("null"), nil
	}
	if v == math.Trunc(v) {
		return strconv.AppendFloat(nil, v, 'f', 1, 64), nil
	}
	return strconv.AppendFloat(nil, v, 'f', -1, 64), nil
}

// ruleJSON has the fields of the Aperture API reference, then ours.
type ruleJSON struct {
	ID        string         `json:"id"`
	Name      string         `json:"name"`
	Metric    string         `json:"metric"`
	Operator  alert.Operator `json:"operator"`
	Threshold float          `json:"threshold"`
	Severity  string         `json:"severity"`
	Enabled   bool           `json:"enabled"`
	CreatedAt int64          `json:"created_at"`

	State alert.Phase `json:"state"`
	// Since is when the state began, null if there was no evaluation.
	Since *int64 `json:"since"`
	// Value is what this replica found last, null if it found none, and
	// LastEvaluation when.
	Value          *float               `json:"value"`
	LastEvaluation *int64               `json:"last_evaluation"`
	LastError      string               `json:"last_error"`
	For            profilerule.Duration `json:"for"`
	Rearm          profilerule.Duration `json:"rearm"`
	AlertLabels    map[string]string    `json:"alert_labels,omitempty"`
	Annotations    map[string]string    `json:"annotations,omitempty"`

	// Spec has the fields of rules on profiles; its metric is above.
	profilerule.Spec
}

// newRuleJSON returns a rule as it is listed.
func newRuleJSON(v *alert.Evaluation) ruleJSON {
	r := &v.Rule
	var s profilerule.Spec
	// What cannot be read cannot be evaluated either, which is the last error.
	_ = json.Unmarshal(r.Spec, &s)
	out := ruleJSON{
		ID: r.ID, Name: r.Name, Metric: s.Metric, Operator: r.Operator, Threshold: float(r.Threshold),
		Severity: r.Severity, Enabled: r.Enabled, CreatedAt: r.CreatedAt.Unix(),
		State: alert.Inactive, For: profilerule.Duration(r.For), Rearm: profilerule.Duration(r.Rearm),
		AlertLabels: r.Labels, Annotations: r.Annotations,
		Spec: s,
	}
	if v.State.Seq > 0 {
		out.State, out.Since = v.State.Phase, unix(v.State.Since)
	}
	if !v.At.IsZero() {
		out.LastEvaluation = unix(v.At)
		if v.Result.Err != nil {
			out.LastError = v.Result.Err.Error()
		} else {
			value := float(v.Result.Value)
			out.Value = &value
		}
	}
	return out
}

func unix(t time.Time) *int64 {
	v := t.Unix()
	return &v
}

// eventJSON has the fields of the Aperture API reference.
type eventJSON struct {
	RuleID    string         `json:"rule_id"`
	RuleName  string         `json:"rule_name"`
	Severity  string         `json:"severity"`
	Metric    string         `json:"metric"`
	Value     float          `json:"value"`
	Threshold float          `json:"threshold"`
	Operator  alert.Operator `json:"operator"`
	Message   string         `json:"message"`
	// FiredAt is when the event happened in Unix seconds.
	FiredAt int64 `json:"fired_at"`
}

// historyJSON has the fields of the Aperture API reference, then ours.
type historyJSON struct {
	eventJSON
	Phase alert.Phase `json:"phase"`
	// StartsAt is when the alert began to fire.
	StartsAt int64  `json:"starts_at"`
	Link     string `json:"link"`
}

func newHistoryJSON(e *alert.Event) historyJSON {
	return historyJSON{
		eventJSON: eventJSON{
			RuleID: e.Key.ID, RuleName: e.RuleName, Severity: e.Severity, Metric: e.Metric, Value: float(e.Value),
			Threshold: float(e.Threshold), Operator: e.Operator, Message: e.Message, FiredAt: e.At.Unix(),
		},
		Phase: e.Phase, StartsAt: e.StartsAt.Unix(), Link: e.Link,
	}
}

// newFiredJSON returns a rule whose condition is true now.
func newFiredJSON(v *alert.Evaluation) historyJSON {
	r := &v.Rule
	return historyJSON{
		eventJSON: eventJSON{
			RuleID: r.ID, RuleName: r.Name, Severity: r.Severity, Metric: v.Result.Metric, Value: float(v.Result.Value),
			Threshold: float(r.Threshold), Operator: r.Operator, Message: v.Result.Message, FiredAt: v.At.Unix(),
		},
		Phase: alert.Firing, StartsAt: v.State.FiredAt.Unix(), Link: v.Result.Link,
	}
}
