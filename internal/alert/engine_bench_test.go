package alert

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// countingStore counts queries.
type countingStore struct {
	Store
	queries atomic.Int64
}

func (s *countingStore) Rules(ctx context.Context, d string) ([]Rule, error) {
	s.queries.Add(1)
	return s.Store.Rules(ctx, d)
}

func (s *countingStore) States(ctx context.Context, d string) ([]State, error) {
	s.queries.Add(1)
	return s.Store.States(ctx, d)
}

func (s *countingStore) Transition(ctx context.Context, d string, state *State, e *Event) error {
	s.queries.Add(1)
	return s.Store.Transition(ctx, d, state, e)
}

func (s *countingStore) Lease(ctx context.Context, d, holder string, ttl time.Duration) (bool, error) {
	s.queries.Add(1)
	return s.Store.Lease(ctx, d, holder, ttl)
}

// thousand returns an engine with 1000 rules, of which every tenth fires.
func thousand(tb testing.TB) (*Engine, *countingStore) {
	tb.Helper()
	const rules = 1000
	store := &countingStore{Store: NewMemory()}
	e := New(Config{
		Dialect: dialect, IDPrefix: "alert-", Store: store, MaxRules: rules,
		Evaluator: evaluatorFunc(func(rules []Rule) []Result {
			results := make([]Result, len(rules))
			for i := range rules {
				results[i] = Result{Value: float64(i % 10), Metric: "m", Message: "sentence"}
			}
			return results
		}),
	})
	for range rules {
		_, err := e.Create(tb.Context(), Rule{
			Tenant: tenant, Name: "name", Severity: "info", Enabled: true, Operator: Greater, Threshold: 8.5,
			For: time.Nanosecond, Labels: map[string]string{"service": "s"},
		})
		require.NoError(tb, err)
	}
	return e, store
}

func checkThousand(tb testing.TB, e *Engine, s *countingStore) {
	tb.Helper()
	require.Len(tb, e.firing, 100)
	require.False(tb, e.failing)
	s.queries.Store(0)
	e.round(tb.Context())
	require.Equal(tb, int64(3), s.queries.Load(), "lease, rules and states, however many rules there are")
	require.Len(tb, e.firing, 100)
}

func TestRoundCostsAFewQueries(t *testing.T) {
	e, s := thousand(t)
	for range 2 { // pending, firing
		e.round(t.Context())
	}
	checkThousand(t, e, s)
}

func BenchmarkRound1000Rules(b *testing.B) {
	e, s := thousand(b)
	for range 2 {
		e.round(b.Context())
	}
	b.ReportAllocs()
	for b.Loop() {
		e.round(b.Context())
	}
	b.StopTimer()
	checkThousand(b, e, s)
}
