package profilerule

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/aperture-collector/aperture-collector/internal/alert"
)

// message returns the sentence of an event, in the form of the Aperture API:
// NAME: METRIC OPERATOR THRESHOLD (current: VALUE).
func (p *plan) message(rule *alert.Rule, value float64) string {
	s := &p.spec
	about := s.Function + s.Syscall
	if s.Stack != "" {
		about = s.Stack
	}
	of := []string{s.EventType}
	if s.Service != "" {
		of = append(of, s.Service)
	}
	if about != "" {
		about = " of " + about
	}
	atLeast := ""
	if p.now.truncated && (s.Metric == FunctionShare || s.Metric == StackShare) {
		atLeast = "at least "
	}
	return fmt.Sprintf("%s: %s%s (%s) %s %s (current: %s%s)", rule.Name, Label(s.Metric), about, strings.Join(of, ", "),
		rule.Operator.Symbol(), strconv.FormatFloat(rule.Threshold, 'f', -1, 64), atLeast, number(value))
}

// link returns the path of the flame graph that shows what changed: the window,
// and what it is held against.
func (s *Spec) link(start, end int64) string {
	offset := int64(s.BaselineOffset)
	if offset == 0 {
		offset = int64(s.Window)
	}
	v := url.Values{"event_type": {s.EventType}}
	if s.Service != "" {
		v.Set("service", s.Service)
	}
	if s.AgentID != nil {
		v.Set("agent_id", *s.AgentID)
	}
	for name, value := range s.Labels {
		v.Set("label."+name, value)
	}
	// The ends of requests are inclusive.
	for name, at := range map[string]int64{
		"time_start_ns": start, "time_end_ns": end - 1,
		"baseline_start_ns": start - offset, "baseline_end_ns": end - offset - 1,
	} {
		v.Set(name, strconv.FormatInt(at, 10))
	}
	return "/api/export/svg?" + v.Encode()
}
