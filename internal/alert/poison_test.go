package alert

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An event that a receiver answers with a failure again and again holds up no other.
func TestPoisonEventHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		r := w.replica("a")
		r.cfg.MaxRules = 1000
		times := map[string]int{}
		n := &namedNotifier{name: "receiver", notify: func(_ context.Context, events []Event) error {
			for _, e := range events {
				if e.Key.ID == "alert-70" {
					return errAway
				}
			}
			for _, e := range events {
				times[e.Key.ID]++
			}
			return nil
		}}
		r.receivers[0].n = n
		const rules = 300
		for range rules {
			w.set(r.rule(t, nil).ID, 2)
		}
		r.started(t)
		passed(time.Minute)
		assert.Len(t, times, rules-1)
		for id, n := range times {
			assert.Equal(t, 1, n, "%s is told once", id)
		}
		n.mended.Store(true)
		passed(4 * maxBackoff)
		assert.Equal(t, int64(rules), n.events.Load())
	})
}

// An alert whose beginning nobody was told of has no end either.
func TestEndWithoutBeginningIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		r := w.replica("a").started(t)
		rule := r.rule(t, nil)
		r.set(true, false)
		w.set(rule.ID, 2)
		passed(deliverySince + time.Hour)
		w.set(rule.ID, 0)
		r.set(false, false)
		passed(4 * maxBackoff)
		require.Len(t, w.history(t), 2)
		assert.Empty(t, w.taken())
	})
}

// The turn of one tenant is not that of another.
func TestTurnsOfTenants(t *testing.T) {
	var all turns
	release, err := all.take(t.Context(), "a")
	require.NoError(t, err)
	other, err := all.take(t.Context(), "b")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = all.take(ctx, "a")
	require.ErrorIs(t, err, context.Canceled)
	release()
	release, err = all.take(t.Context(), "a")
	require.NoError(t, err)
	release()
	other()
	assert.Empty(t, all.tenants, "nothing is kept of who is done")
}
