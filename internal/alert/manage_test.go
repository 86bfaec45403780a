package alert

import (
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCreate(t *testing.T) {
	w := newWorld()
	a, b := w.replica("a"), w.replica("b")
	given := Rule{
		Tenant: tenant, Name: "n", Severity: "info", Enabled: true, Operator: Less, Threshold: 0.5,
		Dialect: "another", ID: "mine", Revision: 7, Deleted: true,
	}
	before := time.Now()
	got, err := a.Create(t.Context(), given)
	require.NoError(t, err)
	assert.WithinRange(t, got.CreatedAt, before.Truncate(time.Millisecond), time.Now())
	want := given
	want.Dialect, want.ID, want.Revision, want.Deleted, want.CreatedAt = dialect, "alert-1", 1, false, got.CreatedAt
	assert.Equal(t, want, got)

	given.CreatedAt = t0
	second, err := b.Create(t.Context(), given)
	require.NoError(t, err)
	assert.Equal(t, "alert-2", second.ID)
	assert.Equal(t, t0, second.CreatedAt)

	list, err := b.List(t.Context(), tenant)
	require.NoError(t, err)
	require.Len(t, list, 2)
	assert.Equal(t, Evaluation{Rule: got, State: State{Key: got.Key(), Phase: Inactive}}, list[0])
	assert.Equal(t, second, list[1].Rule)

	given.Threshold = math.NaN()
	_, err = a.Create(t.Context(), given)
	require.EqualError(t, err, "threshold NaN must be a finite number")
}

func TestCreateHasALimitForEachTenant(t *testing.T) {
	w := newWorld()
	r := w.replica("a")
	r.cfg.MaxRules = 10
	var (
		wg      sync.WaitGroup
		refused atomic.Int64
	)
	for range 30 {
		wg.Go(func() {
			if _, err := r.Create(t.Context(), Rule{Tenant: tenant, Operator: Greater}); err != nil {
				assert.ErrorIs(t, err, ErrTooManyRules)
				assert.EqualError(t, err, "too many rules: there are 10, the limit is 10")
				refused.Add(1)
			}
		})
	}
	wg.Wait()
	assert.Equal(t, int64(20), refused.Load())
	list, err := r.List(t.Context(), tenant)
	require.NoError(t, err)
	require.Len(t, list, 10)
	_, err = r.Create(t.Context(), Rule{Tenant: "other", Operator: Greater})
	require.NoError(t, err)
	_, err = r.Delete(t.Context(), list[3].Rule.Key())
	require.NoError(t, err)
	_, err = r.Create(t.Context(), Rule{Tenant: tenant, Operator: Greater})
	require.NoError(t, err)
}

func TestDelete(t *testing.T) {
	w := newWorld()
	replicas := []*replica{w.replica("a"), w.replica("b"), w.replica("c")}
	rule := replicas[0].rule(t, nil)
	other := replicas[0].rule(t, func(r *Rule) { r.Tenant = "other" })
	var (
		wg      sync.WaitGroup
		deleted atomic.Int64
	)
	for i := range 64 {
		wg.Go(func() {
			ok, err := replicas[i%len(replicas)].Delete(t.Context(), rule.Key())
			assert.NoError(t, err)
			if ok {
				deleted.Add(1)
			}
		})
	}
	wg.Wait()
	assert.Equal(t, int64(1), deleted.Load())
	for _, k := range []Key{{tenant, other.ID}, {"other", rule.ID}, {"other", "alert-99"}, {}} {
		ok, err := replicas[0].Delete(t.Context(), k)
		require.NoError(t, err)
		assert.False(t, ok, "%v", k)
	}
	list, err := replicas[0].List(t.Context(), "other")
	require.NoError(t, err)
	assert.Len(t, list, 1)
	list, err = replicas[0].List(t.Context(), tenant)
	require.NoError(t, err)
	assert.Empty(t, list)
	assert.Equal(t, "alert-3", replicas[1].rule(t, nil).ID, "the id is not given again")
}

func TestToggle(t *testing.T) {
	w := newWorld()
	replicas := []*replica{w.replica("a"), w.replica("b"), w.replica("c")}
	rule := replicas[0].rule(t, nil)
	const times = 63
	var (
		wg      sync.WaitGroup
		enabled atomic.Int64
	)
	for i := range times {
		wg.Go(func() {
			on, err := replicas[i%len(replicas)].Toggle(t.Context(), rule.Key())
			assert.NoError(t, err)
			if on {
				enabled.Add(1)
			}
		})
	}
	wg.Wait()
	list, err := replicas[0].List(t.Context(), tenant)
	require.NoError(t, err)
	assert.False(t, list[0].Rule.Enabled, "an odd number of toggles")
	assert.Equal(t, uint64(1+times), list[0].Rule.Revision, "each of them counts")
	assert.Equal(t, int64(times/2), enabled.Load())

	for _, k := range []Key{{"other", rule.ID}, {tenant, "alert-99"}} {
		_, err = replicas[0].Toggle(t.Context(), k)
		require.ErrorIs(t, err, ErrNotFound)
	}
}

func TestEvaluateNow(t *testing.T) {
	w := newWorld()
	r := w.replica("a")
	high := r.rule(t, nil)
	slow := r.rule(t, func(r *Rule) { r.For = time.Hour })
	low := r.rule(t, nil)
	off := r.rule(t, func(r *Rule) { r.Enabled = false })
	away := r.rule(t, nil)
	foreign := r.rule(t, func(r *Rule) { r.Tenant = "other" })
	for _, rule := range []Rule{high, slow, off, away, foreign} {
		w.set(rule.ID, 2)
	}
	w.fail(away.ID, errAway)

	for range 3 { // every call answers every rule that is true
		got, err := r.EvaluateNow(t.Context(), tenant)
		require.NoError(t, err)
		require.Len(t, got, 4)
		for i, want := range []struct {
			id          string
			met, firing bool
			phase       Phase
		}{
			{high.ID, true, true, Firing},
			{slow.ID, true, false, Pending},
			{low.ID, false, false, Inactive},
			{away.ID, false, false, Inactive},
		} {
			assert.Equal(t, want.id, got[i].Rule.ID)
			assert.Equal(t, want.met, got[i].Met, "%s", want.id)
			assert.Equal(t, want.firing, got[i].Firing(), "%s", want.id)
			assert.Equal(t, want.phase, got[i].State.Phase, "%s", want.id)
			assert.NotZero(t, got[i].At)
		}
		require.ErrorIs(t, got[3].Result.Err, errAway)
	}
	require.Len(t, w.history(t), 1)
	events, err := w.History(t.Context(), dialect, "other", 10)
	require.NoError(t, err)
	assert.Empty(t, events, "rules of others are not evaluated")
	assert.Len(t, r.found, 4)

	// A rule that was switched off and on again is resolved and fires in one call.
	for range 2 {
		_, err = r.Toggle(t.Context(), high.Key())
		require.NoError(t, err)
	}
	got, err := r.EvaluateNow(t.Context(), tenant)
	require.NoError(t, err)
	assert.True(t, got[0].Firing())
	require.Len(t, w.history(t), 3)

	// What fires when its rule is deleted is resolved.
	ok, err := r.Delete(t.Context(), high.Key())
	require.NoError(t, err)
	require.True(t, ok)
	got, err = r.EvaluateNow(t.Context(), tenant)
	require.NoError(t, err)
	require.Len(t, got, 3)
	history := w.history(t)
	require.Len(t, history, 4)
	checkEpisodes(t, history)
	assert.Equal(t, "name: the rule was deleted", history[3].Message)
	assert.Len(t, r.found, 3, "nothing is remembered of it")
}

func TestEvaluateNowWithoutRules(t *testing.T) {
	r := newWorld().replica("a")
	r.cfg.Evaluator = nil // is not asked
	got, err := r.EvaluateNow(t.Context(), tenant)
	require.NoError(t, err)
	assert.Empty(t, got)
}
