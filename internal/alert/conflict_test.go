package alert

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Another replica stores the same change at the same time.
func TestEvaluateNowLosesAConflict(t *testing.T) {
	w := newWorld()
	a, b := w.replica("a"), w.replica("b")
	w.set(a.rule(t, nil).ID, 2)
	a.meanwhile("transition", func() {
		_, err := b.EvaluateNow(t.Context(), tenant)
		assert.NoError(t, err)
	})
	got, err := a.EvaluateNow(t.Context(), tenant)
	require.NoError(t, err)
	assert.True(t, got[0].Firing())
	assert.Equal(t, 1, a.count("transition"), "what the other stored is what is true")
	require.Len(t, w.history(t), 1)
}

// What another replica has stored is not what we have found after it.
func TestEvaluateNowStoresAfterAConflict(t *testing.T) {
	w := newWorld()
	a, b := w.replica("a"), w.replica("b")
	rule := a.rule(t, nil)
	now := func(r *replica, value float64) []Evaluation {
		w.set(rule.ID, value)
		got, err := r.EvaluateNow(t.Context(), tenant)
		assert.NoError(t, err)
		return got
	}
	now(a, 2)
	a.meanwhile("transition", func() {
		now(b, 0)
		now(b, 2)
	})
	got := now(a, 0)
	assert.Equal(t, Resolved, got[0].State.Phase)
	require.Len(t, w.history(t), 4)
	checkEpisodes(t, w.history(t))
}

// What another replica resolves at the same time is not repeated.
func TestRoundLosesAConflict(t *testing.T) {
	w := newWorld()
	a, b := w.replica("a"), w.replica("b")
	rule := a.rule(t, nil)
	w.set(rule.ID, 2)
	a.round(t.Context())
	require.Len(t, a.firing, 1)
	w.set(rule.ID, 0)
	a.meanwhile("transition", func() {
		_, err := b.EvaluateNow(t.Context(), tenant)
		assert.NoError(t, err)
	})
	a.round(t.Context())
	assert.False(t, a.failing, "a conflict is not a failure")
	assert.Empty(t, a.firing)
	require.Len(t, w.history(t), 2)
}

func TestToggleLosesAConflict(t *testing.T) {
	w := newWorld()
	a, b := w.replica("a"), w.replica("b")
	rule := a.rule(t, nil)
	a.meanwhile("put rule", func() {
		on, err := b.Toggle(t.Context(), rule.Key())
		assert.NoError(t, err)
		assert.False(t, on)
	})
	on, err := a.Toggle(t.Context(), rule.Key())
	require.NoError(t, err)
	assert.True(t, on)

	a.meanwhile("put rule", func() {
		ok, err := b.Delete(t.Context(), rule.Key())
		assert.NoError(t, err)
		assert.True(t, ok)
	})
	_, err = a.Toggle(t.Context(), rule.Key())
	require.ErrorIs(t, err, ErrNotFound)
}

// Nobody knows whether a rule was clear all the time if nobody looked.
func TestClearIsForgottenWithTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		r := w.replica("a")
		rule := r.rule(t, func(r *Rule) { r.Rearm = interval })
		phase := func(value float64, later time.Duration) Phase {
			passed(later)
			w.set(rule.ID, value)
			got, err := r.EvaluateNow(t.Context(), tenant)
			require.NoError(t, err)
			return got[0].State.Phase
		}
		assert.Equal(t, Firing, phase(2, 0))
		assert.Equal(t, Firing, phase(0, 0))
		assert.Equal(t, Firing, phase(0, time.Hour))
		assert.Equal(t, Resolved, phase(0, interval))
	})
}
