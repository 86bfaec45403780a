package apertureapiextension

import (
	"encoding/json"
	"errors"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/aperture-collector/aperture-collector/internal/alert"
	"github.com/aperture-collector/aperture-collector/internal/alert/profilerule"
)

// Bounds of a rule.
const (
	maxRuleName    = 200 // characters
	maxFor         = 24 * time.Hour
	maxAnnotation  = 4096 // bytes
	maxAnnotations = 64
)

var severities = []string{"info", "warning", "critical"}

// ruleRequest is a rule as a request creates it.
type ruleRequest struct {
	rule alert.Rule
	spec profilerule.Spec
	// own are the fields there that only profile rules have.
	own []string
}

// parseRule parses the JSON object that creates a rule. As with queries, unknown
// keys are ignored, null is the same as absent, and a key that is there twice, or
// what is not UTF-8, is refused.
func parseRule(text []byte) (*alert.Rule, error) {
	fields, err := queryFields(text)
	if err != nil {
		return nil, err
	}
	var q ruleRequest
	required := []jsonField{
		{"name", textField("name", q.setName)},
		{"metric", textField("metric", q.setMetric)},
		{"operator", textField("operator", q.setOperator)},
		{"threshold", numberField("threshold", &q.rule.Threshold)},
		{"severity", textField("severity", q.setSeverity)},
	}
	for _, f := range required {
		if value, ok := fields[f.key]; !ok || string(value) == "null" {
			return nil, invalid(f.key, "it is missing")
		}
	}
	if err := setFields(fields, append(required,
		jsonField{"for", durationField("for", &q.rule.For)},
		jsonField{"rearm", durationField("rearm", &q.rule.Rearm)},
		jsonField{"alert_labels", textsField("alert_labels", maxTextLength, &q.rule.Labels)},
		jsonField{"annotations", textsField("annotations", maxAnnotation, &q.rule.Annotations)},
	)); err != nil {
		return nil, err
	}
	if err := q.parseSpec(fields); err != nil {
		return nil, err
	}
	return &q.rule, q.finish()
}

// parseSpec takes the fields of rules on profiles.
func (q *ruleRequest) parseSpec(fields map[string]json.RawMessage) error {
	s := &q.spec
	list := []jsonField{
		{"function", textField("function", setString(&s.Function))},
		{"self", boolField("self", &s.Self)},
		{"stack", textField("stack", setString(&s.Stack))},
		{"anywhere", boolField("anywhere", &s.Anywhere)},
		{"syscall", textField("syscall", setString(&s.Syscall))},
		{"baseline_offset", durationField("baseline_offset", (*time.Duration)(&s.BaselineOffset))},
		{"max_p_value", numberField("max_p_value", &s.MaxPValue)},
		{"min_samples", intField("min_samples", q.setMinSamples)},
		{"service", textField("service", setString(&s.Service))},
		{"labels", textsField("labels", maxTextLength, &s.Labels)},
		{"agent_id", textField("agent_id", q.setAgentID)},
		{"event_type", textField("event_type", setString(&s.EventType))},
		{"window", durationField("window", (*time.Duration)(&s.Window))},
	}
	for _, f := range list {
		if value, ok := fields[f.key]; ok && string(value) != "null" {
			q.own = append(q.own, f.key)
		}
	}
	if err := setFields(fields, list); err != nil {
		return err
	}
	// What is 0 stands for the default elsewhere; who writes it means something else.
	for _, f := range []struct {
		key  string
		zero bool
	}{
		{"baseline_offset", s.BaselineOffset == 0},
		{"max_p_value", s.MaxPValue == 0},
		{"min_samples", s.MinSamples == 0},
		{"window", s.Window == 0},
	} {
		if f.zero && slices.Contains(q.own, f.key) {
			return invalid(f.key, "it is 0; it must be more")
		}
	}
	return nil
}

// finish holds the fields against each other and fills in defaults.
func (q *ruleRequest) finish() error {
	if isSystemMetric(q.spec.Metric) && len(q.own) > 0 {
		return invalid(q.own[0], "`%s` has no such field", q.spec.Metric)
	}
	if !isSystemMetric(q.spec.Metric) {
		var err error
		if q.spec, err = q.spec.Check(); err != nil {
			var field *profilerule.FieldError
			if errors.As(err, &field) {
				return invalid(field.Field, "%s", field.Message)
			}
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(q.rule.Labels)) {
		if reservedLabel(name) {
			return invalid("alert_labels."+name, "the name is reserved")
		}
	}
	q.rule.Labels = automaticLabels(q.rule.Labels, &q.spec)
	var err error
	q.rule.Spec, err = json.Marshal(q.spec)
	return err
}

// reservedLabel reports whether receivers take a label for one that rules cannot
// choose. Names that Alertmanager cannot have become others there.
func reservedLabel(name string) bool {
	name = strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return unicode.ToLower(r)
		}
		return '_'
	}, name)
	switch name {
	case "metric", "service", "event_type", "alertname", "severity":
		return true
	}
	return strings.HasPrefix(name, "aperture_")
}

// automaticLabels returns the labels of a rule with those that receivers can route
// all rules by.
func automaticLabels(own map[string]string, s *profilerule.Spec) map[string]string {
	labels := map[string]string{}
	maps.Copy(labels, own)
	labels["metric"] = s.Metric
	if s.Service != "" {
		labels["service"] = s.Service
	}
	if s.EventType != "" {
		labels["event_type"] = s.EventType
	}
	return labels
}

func (q *ruleRequest) setName(v string) error {
	q.rule.Name = v
	if strings.TrimSpace(v) == "" {
		return invalid("name", "it is empty")
	}
	if n := utf8.RuneCountInString(v); n > maxRuleName {
		return invalid("name", "it is %d characters long; the limit is %d", n, maxRuleName)
	}
	return nil
}

func (q *ruleRequest) setMetric(v string) error {
	q.spec.Metric = v
	return oneOf("metric", v, slices.Concat(systemMetrics(), profilerule.Metrics()))
}

func (q *ruleRequest) setOperator(v string) error {
	q.rule.Operator = alert.Operator(v)
	var all []string
	for _, o := range alert.Operators() {
		all = append(all, string(o))
	}
	return oneOf("operator", v, all)
}

func (q *ruleRequest) setSeverity(v string) error {
	q.rule.Severity = v
	return oneOf("severity", v, severities)
}

func (q *ruleRequest) setMinSamples(v int64) error {
	if v < 0 {
		return invalid("min_samples", "it is %d; it must be at least 1", v)
	}
	q.spec.MinSamples = uint64(v)
	return nil
}

func (q *ruleRequest) setAgentID(v string) error {
	q.spec.AgentID = &v
	return nil
}

func oneOf(field, v string, all []string) error {
	if slices.Contains(all, v) {
		return nil
	}
	return invalid(field, "it is %s; it must be one of %s", excerpt(strconv.AppendQuote(nil, v)), strings.Join(all, ", "))
}

func setString(to *string) func(string) error {
	return func(v string) error {
		*to = v
		return nil
	}
}

func boolField(key string, to *bool) func(json.RawMessage) error {
	return func(value json.RawMessage) error {
		if err := json.Unmarshal(value, to); err != nil {
			return invalid(key, "it is %s; it must be true or false", excerpt(value))
		}
		return nil
	}
}

// numberField takes a number that a double can hold.
func numberField(key string, to *float64) func(json.RawMessage) error {
	return func(value json.RawMessage) error {
		v, err := strconv.ParseFloat(string(value), 64)
		// Only JSON gets here, so that NaN and infinities are strings.
		if err != nil || math.IsInf(v, 0) {
			return invalid(key, "it is %s; it must be a finite number", excerpt(value))
		}
		*to = v
		return nil
	}
}

// durationField takes a duration as text, or as a number of seconds.
func durationField(key string, to *time.Duration) func(json.RawMessage) error {
	return func(value json.RawMessage) error {
		d, err := profilerule.ParseDuration(value)
		switch {
		case err != nil:
			return invalid(key, "%s", err)
		case d < 0:
			return invalid(key, "it is %s; it must not be negative", d)
		case (key == "for" || key == "rearm") && d > maxFor:
			return invalid(key, "it is %s; it must be at most %s", d, profilerule.Duration(maxFor))
		}
		*to = d
		return nil
	}
}

// textsField takes an object of strings.
func textsField(key string, longest int, to *map[string]string) func(json.RawMessage) error {
	return func(value json.RawMessage) error {
		if value[0] != '{' {
			return invalid(key, "it is %s; it must be an object of strings", excerpt(value))
		}
		fields, err := objectFields(key, value)
		if err != nil {
			return err
		}
		if len(fields) > maxAnnotations {
			return invalid(key, "there are %d; the limit is %d", len(fields), maxAnnotations)
		}
		*to = make(map[string]string, len(fields))
		for name, v := range fields {
			if name == "" {
				return invalid(key, "a name is empty")
			}
			if string(v) == "null" {
				return invalid(key+"."+name, "it is null; it must be a string")
			}
			if len(name) > maxTextLength {
				return invalid(key, "a name is %d bytes long; the limit is %d", len(name), maxTextLength)
			}
			if err := textField(key+"."+name, func(s string) error {
				if len(s) > longest {
					return invalid(key+"."+name, "it is %d bytes long; the limit is %d", len(s), longest)
				}
				(*to)[name] = s
				return nil
			})(v); err != nil {
				return err
			}
		}
		return nil
	}
}
