package alerttest

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/alert"
)

// level is the value of all rules.
type level struct{ high atomic.Bool }

// Evaluate implements [alert.Evaluator].
func (l *level) Evaluate(_ context.Context, _ time.Time, rules []alert.Rule) []alert.Result {
	results := make([]alert.Result, len(rules))
	if l.high.Load() {
		for i := range results {
			results[i].Value = 1
		}
	}
	return results
}

// enginesFireOnce lets engines on both replicas evaluate the same rules at once.
func enginesFireOnce(t *testing.T, f *fixture) {
	const (
		engines  = 3
		rules    = 3
		episodes = 2
		tenant   = "a"
	)
	values := &level{}
	all := make([]*alert.Engine, engines)
	for i := range all {
		all[i] = alert.New(alert.Config{
			Dialect: f.dialect, IDPrefix: "alert-", Store: f.replicas[i%2], Evaluator: values, Interval: time.Minute,
		})
	}
	for i := range rules {
		_, err := all[i].Create(t.Context(), alert.Rule{Tenant: tenant, Enabled: true, Operator: alert.Greater})
		require.NoError(t, err)
	}
	for i := range 2 * episodes {
		values.high.Store(i%2 == 0)
		var wg sync.WaitGroup
		for _, e := range all {
			wg.Go(func() {
				got, err := e.EvaluateNow(t.Context(), tenant)
				assert.NoError(t, err)
				assert.Len(t, got, rules)
				for _, v := range got {
					assert.Equal(t, i%2 == 0, v.Firing())
				}
			})
		}
		wg.Wait()
	}
	events, err := f.replicas[0].History(t.Context(), f.dialect, tenant, 100)
	require.NoError(t, err)
	slices.Reverse(events)
	seen := map[alert.Key]uint64{}
	for _, e := range events {
		seen[e.Key]++
		assert.Equal(t, seen[e.Key], e.Seq, "rule %s", e.Key.ID)
		assert.Equal(t, e.Seq%2 == 1, e.Phase == alert.Firing)
	}
	assert.Len(t, seen, rules)
	assert.Len(t, events, rules*2*episodes)
}
