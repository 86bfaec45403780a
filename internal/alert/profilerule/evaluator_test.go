package profilerule

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/aggregate"
	"github.com/aperture-collector/aperture-collector/internal/alert"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// shop is a service of 100 samples: 20 in compute, 10 in what compute calls, 5 in
// compute which calls itself, 64 elsewhere, 1 without a name; and 50 without a
// stack.
func shop() []observation {
	return []observation{
		{service: "shop", stack: "main;handle;compute", n: 20, ago: 10},
		{service: "shop", stack: "main;handle;compute;sqrt", n: 10, ago: 20},
		{service: "shop", stack: "main;compute;compute", n: 5, ago: 30, agent: "agent-1", labels: map[string]string{"zone": "a"}},
		{service: "shop", stack: "main;handle;idle\x00now", n: 64, ago: 40},
		{service: "shop", stack: "main;0xc0de", n: 1, ago: 50},
		{service: "shop", n: 50, ago: 10},
		{service: "shop", stack: "compute", n: 1000, ago: 400},
		{service: "shop", stack: "compute", n: 1000, ago: 10, tenant: "other"},
		{service: "bank", stack: "compute", n: 1000, ago: 10},
	}
}

func TestShares(t *testing.T) {
	r := memory(t, shop()...)
	share := func(function string, self bool) Spec {
		return Spec{Metric: FunctionShare, Service: "shop", Function: function, Self: self}
	}
	path := func(stack string, anywhere bool) Spec {
		return Spec{Metric: StackShare, Service: "shop", Stack: stack, Anywhere: anywhere}
	}
	agent := "agent-1"
	for name, c := range map[string]struct {
		spec Spec
		want float64
	}{
		"function":               {share("compute", false), 0.35},
		"itself":                 {share("compute", true), 0.25},
		"root":                   {share("main", false), 1},
		"root itself":            {share("main", true), 0},
		"not there":              {share("comput", false), 0},
		"address":                {share("0xc0de", true), 0.01},
		"name with a semicolon":  {share("idle;now", false), 0.64},
		"folded name":            {share("idle:now", false), 0},
		"path":                   {path("main;handle", false), 0.94},
		"one name":               {path("main", false), 1},
		"whole path":             {path("main;handle;compute;sqrt", false), 0.10},
		"longer path":            {path("main;handle;compute;sqrt;x", false), 0},
		"not at the root":        {path("handle;compute", false), 0},
		"anywhere":               {path("handle;compute", true), 0.30},
		"anywhere at the root":   {path("main;handle", true), 0.94},
		"anywhere at the leaf":   {path("sqrt", true), 0.10},
		"anywhere, twice":        {path("compute", true), 0.35},
		"part of a name":         {path("main;hand", false), 0},
		"escaped":                {path("main;handle;idle:now", false), 0.64},
		"label":                  {Spec{Metric: FunctionShare, Function: "compute", Labels: map[string]string{"zone": "a"}}, 1},
		"agent":                  {Spec{Metric: FunctionShare, Function: "compute", AgentID: &agent}, 1},
		"all services":           {Spec{Metric: FunctionShare, Function: "compute"}, 1035. / 1100},
		"a window that has more": {Spec{Metric: FunctionShare, Service: "shop", Function: "compute", Window: Duration(10 * time.Minute)}, 1035. / 1100},
	} {
		t.Run(name, func(t *testing.T) {
			assert.InDelta(t, c.want, value(t, r, c.spec), 1e-12)
		})
	}
}

func TestOfOtherKinds(t *testing.T) {
	r := memory(t,
		observation{service: "s", kind: profile.KindLock, stack: "main;Lock", value: 3e9, ago: 1},
		observation{service: "s", kind: profile.KindLock, stack: "main;Wait", value: 1e9, ago: 1},
		observation{service: "s", kind: profile.KindLock, value: 5e8, ago: 1},
		observation{service: "s", kind: "memory", stack: "main;alloc", value: 300, ago: 1},
		observation{service: "s", kind: "memory", stack: "main", value: 100, ago: 1},
	)
	assert.InDelta(t, 4.5, value(t, r, Spec{Metric: LockWait}), 1e-12)
	assert.InDelta(t, 0.75, value(t, r, Spec{Metric: FunctionShare, Function: "Lock", EventType: "lock"}), 1e-12)
	assert.InDelta(t, 0.75, value(t, r, Spec{Metric: FunctionShare, Function: "alloc", EventType: "memory"}), 1e-12)
}

func TestSyscalls(t *testing.T) {
	r := memory(t,
		observation{service: "s", kind: profile.KindSyscall, syscall: "read", value: 1500, n: 98, ago: 1},
		observation{service: "s", kind: profile.KindSyscall, syscall: "read", value: 5_000_000, n: 2, ago: 1, failed: true},
		observation{service: "s", kind: profile.KindSyscall, syscall: "write", value: 700, n: 300, ago: 1},
	)
	// The longest call is 5 ms, before the end of its bucket.
	assert.InDelta(t, 0.005, value(t, r, Spec{Metric: SyscallP99, Syscall: "read"}), 1e-12)
	assert.InDelta(t, 700e-9, value(t, r, Spec{Metric: SyscallP99, Syscall: "write"}), 1e-12)
	// 4 of 400 are above the rank: those of 1500 ns are in the bucket up to 2048.
	assert.InDelta(t, 2048e-9, value(t, r, Spec{Metric: SyscallP99}), 1e-12)
	assert.InDelta(t, 0.02, value(t, r, Spec{Metric: SyscallErrorRate, Syscall: "read"}), 1e-12)
	assert.InDelta(t, 0.0, value(t, r, Spec{Metric: SyscallErrorRate, Syscall: "write"}), 1e-12)
	assert.InDelta(t, 0.005, value(t, r, Spec{Metric: SyscallErrorRate}), 1e-12)
	res := evaluate(t, r, Spec{Metric: SyscallErrorRate, Syscall: "fork"})
	assert.True(t, res.NoData)
	assert.ErrorContains(t, res.Err, "no calls of fork in the last 5m")
}

func TestP99OfBuckets(t *testing.T) {
	stats := func(longest int64, buckets map[int]uint64) *profilestore.SyscallStats {
		s := &profilestore.SyscallStats{Max: longest}
		for b, n := range buckets {
			s.Histogram[b] = n
		}
		return s
	}
	for name, c := range map[string]struct {
		stats *profilestore.SyscallStats
		want  float64
	}{
		"first bucket":                 {stats(0, map[int]uint64{0: 1}), 2e-9},
		"100 of 100 below":             {stats(0, map[int]uint64{3: 99, 9: 1}), 16e-9},
		"98 of 100 below":              {stats(0, map[int]uint64{3: 98, 9: 2}), 1024e-9},
		"last bucket":                  {stats(7e9, map[int]uint64{29: 5}), 7},
		"last bucket, nothing told":    {stats(0, map[int]uint64{29: 5}), 0.536870912},
		"as many as there are numbers": {stats(0, map[int]uint64{1: 1<<63 - 1, 2: 1 << 62}), 8e-9},
	} {
		got, err := p99(c.stats)
		require.NoError(t, err, name)
		assert.InDelta(t, c.want, got, 1e-15, name)
	}
	_, err := p99(stats(7, nil))
	assert.ErrorIs(t, err, errNothing)
}

func TestChangeVsBaseline(t *testing.T) {
	const window = 60
	spec := Spec{Metric: ChangeVsBaseline, Service: "s", Function: "f", Window: Duration(window * time.Second)}
	compare := func(before, beforeAll, after, afterAll int) (*aggregate.Recent, Spec) {
		var list []observation
		for _, o := range []observation{
			{stack: "main;f", n: before, ago: window + 5},
			{stack: "main", n: beforeAll - before, ago: window + 5},
			{stack: "main;f", n: after, ago: 5},
			{stack: "main", n: afterAll - after, ago: 5},
		} {
			if o.service = "s"; o.n > 0 {
				list = append(list, o)
			}
		}
		return memory(t, list...), spec
	}
	assert.InDelta(t, 0.2, value(t, first(compare(100, 1000, 600, 2000)), spec), 1e-12)
	assert.InDelta(t, -0.2, value(t, first(compare(300, 1000, 100, 1000)), spec), 1e-12)
	assert.InDelta(t, 0.3, value(t, first(compare(0, 100, 60, 200)), spec), 1e-12)

	noise := evaluate(t, first(compare(100, 1000, 110, 1000)), spec)
	assert.True(t, noise.NoData)
	assert.ErrorContains(t, noise.Err, "the change is not significant: p_value is 0.5347; `max_p_value` is 0.01")
	lax := spec
	lax.MaxPValue = 0.9
	assert.InDelta(t, 0.01, value(t, first(compare(100, 1000, 110, 1000)), lax), 1e-12)

	few := evaluate(t, first(compare(0, 99, 5000, 10000)), spec)
	assert.True(t, few.NoData)
	assert.ErrorContains(t, few.Err, "99 observations in a window; `min_samples` is 100")
	none := evaluate(t, first(compare(0, 0, 500, 1000)), spec)
	assert.True(t, none.NoData, "no baseline")

	yesterday := spec
	yesterday.BaselineOffset = Duration(24 * time.Hour)
	r := memory(t, observation{service: "s", stack: "main;f", n: 500, ago: 5},
		observation{service: "s", stack: "main", n: 500, ago: 86400 + 5}, observation{service: "s", stack: "f", n: 500, ago: 65})
	assert.InDelta(t, 1.0, value(t, r, yesterday), 1e-12)
}

func first(r *aggregate.Recent, _ Spec) *aggregate.Recent { return r }

func TestNoData(t *testing.T) {
	r := memory(t, observation{service: "s", n: 3, ago: 1}, observation{service: "s", stack: "f", n: 3, ago: 500})
	for _, s := range []Spec{
		{Metric: FunctionShare, Function: "f"},
		{Metric: FunctionShare, Function: "f", Service: "t"},
		{Metric: StackShare, Stack: "f"},
		{Metric: LockWait},
		{Metric: SyscallP99},
		{Metric: SyscallErrorRate},
		{Metric: ChangeVsBaseline, Function: "f"},
	} {
		res := evaluate(t, r, s)
		assert.True(t, res.NoData, s.Metric)
		require.ErrorIs(t, res.Err, errNothing, s.Metric)
		assert.Equal(t, s.Metric, res.Metric)
		assert.NotEmpty(t, res.Link)
		assert.Empty(t, res.Message)
	}
}

// counting counts the queries of a reader and fails those of some services.
type counting struct {
	profilestore.Reader
	mu      sync.Mutex
	queries []profilestore.Selector
	most    int // at once
	running int
	fail    map[string]error
	hang    bool
}

func (c *counting) MergeStacks(ctx context.Context, sel profilestore.Selector, o profilestore.MergeOptions) (*profilestore.Merge, error) {
	c.mu.Lock()
	c.queries = append(c.queries, sel)
	c.running++
	c.most = max(c.most, c.running)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.running--
	}()
	if c.hang {
		<-ctx.Done()
		return nil, errors.New("words of a driver")
	}
	if err := c.fail[sel.Service]; err != nil {
		return nil, err
	}
	return c.Reader.MergeStacks(ctx, sel, o)
}

func TestRulesShareQueries(t *testing.T) {
	r := &counting{Reader: memory(t, shop()...)}
	rules := []alert.Rule{
		rule(t, Spec{Metric: FunctionShare, Service: "shop", Function: "compute"}),
		rule(t, Spec{Metric: FunctionShare, Service: "shop", Function: "compute", Self: true}),
		rule(t, Spec{Metric: StackShare, Service: "shop", Stack: "main;handle"}),
		rule(t, Spec{Metric: ChangeVsBaseline, Service: "shop", Function: "compute", MinSamples: 1, MaxPValue: 1}),
		rule(t, Spec{Metric: FunctionShare, Service: "bank", Function: "compute"}),
		rule(t, Spec{Metric: FunctionShare, Service: "shop", Function: "compute", Labels: map[string]string{"zone": "a"}}),
		rule(t, Spec{Metric: LockWait, Service: "shop"}),
	}
	other := rule(t, Spec{Metric: FunctionShare, Service: "shop", Function: "compute"})
	other.Tenant = "other"
	rules = append(rules, other)
	got := evaluator(r).Evaluate(t.Context(), now, rules)
	want := []float64{0.35, 0.25, 0.94, 0.35 - 1, 1, 1, 0, 1}
	for i := range want {
		assert.InDelta(t, want[i], got[i].Value, 1e-12, i)
	}
	assert.True(t, got[6].NoData)
	// shop, its baseline, bank, the zone, the locks and the other tenant.
	assert.Len(t, r.queries, 6)

	// A moment later the windows are the same ones.
	before := r.queries[0]
	r.queries = nil
	evaluator(r).Evaluate(t.Context(), now.Add(4*time.Second), rules[:1])
	found := r.queries[0]
	assert.Equal(t, profilestore.Selector{Tenant: "anonymous", Service: "shop", Kinds: []string{"cpu"}, Start: found.Start, End: found.Start + int64(5*time.Minute)}, found)
	assert.Zero(t, found.End%int64(5*time.Second))
	assert.LessOrEqual(t, found.End, now.UnixNano())
	assert.NotZero(t, before.End)
}

func TestErrorsAreOfTheirRules(t *testing.T) {
	r := &counting{Reader: memory(t, shop()...), fail: map[string]error{"bank": profilestore.ErrUnavailable}}
	broken := rule(t, Spec{Metric: LockWait})
	broken.Spec = []byte(`{"metric":1}`)
	unknown := rule(t, Spec{Metric: LockWait})
	unknown.Spec = []byte(`{"metric":"weather"}`)
	got := evaluator(r).Evaluate(t.Context(), now, []alert.Rule{
		rule(t, Spec{Metric: FunctionShare, Service: "shop", Function: "compute"}),
		rule(t, Spec{Metric: FunctionShare, Service: "bank", Function: "compute"}),
		broken, unknown,
	})
	require.NoError(t, got[0].Err)
	require.ErrorIs(t, got[1].Err, profilestore.ErrUnavailable)
	require.ErrorContains(t, got[1].Err, "read profiles: ")
	require.ErrorContains(t, got[2].Err, "read rule: ")
	require.ErrorContains(t, got[3].Err, "invalid `metric`")
	for _, res := range got[1:] {
		assert.False(t, res.NoData, "what cannot be read is not nothing")
	}

	away := New(Options{Reader: func() (profilestore.Reader, error) { return nil, errors.New("no reader") }})
	assert.ErrorContains(t, away.Evaluate(t.Context(), now, []alert.Rule{rule(t, Spec{Metric: LockWait})})[0].Err, "no reader")
	assert.Empty(t, away.Evaluate(t.Context(), now, nil))
}

func TestQueriesEnd(t *testing.T) {
	r := &counting{hang: true}
	var rules []alert.Rule
	for _, service := range strings.Fields("a b c d e f") {
		rules = append(rules, rule(t, Spec{Metric: LockWait, Service: service}))
	}
	e := New(Options{Reader: func() (profilestore.Reader, error) { return r, nil }, Timeout: time.Millisecond, Concurrency: 2})
	for _, res := range e.Evaluate(t.Context(), now, rules) {
		require.ErrorIs(t, res.Err, context.DeadlineExceeded)
		assert.False(t, res.NoData)
	}
	assert.LessOrEqual(t, r.most, 2)

	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("shut down"))
	assert.ErrorContains(t, e.Evaluate(ctx, now, rules)[5].Err, "shut down")
}

func TestMessageAndLink(t *testing.T) {
	r := memory(t, shop()...)
	agent := "agent-1"
	e := New(Options{Reader: func() (profilestore.Reader, error) { return r, nil }, ExternalURL: "https://profiles.example.com/base"})
	res := e.Evaluate(t.Context(), now, []alert.Rule{rule(t, Spec{
		Metric: FunctionShare, Service: "shop", Function: "compute", AgentID: &agent, Labels: map[string]string{"zone": "a"}, Window: Duration(time.Minute),
	})})[0]
	assert.Equal(t, "Rule: Function Share of compute (cpu, shop) > 0.5 (current: 1)", res.Message)
	u, err := url.Parse(res.Link)
	require.NoError(t, err)
	assert.Equal(t, "https://profiles.example.com/base/api/export/svg", strings.TrimSuffix(res.Link, "?"+u.RawQuery))
	assert.Equal(t, url.Values{
		"event_type": {"cpu"}, "service": {"shop"}, "agent_id": {"agent-1"}, "label.zone": {"a"},
		"time_start_ns": {"1700000040000000000"}, "time_end_ns": {"1700000099999999999"},
		"baseline_start_ns": {"1699999980000000000"}, "baseline_end_ns": {"1700000039999999999"},
	}, u.Query())

	assert.Equal(t, "Rule: Stack Share of main;handle (cpu) > 0.5 (current: 0.08545)", evaluate(t, r, Spec{Metric: StackShare, Stack: "main;handle"}).Message)
	assert.True(t, strings.HasPrefix(evaluate(t, r, Spec{Metric: LockWait}).Link, "/api/export/svg?"))
}

// Many answers are not in memory at the same time.
func TestRowsAreNotKept(t *testing.T) {
	m, err := memory(t, shop()...).MergeStacks(t.Context(), profilestore.Selector{Tenant: profile.DefaultTenant}, profilestore.MergeOptions{})
	require.NoError(t, err)
	r := newRead(profilestore.Selector{Kinds: []string{profile.KindCPU}})
	r.want(&Spec{Metric: FunctionShare, Function: "compute"})
	r.take(m)
	require.NotNil(t, r.kind)
	assert.Empty(t, r.kind.Rows)
	assert.NotEmpty(t, m.Kinds[0].Rows, "what others read, too, is not changed")
}

// few has only the largest stack.
type few struct{ profilestore.Reader }

func (f few) MergeStacks(ctx context.Context, sel profilestore.Selector, o profilestore.MergeOptions) (*profilestore.Merge, error) {
	o.MaxStacks = 1
	return f.Reader.MergeStacks(ctx, sel, o)
}

// Shares of a truncated answer are lower bounds, and say so.
func TestTruncated(t *testing.T) {
	r := few{memory(t, shop()...)}
	s := Spec{Metric: FunctionShare, Service: "shop", Function: "idle;now"}
	assert.InDelta(t, 0.64, value(t, r, s), 1e-12, "of everything")
	assert.Contains(t, evaluate(t, r, s).Message, "(current: at least 0.64)")
	s.Function = "main"
	assert.InDelta(t, 0.64, value(t, r, s), 1e-12)
}
