package profilerule

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCheckRefuses(t *testing.T) {
	long := strings.Repeat("x", maxText+1)
	for name, c := range map[string]struct {
		spec Spec
		want string
	}{
		"no metric":             {Spec{}, "invalid `metric`: it is \"\"; it must be one of function_share, stack_share"},
		"unknown metric":        {Spec{Metric: "cpu"}, `invalid ` + "`metric`" + `: it is "cpu"`},
		"no function":           {Spec{Metric: FunctionShare}, "invalid `function`: it is missing; `function_share` needs it"},
		"change of nothing":     {Spec{Metric: ChangeVsBaseline}, "invalid `function`: it is missing"},
		"no stack":              {Spec{Metric: StackShare}, "invalid `stack`: it is missing"},
		"function of a stack":   {Spec{Metric: StackShare, Stack: "a", Function: "f"}, "invalid `function`: `stack_share` has no such field"},
		"self of a stack":       {Spec{Metric: StackShare, Stack: "a", Self: true}, "invalid `self`: `stack_share` has no such field"},
		"syscall of a lock":     {Spec{Metric: LockWait, Syscall: "read"}, "invalid `syscall`"},
		"baseline of a share":   {Spec{Metric: FunctionShare, Function: "f", BaselineOffset: 1}, "invalid `baseline_offset`"},
		"significance of p99":   {Spec{Metric: SyscallP99, MaxPValue: 0.1}, "invalid `max_p_value`"},
		"samples of an error":   {Spec{Metric: SyscallErrorRate, MinSamples: 1}, "invalid `min_samples`"},
		"kind of a lock":        {Spec{Metric: LockWait, EventType: "cpu"}, "invalid `event_type`: it is \"cpu\"; `lock_wait_seconds` is about lock"},
		"kind with a newline":   {Spec{Metric: FunctionShare, Function: "f", EventType: "a\n"}, "invalid `event_type`"},
		"long kind":             {Spec{Metric: FunctionShare, Function: "f", EventType: long}, "invalid `event_type`"},
		"long function":         {Spec{Metric: FunctionShare, Function: long}, "invalid `function`: it is 1025 bytes long; the limit is 1024"},
		"long service":          {Spec{Metric: LockWait, Service: long}, "invalid `service`"},
		"long agent":            {Spec{Metric: LockWait, AgentID: &long}, "invalid `agent_id`"},
		"long syscall":          {Spec{Metric: SyscallP99, Syscall: long}, "invalid `syscall`"},
		"long stack":            {Spec{Metric: StackShare, Stack: strings.Repeat("x", maxStack+1)}, "invalid `stack`"},
		"empty name in a stack": {Spec{Metric: StackShare, Stack: "a;;b"}, "invalid `stack`: it is \"a;;b\"; there is no name"},
		"label without a name":  {Spec{Metric: LockWait, Labels: map[string]string{"": "x"}}, "invalid `labels`: a name is empty"},
		"long label":            {Spec{Metric: LockWait, Labels: map[string]string{"a": long}}, "invalid `labels`"},
		"short window":          {Spec{Metric: LockWait, Window: Duration(time.Second)}, "invalid `window`: it is 1s; it must be from 30s to 24h"},
		"negative window":       {Spec{Metric: LockWait, Window: -1}, "invalid `window`"},
		"long window":           {Spec{Metric: LockWait, Window: Duration(25 * time.Hour)}, "invalid `window`"},
		"overlapping baseline": {
			Spec{Metric: ChangeVsBaseline, Function: "f", BaselineOffset: Duration(time.Minute)},
			"invalid `baseline_offset`: it is 1m; it must be from `window`, which is 5m, to 744h",
		},
		"old baseline":         {Spec{Metric: ChangeVsBaseline, Function: "f", BaselineOffset: math.MaxInt64}, "invalid `baseline_offset`"},
		"p-value above 1":      {Spec{Metric: ChangeVsBaseline, Function: "f", MaxPValue: 1.1}, "invalid `max_p_value`: it is 1.1; it must be above 0 and at most 1"},
		"negative p-value":     {Spec{Metric: ChangeVsBaseline, Function: "f", MaxPValue: -1}, "invalid `max_p_value`"},
		"p-value not a number": {Spec{Metric: ChangeVsBaseline, Function: "f", MaxPValue: math.NaN()}, "invalid `max_p_value`"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.spec.Check()
			require.ErrorContains(t, err, c.want)
			var field *FieldError
			require.ErrorAs(t, err, &field)
		})
	}
	many := make(map[string]string)
	for i := range maxLabels + 1 {
		many = with(many, strings.Repeat("l", i+1), "v")
	}
	_, err := Spec{Metric: LockWait, Labels: many}.Check()
	require.ErrorContains(t, err, "invalid `labels`: there are 65; the limit is 64")
}

func TestCheckFillsInDefaults(t *testing.T) {
	got, err := Spec{Metric: ChangeVsBaseline, Function: "f", Window: Duration(time.Minute)}.Check()
	require.NoError(t, err)
	assert.Equal(t, Spec{
		Metric: ChangeVsBaseline, Function: "f", EventType: "cpu", Window: Duration(time.Minute),
		BaselineOffset: Duration(time.Minute), MaxPValue: 0.01, MinSamples: 100,
	}, got)
	for metric, kind := range map[string]string{LockWait: "lock", SyscallP99: "syscall", SyscallErrorRate: "syscall"} {
		got, err = Spec{Metric: metric}.Check()
		require.NoError(t, err)
		assert.Equal(t, Spec{Metric: metric, EventType: kind, Window: Duration(5 * time.Minute)}, got)
		again, err := got.Check()
		require.NoError(t, err)
		assert.Equal(t, got, again)
	}
	for _, metric := range Metrics() {
		assert.True(t, IsMetric(metric))
		assert.NotEmpty(t, Label(metric))
	}
	assert.Len(t, metrics, len(Metrics()))
	assert.False(t, IsMetric("event_throughput"))
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		`"1m"`: time.Minute, `90`: 90 * time.Second, `1.5`: 1500 * time.Millisecond, `"1h30m"`: 90 * time.Minute,
		`0`: 0, `"0"`: 0, `"60"`: time.Minute, ` 5 `: 5 * time.Second, `-1`: -time.Second, `"-1s"`: -time.Second,
	} {
		got, err := ParseDuration(json.RawMessage(text))
		require.NoError(t, err, text)
		assert.Equal(t, want, got, text)
	}
	for _, text := range []string{`""`, `null`, `"1 day"`, `[]`, `{}`, `true`, `1e400`, `1e18`, `"NaN"`, `"Inf"`, `-1e18`, strings.Repeat("1", 65)} {
		_, err := ParseDuration(json.RawMessage(text))
		assert.ErrorContains(t, err, `it must be a duration such as "1m" or a number of seconds`, text)
	}
	for d, want := range map[time.Duration]string{
		0: `"0s"`, 5 * time.Minute: `"5m"`, time.Hour: `"1h"`, 90 * time.Second: `"1m30s"`, 10 * time.Second: `"10s"`,
		100 * time.Minute: `"1h40m"`, 20 * time.Hour: `"20h"`, time.Hour + time.Second: `"1h0m1s"`,
	} {
		text, err := json.Marshal(Duration(d))
		require.NoError(t, err)
		assert.Equal(t, want, string(text))
		var back Duration
		require.NoError(t, json.Unmarshal(text, &back))
		assert.Equal(t, Duration(d), back)
	}
}
