package alerttest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/alert"
)

// states returns the states by key, the same from both replicas.
func (f *fixture) states(t *testing.T) map[alert.Key]alert.State {
	t.Helper()
	var all [2]map[alert.Key]alert.State
	for i, s := range f.replicas {
		list, err := s.States(t.Context(), f.dialect)
		require.NoError(t, err)
		all[i] = map[alert.Key]alert.State{}
		for _, s := range list {
			all[i][s.Key] = s
		}
		require.Len(t, all[i], len(list), "a rule has two states")
	}
	require.Len(t, all[1], len(all[0]))
	for k := range all[0] {
		same(t, all[0][k], all[1][k])
	}
	return all[0]
}

func statesComeBack(t *testing.T, f *fixture) {
	r := f.put(t, f.rule("a", "alert-1"))
	f.put(t, f.rule("b", "alert-1")) // has no state
	assert.Empty(t, f.states(t))

	pending := &alert.State{Key: r.Key(), Seq: 1, Phase: alert.Pending, Since: start, Revision: 1}
	require.NoError(t, f.replicas[0].Transition(t.Context(), f.dialect, pending, nil))
	got := f.states(t)
	require.Len(t, got, 1)
	same(t, *pending, got[r.Key()])

	fired, event := firing(r, 2, start.Add(time.Minute))
	// What is not stored must not come back.
	fired.ClearSince = start
	require.NoError(t, f.replicas[1].Transition(t.Context(), f.dialect, fired, event))
	want := *fired
	want.Fired, want.ClearSince = event, time.Time{}
	same(t, want, f.states(t)[r.Key()])
	assert.Zero(t, f.states(t)[r.Key()].ClearSince)

	done, event := resolved(r, fired, start.Add(2*time.Minute))
	require.NoError(t, f.replicas[0].Transition(t.Context(), f.dialect, done, event))
	same(t, *done, f.states(t)[r.Key()])

	again := *done
	again.Seq, again.Phase, again.Since = 4, alert.Pending, start.Add(3*time.Minute)
	require.NoError(t, f.replicas[0].Transition(t.Context(), f.dialect, &again, nil))
	same(t, again, f.states(t)[r.Key()])
}

func transitionOnce(t *testing.T, f *fixture) {
	r := f.put(t, f.rule("a", "alert-1"))
	for seq := uint64(1); seq <= 3; seq++ {
		at := func(i int) time.Time { return start.Add(time.Duration(seq)*time.Minute + time.Duration(i)*time.Second) }
		winner := f.race(t, func(store alert.Store, i int) error {
			s, e := firing(r, seq, at(i))
			return store.Transition(t.Context(), f.dialect, s, e)
		})
		s := f.states(t)[r.Key()]
		assert.Equal(t, seq, s.Seq)
		assert.True(t, at(winner).Equal(s.FiredAt), "the state is that of another writer")
	}
	for _, wrong := range []uint64{0, 1, 2, 3, 5} {
		s, e := firing(r, wrong, start)
		require.ErrorIs(t, f.replicas[0].Transition(t.Context(), f.dialect, s, e), alert.ErrConflict, "seq %d after 3", wrong)
	}
	events, err := f.replicas[1].History(t.Context(), f.dialect, "a", 100)
	require.NoError(t, err)
	assert.Len(t, events, 3)
}

func transitionWithEvent(t *testing.T, f *fixture) {
	// Half of the writers have an event, half have none: it is there if and only if
	// the state of its writer is.
	for _, id := range []string{"alert-1", "alert-2", "alert-3", "alert-4"} {
		r := f.put(t, f.rule(id, id))
		winner := f.race(t, func(store alert.Store, i int) error {
			s, e := firing(r, 1, start)
			if i%4 < 2 {
				s.Phase, e = alert.Pending, nil
			}
			return store.Transition(t.Context(), f.dialect, s, e)
		})
		events, err := f.replicas[(winner+1)%2].History(t.Context(), f.dialect, id, 100)
		require.NoError(t, err)
		if s := f.states(t)[r.Key()]; s.Phase == alert.Pending {
			assert.Empty(t, events)
		} else {
			assert.Len(t, events, 1)
		}
	}
}

func deletedAndFiring(t *testing.T, f *fixture) {
	r := f.put(t, f.rule("a", "alert-1"))
	s, e := firing(r, 1, start)
	require.NoError(t, f.replicas[0].Transition(t.Context(), f.dialect, s, e))
	gone := *r
	gone.Revision, gone.Deleted = 2, true
	f.put(t, &gone)
	want := *s
	want.Fired = e
	same(t, want, f.states(t)[r.Key()])

	s, e = resolved(r, s, start.Add(time.Second))
	require.NoError(t, f.replicas[1].Transition(t.Context(), f.dialect, s, e))
	if s, ok := f.states(t)[r.Key()]; ok {
		assert.Equal(t, alert.Resolved, s.Phase)
	}
	events, err := f.replicas[0].History(t.Context(), f.dialect, "a", 10)
	require.NoError(t, err)
	assert.Len(t, events, 2, "the history outlives the rule")
}
