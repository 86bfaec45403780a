package profilerule

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/alert"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// ending answers some queries, then ends the evaluation.
type ending struct {
	profilestore.Reader
	mu      sync.Mutex
	left    int
	end     context.CancelCauseFunc
	queries []profilestore.Selector
}

func (r *ending) MergeStacks(_ context.Context, sel profilestore.Selector, _ profilestore.MergeOptions) (*profilestore.Merge, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queries = append(r.queries, sel)
	if r.left--; r.left == 0 {
		r.end(errors.New("the round is over"))
	}
	return &profilestore.Merge{}, nil
}

// services returns a rule on each of n services.
func services(tb testing.TB, tenant string, n int, s Spec) []alert.Rule {
	tb.Helper()
	rules := make([]alert.Rule, n)
	for i := range rules {
		s.Service = fmt.Sprint("service-", i)
		rules[i] = rule(tb, s)
		rules[i].Tenant, rules[i].ID = tenant, fmt.Sprint(tenant, i)
	}
	return rules
}

// round is one evaluation that ends after some queries. It returns the rules that
// had their queries.
func (r *ending) round(tb testing.TB, e *Evaluator, at time.Time, rules []alert.Rule, queries int) map[string]bool {
	tb.Helper()
	ctx, cancel := context.WithCancelCause(tb.Context())
	defer cancel(nil)
	r.left, r.end, r.queries = queries, cancel, nil
	asked := make(map[string]bool)
	for i, res := range e.Evaluate(ctx, at, rules) {
		if errors.Is(res.Err, errNothing) {
			asked[rules[i].ID] = true
			continue
		}
		require.Error(tb, res.Err)
		assert.False(tb, res.NoData, "a rule that was not evaluated keeps its state")
	}
	return asked
}

func newEnding(o Options) (*ending, *Evaluator) {
	r := &ending{}
	o.Reader = func() (profilestore.Reader, error) { return r, nil }
	return r, New(o)
}

// A tenant with many rules does not take the time of another one.
func TestTenantsTakeTurns(t *testing.T) {
	r, e := newEnding(Options{Concurrency: 1, MaxQueries: 1000})
	rules := services(t, "greedy", 900, Spec{Metric: LockWait})
	rules = append(rules, services(t, "good", 3, Spec{Metric: LockWait})...)
	for range 3 {
		asked := r.round(t, e, now, rules, 12)
		for i := range 3 {
			assert.True(t, asked[fmt.Sprint("good", i)], i)
		}
	}
}

// stuck answers only some tenants, and tells when it has answered enough.
type stuck struct {
	profilestore.Reader
	slow string
	left atomic.Int32
	end  context.CancelFunc
}

func (r *stuck) MergeStacks(ctx context.Context, sel profilestore.Selector, _ profilestore.MergeOptions) (*profilestore.Merge, error) {
	if sel.Tenant == r.slow {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	if r.left.Add(-1) == 0 {
		r.end()
	}
	return &profilestore.Merge{}, nil
}

// A tenant whose queries take long does not have all queries that run.
func TestSlowTenantsLeaveRoom(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r := &stuck{slow: "slow", end: cancel}
	r.left.Store(20)
	e := New(Options{Reader: func() (profilestore.Reader, error) { return r, nil }, Concurrency: 2})
	rules := append(services(t, "slow", 100, Spec{Metric: LockWait}), services(t, "good", 20, Spec{Metric: LockWait})...)
	for i, res := range e.Evaluate(ctx, now, rules)[100:] {
		assert.ErrorIs(t, res.Err, errNothing, i)
	}
}

// The tenant that is served first is another one each time, if there is no time
// for all.
func TestTenantsTakeTurnsOverRounds(t *testing.T) {
	r, e := newEnding(Options{Concurrency: 1})
	var rules []alert.Rule
	for i := range 10 {
		rules = append(rules, services(t, fmt.Sprint("tenant-", i, "-"), 1, Spec{Metric: LockWait})...)
	}
	asked := make(map[string]bool)
	for i := range 5 {
		for id := range r.round(t, e, now.Add(time.Duration(i)*time.Minute), rules, 2) {
			asked[id] = true
		}
	}
	assert.Len(t, asked, 10)
}

// Rules that need more queries than there are in one evaluation are evaluated in
// turn, also those that need two.
func TestRulesTakeTurns(t *testing.T) {
	const most = 7
	for name, end := range map[string]int{"budget": 0, "time": 5} {
		t.Run(name, func(t *testing.T) {
			r, e := newEnding(Options{Concurrency: 1, MaxQueries: most})
			rules := services(t, "a", 20, Spec{Metric: LockWait})
			rules = append(rules, services(t, "b", 20, Spec{Metric: ChangeVsBaseline, Function: "f"})...)
			for i := range rules {
				rules[i].Tenant = "t"
			}
			asked := make(map[string]int)
			const rounds = 20 // of 60 queries: three times all, and half of the last one is lost
			for i := range rounds {
				for id := range r.round(t, e, now.Add(time.Duration(i)*time.Minute), rules, end) {
					asked[id]++
				}
				assert.LessOrEqual(t, len(r.queries), most)
			}
			assert.Len(t, asked, len(rules), "each was evaluated")
		})
	}
}

func TestWaitingIsSaid(t *testing.T) {
	_, e := newEnding(Options{MaxQueries: 2})
	results := e.Evaluate(t.Context(), now, services(t, "t", 3, Spec{Metric: LockWait}))
	require.ErrorIs(t, results[1].Err, errNothing)
	require.ErrorContains(t, results[2].Err, "the rules of the tenant need more than 2 queries")
}

// What is known of rules goes with them.
func TestHistoryForgets(t *testing.T) {
	_, e := newEnding(Options{})
	e.Evaluate(t.Context(), now, services(t, "t", 3, Spec{Metric: LockWait}))
	require.Len(t, e.history.tenants["t"].rules, 3)
	e.Evaluate(t.Context(), now, services(t, "t", 1, Spec{Metric: LockWait}))
	require.Len(t, e.history.tenants["t"].rules, 1)
	e.Evaluate(t.Context(), now.Add(2*forget), services(t, "u", 1, Spec{Metric: LockWait}))
	assert.Len(t, e.history.tenants, 1)
}
