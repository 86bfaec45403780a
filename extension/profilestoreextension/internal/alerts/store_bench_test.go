package alerts

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/alert"
)

const (
	benchRules       = 1000
	benchTransitions = 100 // of each rule
)

// fill stores rules with a history, as a few inserts.
func fill(b *testing.B, s *Store) {
	b.Helper()
	rules := newRuleRows()
	for i := range benchRules {
		rules.add(rule(fmt.Sprintf("alert-%d", i), 1))
		rules.first.add(now)
	}
	require.NoError(b, s.insert(b.Context(), "alert_rules", inputOf(rules.fields), ""))
	for seq := range uint64(benchTransitions) {
		rows := newTransitionRows()
		for i := range benchRules {
			st, e := transition(fmt.Sprintf("alert-%d", i), seq+1, alert.Firing)
			rows.add(dialect, st, e)
		}
		require.NoError(b, s.insert(b.Context(), "alert_transitions", inputOf(rows.fields), ""))
	}
}

// BenchmarkStore measures the calls of an engine with 1,000 rules and 100,000
// events.
func BenchmarkStore(b *testing.B) {
	s := open(b, nil)
	fill(b, s)
	ctx := b.Context()
	b.Run("Rules", func(b *testing.B) {
		for b.Loop() {
			rules, err := s.Rules(ctx, dialect)
			require.NoError(b, err)
			require.Len(b, rules, benchRules)
		}
	})
	b.Run("States", func(b *testing.B) {
		for b.Loop() {
			states, err := s.States(ctx, dialect)
			require.NoError(b, err)
			require.Len(b, states, benchRules)
			require.EqualValues(b, benchTransitions, states[0].Seq)
		}
	})
	b.Run("History", func(b *testing.B) {
		for b.Loop() {
			events, err := s.History(ctx, dialect, "anonymous", 500)
			require.NoError(b, err)
			require.Len(b, events, 500)
		}
	})
	b.Run("Undelivered", func(b *testing.B) {
		for b.Loop() {
			events, err := s.Undelivered(ctx, dialect, "r", now, nil, 100)
			require.NoError(b, err)
			require.Len(b, events, 100)
		}
	})
	seq := uint64(benchTransitions)
	b.Run("Transition", func(b *testing.B) {
		for b.Loop() {
			seq++
			st, e := transition("alert-1", seq, alert.Firing)
			require.NoError(b, s.Transition(ctx, dialect, st, e))
		}
	})
	b.Run("Lease", func(b *testing.B) {
		for b.Loop() {
			ok, err := s.Lease(ctx, dialect, "a", 1<<40)
			require.NoError(b, err)
			require.True(b, ok)
		}
	})
	b.Run("NewID", func(b *testing.B) {
		n := uint64(0)
		for b.Loop() {
			id, err := s.NewID(ctx, dialect)
			require.NoError(b, err)
			require.Greater(b, id, n)
			n = id
		}
	})
}
