package alert

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	t0      = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	errAway = errors.New("away")
)

// step is one call of Next. The condition of the rules is: greater than 1.
type step struct {
	at     int // seconds after t0
	result Result
	change func(*Rule)
	want   Phase
	// since is when the phase began, in seconds after t0.
	since int
	event Phase
}

var (
	high   = Result{Value: 2, Metric: "m", Message: "is high", Link: "/high"}
	low    = Result{Value: 1, Metric: "m", Message: "is low"}
	noData = Result{Err: errAway, NoData: true, Value: 5}
	failed = Result{Err: errAway, Value: 5}
)

func TestNext(t *testing.T) {
	const never = -1
	toggle := func(r *Rule) { r.Enabled = !r.Enabled; r.Revision++ }
	change := func(r *Rule) { r.Revision++; r.Name = "new name" }
	remove := func(r *Rule) { r.Deleted = true; r.Revision++ }
	for name, c := range map[string]struct {
		hold, rearm int
		steps       []step
	}{
		"fires and resolves at once": {0, 0, []step{
			{at: 0, result: low, want: Inactive, since: never},
			{at: 1, result: high, want: Firing, since: 1, event: Firing},
			{at: 2, result: high, want: Firing, since: 1},
			{at: 3, result: low, want: Resolved, since: 3, event: Resolved},
			{at: 4, result: low, want: Resolved, since: 3},
			{at: 5, result: high, want: Firing, since: 5, event: Firing},
		}},
		"is pending first": {10, 0, []step{
			{at: 0, result: high, want: Pending, since: 0},
			{at: 9, result: high, want: Pending, since: 0},
			{at: 10, result: high, want: Firing, since: 10, event: Firing},
		}},
		"pending goes back to inactive": {10, 0, []step{
			{at: 0, result: high, want: Pending, since: 0},
			{at: 5, result: low, want: Inactive, since: 5},
			{at: 6, result: high, want: Pending, since: 6},
			{at: 12, result: high, want: Pending, since: 6},
			{at: 16, result: high, want: Firing, since: 16, event: Firing},
		}},
		"pending goes back to resolved": {10, 0, []step{
			{at: 0, result: high, want: Pending, since: 0},
			{at: 10, result: high, want: Firing, since: 10, event: Firing},
			{at: 11, result: low, want: Resolved, since: 11, event: Resolved},
			{at: 12, result: high, want: Pending, since: 12},
			{at: 13, result: low, want: Resolved, since: 13},
		}},
		"must be clear for a while": {0, 10, []step{
			{at: 0, result: high, want: Firing, since: 0, event: Firing},
			{at: 1, result: low, want: Firing, since: 0},
			{at: 10, result: low, want: Firing, since: 0},
			{at: 11, result: low, want: Resolved, since: 11, event: Resolved},
		}},
		"comes back before it is clear": {0, 10, []step{
			{at: 0, result: high, want: Firing, since: 0, event: Firing},
			{at: 1, result: low, want: Firing, since: 0},
			{at: 9, result: high, want: Firing, since: 0},
			{at: 12, result: low, want: Firing, since: 0},
			{at: 21, result: low, want: Firing, since: 0},
			{at: 22, result: low, want: Resolved, since: 22, event: Resolved},
		}},
		"no data is false": {10, 0, []step{
			{at: 0, result: noData, want: Inactive, since: never},
			{at: 1, result: high, want: Pending, since: 1},
			{at: 2, result: noData, want: Inactive, since: 2},
			{at: 3, result: high, want: Pending, since: 3},
			{at: 13, result: high, want: Firing, since: 13, event: Firing},
			{at: 14, result: noData, want: Resolved, since: 14, event: Resolved},
		}},
		"an error changes nothing": {10, 10, []step{
			{at: 0, result: failed, want: Inactive, since: never},
			{at: 1, result: high, want: Pending, since: 1},
			{at: 2, result: failed, want: Pending, since: 1},
			{at: 11, result: high, want: Firing, since: 11, event: Firing},
			{at: 12, result: failed, want: Firing, since: 11},
			{at: 13, result: low, want: Firing, since: 11},
			{at: 33, result: failed, want: Firing, since: 11},
			{at: 34, result: low, want: Resolved, since: 34, event: Resolved},
			{at: 35, result: failed, want: Resolved, since: 34},
		}},
		"not a number is false": {0, 0, []step{
			{at: 0, result: high, want: Firing, since: 0, event: Firing},
			{at: 1, result: Result{Value: math.NaN()}, want: Resolved, since: 1, event: Resolved},
			{at: 2, result: Result{Value: math.Inf(1)}, want: Resolved, since: 1},
		}},
		"disabled while firing": {0, 0, []step{
			{at: 0, result: high, want: Firing, since: 0, event: Firing},
			{at: 1, result: high, change: toggle, want: Resolved, since: 1, event: Resolved},
			{at: 2, result: high, want: Resolved, since: 1},
			{at: 3, result: high, change: toggle, want: Firing, since: 3, event: Firing},
		}},
		"disabled although the value is not known": {0, 0, []step{
			{at: 0, result: high, want: Firing, since: 0, event: Firing},
			{at: 1, result: failed, change: toggle, want: Resolved, since: 1, event: Resolved},
		}},
		"disabled while pending": {10, 0, []step{
			{at: 0, result: high, want: Pending, since: 0},
			{at: 1, result: high, change: toggle, want: Inactive, since: 1},
			{at: 20, result: high, change: toggle, want: Pending, since: 20},
		}},
		"changed while firing": {0, 60, []step{
			{at: 0, result: high, want: Firing, since: 0, event: Firing},
			{at: 1, result: high, change: change, want: Resolved, since: 1, event: Resolved},
			{at: 2, result: high, want: Firing, since: 2, event: Firing},
		}},
		"changed while pending": {10, 0, []step{
			{at: 0, result: high, want: Pending, since: 0},
			{at: 9, result: failed, change: change, want: Pending, since: 0},
			{at: 10, result: high, want: Pending, since: 10},
			{at: 19, result: high, want: Pending, since: 10},
			{at: 20, result: high, want: Firing, since: 20, event: Firing},
		}},
		"deleted while firing": {0, 60, []step{
			{at: 0, result: high, want: Firing, since: 0, event: Firing},
			{at: 1, result: Result{}, change: remove, want: Resolved, since: 1, event: Resolved},
			{at: 2, result: Result{}, want: Resolved, since: 1},
		}},
		"the clock goes back while pending": {60, 0, []step{
			{at: 1000, result: high, want: Pending, since: 1000},
			{at: 999, result: high, want: Pending, since: 1000},
			{at: 0, result: high, want: Pending, since: 0},
			{at: 60, result: high, want: Firing, since: 60, event: Firing},
		}},
		"the clock goes back while clearing": {0, 60, []step{
			{at: 0, result: high, want: Firing, since: 0, event: Firing},
			{at: 1000, result: low, want: Firing, since: 0},
			{at: 10, result: low, want: Firing, since: 0},
			{at: 70, result: low, want: Resolved, since: 70, event: Resolved},
		}},
		"another clock is a little behind": {0, 0, []step{
			{at: 10, result: high, want: Firing, since: 10, event: Firing},
			{at: 8, result: low, want: Resolved, since: 10, event: Resolved},
			{at: 9, result: high, want: Firing, since: 10, event: Firing},
		}},
		"a clock was far ahead": {0, 0, []step{
			{at: 1e6, result: high, want: Firing, since: 1e6, event: Firing},
			{at: 1, result: low, want: Resolved, since: 1, event: Resolved},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			rule := Rule{
				Dialect: "d", Tenant: "t", ID: "alert-1", Revision: 1, Enabled: true, Name: "name", Severity: "info",
				Operator: Greater, Threshold: 1,
				For: time.Duration(c.hold) * time.Second, Rearm: time.Duration(c.rearm) * time.Second,
			}
			var s State
			for i, step := range c.steps {
				if step.change != nil {
					step.change(&rule)
				}
				was := s
				var e *Event
				s, e = Next(&rule, s, step.result, at(step.at))
				require.Equal(t, step.want, s.Phase, "step %d", i)
				if step.since != never {
					require.Equal(t, at(step.since), s.Since, "step %d", i)
				}
				checkChange(t, &rule, was, s)
				if step.event == "" {
					require.Nil(t, e, "step %d", i)
					continue
				}
				require.NotNil(t, e, "step %d", i)
				require.Equal(t, step.event, e.Phase, "step %d", i)
				checkEvent(t, &s, e)
			}
		})
	}
}

func at(seconds int) time.Time { return t0.Add(time.Duration(seconds) * time.Second) }

// checkChange checks what is true of every two states that follow on each other.
func checkChange(t *testing.T, rule *Rule, was, is State) {
	t.Helper()
	assert.Equal(t, rule.Key(), is.Key)
	if was.Seq == is.Seq {
		was.ClearSince, is.ClearSince = time.Time{}, time.Time{}
		if was.Seq > 0 {
			assert.Equal(t, was, is, "a state that is not stored was changed")
		}
		return
	}
	assert.Equal(t, was.Seq+1, is.Seq)
	assert.Equal(t, rule.Revision, is.Revision)
	assert.Equal(t, is.Phase == Firing, is.Fired != nil)
	assert.Zero(t, is.ClearSince)
	if is.Phase == Firing {
		assert.Equal(t, is.Seq, is.Episode)
		assert.Equal(t, is.Since, is.FiredAt)
	} else {
		assert.Equal(t, was.Episode, is.Episode)
		assert.Equal(t, was.FiredAt, is.FiredAt)
	}
}

// checkEvent checks what is true of every event.
func checkEvent(t *testing.T, s *State, e *Event) {
	t.Helper()
	assert.Equal(t, s.Key, e.Key)
	assert.Equal(t, s.Seq, e.Seq)
	assert.Equal(t, s.Phase, e.Phase)
	assert.Equal(t, s.Episode, e.Episode)
	assert.Equal(t, s.Since, e.At)
	assert.False(t, e.StartsAt.After(e.At), "it ends before it starts")
	assert.True(t, finite(e.Value))
	assert.NotEmpty(t, e.Message)
}

func TestEvents(t *testing.T) {
	rule := Rule{
		Tenant: "t", ID: "alert-1", Revision: 1, Enabled: true, Name: "name", Severity: "info",
		Operator: Greater, Threshold: 1, Labels: map[string]string{"a": "b"}, Annotations: map[string]string{"c": "d"},
	}
	s, e := Next(&rule, State{}, high, t0)
	want := Event{
		Key: rule.Key(), Seq: 1, Phase: Firing, Episode: 1, RuleName: "name", Severity: "info",
		Operator: Greater, Threshold: 1, Value: 2, Message: "is high", Metric: "m", Link: "/high",
		At: t0, StartsAt: t0, Labels: rule.Labels, Annotations: rule.Annotations,
	}
	assert.Equal(t, &want, e)
	assert.Equal(t, &want, s.Fired)

	want.Seq, want.Phase, want.At = 2, Resolved, t0.Add(time.Second)
	low := want
	low.Value, low.Message = 1, "is low"
	_, e = Next(&rule, s, Result{Value: 1, Metric: "m", Message: "is low"}, low.At)
	assert.Equal(t, &low, e, "the link is that of the beginning")

	_, e = Next(&rule, s, noData, low.At)
	want.Value, want.Message = 0, "name: there is no data"
	assert.Equal(t, &want, e)

	// An alert ends as what it began.
	changed := rule
	changed.Revision, changed.Name, changed.Severity, changed.Labels, changed.Threshold = 2, "other", "critical", nil, 7
	_, e = Next(&changed, s, high, low.At)
	want.Message, want.Link = "name: the rule was changed", "/high"
	assert.Equal(t, &want, e)
	changed.Enabled = false
	_, e = Next(&changed, s, high, low.At)
	assert.Equal(t, "name: the rule was disabled", e.Message)
	_, e = Next(&Rule{Tenant: "t", ID: "alert-1", Deleted: true, Revision: 2}, s, Result{}, low.At)
	want.Message = "name: the rule was deleted"
	assert.Equal(t, &want, e)

	s.Fired = nil
	_, e = Next(&rule, s, Result{Value: math.NaN(), Metric: "m"}, low.At)
	assert.Equal(t, "name: m > 1 (current: NaN)", e.Message)
	assert.Zero(t, e.Value)
}
