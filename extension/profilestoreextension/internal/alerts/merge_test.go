package alerts

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/alert"
)

// age makes the rows of a table older than any of its TTLs.
func (s *Store) age(t *testing.T, table string) {
	t.Helper()
	// A new table, because rows cannot be inserted again under their tokens.
	s.sql(t, "CREATE TABLE "+s.table(table+"_copy")+" AS %s", table)
	s.sql(t, "INSERT INTO "+s.table(table+"_copy")+" (* EXCEPT rank) SELECT * EXCEPT rank REPLACE (written - toIntervalDay(400) AS written) FROM %s", table)
	s.sql(t, "EXCHANGE TABLES "+s.table(table+"_copy")+" AND %s", table)
}

// TestOldVersions makes everything old and merges it: what is newest stays, and
// the next version is the one after it.
func TestOldVersions(t *testing.T) {
	s := open(t, nil)
	ctx := t.Context()
	for _, id := range []string{"alert-2", "alert-1"} {
		for revision := range uint64(3) {
			require.NoError(t, s.PutRule(ctx, rule(id, revision+1)))
		}
	}
	gone := rule("alert-3", 1)
	require.NoError(t, s.PutRule(ctx, gone))
	gone.Revision, gone.Deleted = 2, true
	require.NoError(t, s.PutRule(ctx, gone))
	for seq := range uint64(5) {
		phase := alert.Firing
		if seq%2 == 1 {
			phase = alert.Resolved
		}
		st, e := transition("alert-1", seq+1, phase)
		require.NoError(t, s.Transition(ctx, dialect, st, e))
		_, err := s.NewID(ctx, dialect)
		require.NoError(t, err)
	}
	st, e := transition("alert-3", 1, alert.Resolved) // settled, of a deleted rule
	require.NoError(t, s.Transition(ctx, dialect, st, e))
	for range 3 {
		ok, err := s.Lease(ctx, dialect, "a", time.Hour)
		require.NoError(t, err)
		require.True(t, ok)
	}
	wantRules, err := s.Rules(ctx, dialect)
	require.NoError(t, err)
	require.Len(t, wantRules, 2)
	wantStates, err := s.States(ctx, dialect)
	require.NoError(t, err)
	require.Len(t, wantStates, 1)
	require.NotNil(t, wantStates[0].Fired)

	left := map[string]string{"alert_rules": "3", "alert_transitions": "2", "alert_history": "0", "alert_ids": "1", "alert_leases": "1"}
	for table, rows := range left {
		s.age(t, table)
		s.merge(t, table)
		assert.Equal(t, rows, s.sql(t, "SELECT count() FROM %s", table), table)
	}
	rules, err := s.Rules(ctx, dialect)
	require.NoError(t, err)
	assert.Equal(t, wantRules, rules)
	states, err := s.States(ctx, dialect)
	require.NoError(t, err)
	assert.Equal(t, wantStates, states)
	events, err := s.History(ctx, dialect, "anonymous", 10)
	require.NoError(t, err)
	assert.Empty(t, events, "the state that is left is not history")
	events, err = s.Undelivered(ctx, dialect, "r", time.Time{}, nil, 10)
	require.NoError(t, err)
	assert.Empty(t, events)

	id, err := s.NewID(ctx, dialect)
	require.NoError(t, err)
	assert.Equal(t, uint64(6), id)
	require.ErrorIs(t, s.PutRule(ctx, rule("alert-1", 3)), alert.ErrConflict)
	require.NoError(t, s.PutRule(ctx, rule("alert-1", 4)))
	require.ErrorIs(t, s.PutRule(ctx, rule("alert-3", 1)), alert.ErrConflict, "the id of a deleted rule")
	st, e = transition("alert-1", 6, alert.Resolved)
	require.NoError(t, s.Transition(ctx, dialect, st, e))
	ok, err := s.Lease(ctx, dialect, "b", time.Hour)
	require.NoError(t, err)
	assert.True(t, ok, "the old lease is over")
	ok, err = s.Lease(ctx, dialect, "a", time.Hour)
	require.NoError(t, err)
	assert.False(t, ok)
	for range 2 { // old and new rows side by side
		rules, err = s.Rules(ctx, dialect)
		require.NoError(t, err)
		require.Len(t, rules, 2)
		assert.Equal(t, "alert-2", rules[0].ID, "the order of creation")
		assert.Equal(t, "revision 4", rules[1].Name)
		for table := range left {
			s.merge(t, table)
		}
	}
}

// TestTombstone checks that hardly anything is kept of a deleted rule.
func TestTombstone(t *testing.T) {
	s := open(t, nil)
	require.NoError(t, s.PutRule(t.Context(), rule("alert-1", 1)))
	r := rule("alert-1", 2)
	r.Deleted = true
	require.NoError(t, s.PutRule(t.Context(), r))
	assert.Equal(t, "\t0\t\t{}", s.sql(t, "SELECT name, enabled, spec, labels FROM %s WHERE deleted = 1", "alert_rules"))
	require.NoError(t, s.PutRule(t.Context(), rule("alert-1", 3)), "it may come back")
	rules, err := s.Rules(t.Context(), dialect)
	require.NoError(t, err)
	assert.Len(t, rules, 1)
}
