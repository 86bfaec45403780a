package profilerule

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// FieldError says what is wrong with a field of a [Spec].
type FieldError struct{ Field, Message string }

func (e *FieldError) Error() string { return fmt.Sprintf("invalid `%s`: %s", e.Field, e.Message) }

func invalid(field, format string, args ...any) error {
	return &FieldError{field, fmt.Sprintf(format, args...)}
}

// metricInfo is what a metric is and needs.
type metricInfo struct {
	label string
	// kind is the kind of profiles it is about, empty if a rule can choose.
	kind string
	// required must be there; optional may.
	required string
	optional []string
}

var metrics = map[string]metricInfo{
	FunctionShare:    {label: "Function Share", required: "function", optional: []string{"self"}},
	StackShare:       {label: "Stack Share", required: "stack", optional: []string{"anywhere"}},
	LockWait:         {label: "Lock Wait Seconds", kind: profile.KindLock},
	SyscallP99:       {label: "Syscall P99 Seconds", kind: profile.KindSyscall, optional: []string{"syscall"}},
	SyscallErrorRate: {label: "Syscall Error Rate", kind: profile.KindSyscall, optional: []string{"syscall"}},
	// Of other kinds the values are no counts of what happened, and how likely a
	// change of them is by chance is not known.
	ChangeVsBaseline: {
		label: "Change vs Baseline", kind: profile.KindCPU, required: "function",
		optional: []string{"self", "baseline_offset", "max_p_value", "min_samples"},
	},
}

// own are the fields that only some metrics have, with whether they are set.
func (s *Spec) own() map[string]bool {
	return map[string]bool{
		"function": s.Function != "", "self": s.Self,
		"stack": s.Stack != "", "anywhere": s.Anywhere,
		"syscall":         s.Syscall != "",
		"baseline_offset": s.BaselineOffset != 0, "max_p_value": s.MaxPValue != 0, "min_samples": s.MinSamples != 0,
	}
}

// Check returns s with the defaults filled in, or a [*FieldError].
func (s Spec) Check() (Spec, error) {
	m, ok := metrics[s.Metric]
	if !ok {
		return s, invalid("metric", "it is %q; it must be one of %s", clip(s.Metric), strings.Join(Metrics(), ", "))
	}
	own := s.own()
	for _, field := range slices.Sorted(maps.Keys(own)) {
		switch {
		case field == m.required && !own[field]:
			return s, invalid(field, "it is missing; `%s` needs it", s.Metric)
		case own[field] && field != m.required && !slices.Contains(m.optional, field):
			return s, invalid(field, "`%s` has no such field", s.Metric)
		}
	}
	if err := s.checkTexts(); err != nil {
		return s, err
	}
	if err := s.kind(m.kind); err != nil {
		return s, err
	}
	return s, s.numbers()
}

func (s *Spec) checkTexts() error {
	agent := ""
	if s.AgentID != nil {
		agent = *s.AgentID
	}
	for _, f := range []struct {
		field, value string
		limit        int
	}{
		{"function", s.Function, maxText},
		{"stack", s.Stack, maxStack},
		{"syscall", s.Syscall, maxText},
		{"service", s.Service, maxText},
		{"agent_id", agent, maxText},
	} {
		if len(f.value) > f.limit {
			return invalid(f.field, "it is %d bytes long; the limit is %d", len(f.value), f.limit)
		}
	}
	if s.Stack != "" && slices.Contains(strings.Split(s.Stack, ";"), "") {
		return invalid("stack", "it is %q; there is no name before, after or between semicolons", clip(s.Stack))
	}
	if len(s.Labels) > maxLabels {
		return invalid("labels", "there are %d; the limit is %d", len(s.Labels), maxLabels)
	}
	for name, value := range s.Labels {
		if name == "" {
			return invalid("labels", "a name is empty")
		}
		if n := max(len(name), len(value)); n > maxText {
			return invalid("labels", "a name or a value is %d bytes long; the limit is %d", n, maxText)
		}
	}
	return nil
}

func (s *Spec) kind(only string) error {
	switch {
	case only != "" && s.EventType != "" && s.EventType != only:
		return invalid("event_type", "it is %q; `%s` is about %s", clip(s.EventType), s.Metric, only)
	case only != "":
		s.EventType = only
	case s.EventType == "":
		s.EventType = profile.KindCPU
	case len(s.EventType) > maxKind || strings.ContainsFunc(s.EventType, func(r rune) bool { return !unicode.IsPrint(r) }):
		return invalid("event_type", "it is %q; it must be a kind of profile", clip(s.EventType))
	}
	return nil
}

func (s *Spec) numbers() error {
	if s.Window == 0 {
		s.Window = Duration(DefaultWindow)
	}
	if w := time.Duration(s.Window); w < MinWindow || w > MaxWindow {
		return invalid("window", "it is %s; it must be from %s to %s", s.Window, Duration(MinWindow), Duration(MaxWindow))
	}
	if s.Metric != ChangeVsBaseline {
		s.Window = roundUp(s.Window)
		return nil
	}
	if s.BaselineOffset == 0 {
		s.BaselineOffset = s.Window
	}
	if s.BaselineOffset < s.Window || time.Duration(s.BaselineOffset) > MaxBaselineOffset {
		// Windows that overlap are not two samples.
		return invalid("baseline_offset", "it is %s; it must be from `window`, which is %s, to %s",
			s.BaselineOffset, s.Window, Duration(MaxBaselineOffset))
	}
	s.Window, s.BaselineOffset = roundUp(s.Window), roundUp(s.BaselineOffset)
	if s.MaxPValue == 0 {
		s.MaxPValue = DefaultMaxPValue
	}
	// NaN is no number above 0 either.
	if !(s.MaxPValue > 0 && s.MaxPValue <= 1) {
		return invalid("max_p_value", "it is %v; it must be above 0 and at most 1", s.MaxPValue)
	}
	if s.MinSamples == 0 {
		s.MinSamples = DefaultMinSamples
	}
	return nil
}

// clip shortens what others wrote for an error.
func clip(s string) string {
	const most = 64
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// number writes a value for people.
func number(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }
