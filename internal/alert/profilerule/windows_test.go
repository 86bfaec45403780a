package profilerule

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/alert"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

func TestWindowsAreRounded(t *testing.T) {
	require.True(t, slices.IsSorted(lengths))
	for given, want := range map[string][2]string{
		"30s/0s":          {"30s", "30s"},
		"31s/0s":          {"45s", "45s"},
		"7m/0s":           {"8m", "8m"},
		"7m/7m":           {"8m", "8m"},
		"7m1ns/7m30s":     {"8m", "8m"},
		"5m/24h":          {"5m", "24h"},
		"23h/168h":        {"24h", "168h"},
		"24h/24h0m0.001s": {"24h", "48h"},
		"1h/744h":         {"1h", "744h"},
	} {
		w, o, _ := strings.Cut(given, "/")
		window, err := time.ParseDuration(w)
		require.NoError(t, err)
		offset, err := time.ParseDuration(o)
		require.NoError(t, err)
		s, err := Spec{Metric: ChangeVsBaseline, Function: "f", Window: Duration(window), BaselineOffset: Duration(offset)}.Check()
		require.NoError(t, err, given)
		assert.Equal(t, want, [2]string{s.Window.String(), s.BaselineOffset.String()}, given)
		again, err := s.Check()
		require.NoError(t, err)
		assert.Equal(t, s, again)
	}
}

// A thousand rules with windows of their own need few queries.
func TestWindowsShareQueries(t *testing.T) {
	r := &counting{Reader: memory(t, shop()...)}
	var rules []alert.Rule
	for i := range 1000 {
		rules = append(rules, rule(t, Spec{
			Metric: FunctionShare, Service: "shop", Function: "compute", Window: Duration(5*time.Minute + time.Duration(i)*time.Second/4),
		}))
	}
	for i, res := range evaluator(r).Evaluate(t.Context(), now, rules) {
		require.NoError(t, res.Err, i)
	}
	assert.Len(t, r.queries, 4, "of 5, 6, 8 and 10 minutes")
}

// Windows end some time ago: what is on its way is not missed.
func TestDelay(t *testing.T) {
	r := &counting{Reader: memory(t, observation{service: "s", stack: "late", n: 9, ago: 3}, observation{service: "s", stack: "f", n: 1, ago: 63})}
	e := evaluator(r)
	e.opts.Delay = 30 * time.Second
	rules := []alert.Rule{rule(t, Spec{Metric: FunctionShare, Function: "f", Window: Duration(time.Minute)})}
	res := e.Evaluate(t.Context(), now, rules)[0]
	require.NoError(t, res.Err)
	assert.InDelta(t, 1.0, res.Value, 0)
	assert.Equal(t, now.Add(-30*time.Second).UnixNano(), r.queries[0].End)
	assert.Contains(t, res.Link, fmt.Sprint("time_end_ns=", r.queries[0].End-1))
}

// A rule that had a value keeps its state for a while if nothing is observed.
func TestGrace(t *testing.T) {
	e := evaluator(memory(t, observation{service: "s", stack: "f", n: 1, ago: 1}))
	e.opts.Grace = 30 * time.Second
	rules := []alert.Rule{rule(t, Spec{Metric: FunctionShare, Function: "f", Window: Duration(time.Minute)})}
	at := func(d time.Duration) alert.Result { return e.Evaluate(t.Context(), now.Add(d), rules)[0] }
	assert.True(t, at(-time.Hour).NoData, "it never had one")
	require.NoError(t, at(0).Err)
	require.NoError(t, at(50*time.Second).Err)
	kept := at(79 * time.Second)
	assert.False(t, kept.NoData)
	require.ErrorContains(t, kept.Err, "the state is kept for 30s")
	require.ErrorIs(t, kept.Err, errNothing)
	assert.True(t, at(80*time.Second).NoData)
}

// What was cut off one side only is no change.
func TestTruncatedSidesAreNotCompared(t *testing.T) {
	r := few{memory(t,
		observation{service: "s", stack: "cold", n: 500, ago: 400}, observation{service: "s", stack: "hot", n: 499, ago: 400},
		observation{service: "s", stack: "cold", n: 499, ago: 10}, observation{service: "s", stack: "hot", n: 500, ago: 10},
	)}
	res := evaluate(t, r, Spec{Metric: ChangeVsBaseline, Function: "hot"})
	require.ErrorContains(t, res.Err, "there are more than 100000 stacks in a window")
	assert.False(t, res.NoData)
}

// That a share is low is not known of a lower bound.
func TestTruncatedSharesAreNotLow(t *testing.T) {
	e := evaluator(few{memory(t, shop()...)})
	for operator, fine := range map[alert.Operator]bool{
		alert.Greater: true, alert.GreaterOrEqual: true, alert.Less: false, alert.LessOrEqual: false, alert.Equal: false,
	} {
		r := rule(t, Spec{Metric: FunctionShare, Service: "shop", Function: "compute"})
		r.Operator = operator
		res := e.Evaluate(t.Context(), now, []alert.Rule{r})[0]
		assert.Equal(t, fine, res.Err == nil, operator)
		assert.False(t, res.NoData)
	}
}

// The significance of a change is that of counts: waiting longer is none.
func TestChangesAreOfCounts(t *testing.T) {
	for _, kind := range []string{profile.KindLock, profile.KindOffCPU, profile.KindSyscall, "alloc_space"} {
		_, err := Spec{Metric: ChangeVsBaseline, Function: "f", EventType: kind}.Check()
		var field *FieldError
		require.ErrorAs(t, err, &field)
		assert.Equal(t, "event_type", field.Field)
	}
}
