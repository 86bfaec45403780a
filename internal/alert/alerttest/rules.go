package alerttest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/alert"
)

func newIDs(t *testing.T, f *fixture) {
	const each = 4
	var (
		mu  sync.Mutex
		wg  sync.WaitGroup
		ids = map[uint64]bool{}
	)
	for i := range writers {
		wg.Go(func() {
			for range each {
				id, err := f.replicas[i%2].NewID(t.Context(), f.dialect)
				mu.Lock()
				assert.NoError(t, err)
				assert.Positive(t, id)
				assert.False(t, ids[id], "id %d was given twice", id)
				ids[id] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	assert.Len(t, ids, writers*each)
	other, err := f.replicas[0].NewID(t.Context(), f.dialect+"-other")
	require.NoError(t, err)
	assert.Equal(t, uint64(1), other, "the first id of another dialect")
}

func rulesComeBack(t *testing.T, f *fixture) {
	full := f.put(t, f.rule("anonymous", "alert-1"))
	empty := f.put(t, &alert.Rule{Dialect: f.dialect, ID: "alert-2", Revision: 1, CreatedAt: start})
	rules, err := f.replicas[1].Rules(t.Context(), f.dialect)
	require.NoError(t, err)
	require.Len(t, rules, 2)
	same(t, *full, rules[0])
	same(t, *empty, rules[1])

	changed := *full
	changed.Revision, changed.Enabled, changed.Name = 2, false, "changed"
	require.NoError(t, f.replicas[1].PutRule(t.Context(), &changed))
	rules, err = f.replicas[0].Rules(t.Context(), f.dialect)
	require.NoError(t, err)
	require.Len(t, rules, 2, "a revision is not another rule")
	same(t, changed, rules[0])
}

func rulesInOrder(t *testing.T, f *fixture) {
	// The names sort in another way than they are created, and so do the tenants.
	ids := []string{"alert-9", "alert-10", "alert-8", "alert-11"}
	for i, id := range ids {
		r := f.rule(fmt.Sprintf("tenant-%d", i%2), id)
		require.NoError(t, f.replicas[i%2].PutRule(t.Context(), r))
	}
	second := f.rule("tenant-0", ids[0])
	second.Revision = 2
	f.put(t, second)
	for _, s := range f.replicas {
		rules, err := s.Rules(t.Context(), f.dialect)
		require.NoError(t, err)
		var got []string
		for _, r := range rules {
			got = append(got, r.ID)
		}
		assert.Equal(t, ids, got)
	}
}

func putOnce(t *testing.T, f *fixture) {
	for revision := uint64(1); revision <= 3; revision++ {
		name := func(i int) string { return fmt.Sprintf("revision %d by %d", revision, i) }
		winner := f.race(t, func(s alert.Store, i int) error {
			r := f.rule("a", "alert-1")
			r.Revision, r.Name = revision, name(i)
			return s.PutRule(t.Context(), r)
		})
		for _, s := range f.replicas {
			rules, err := s.Rules(t.Context(), f.dialect)
			require.NoError(t, err)
			require.Len(t, rules, 1)
			assert.Equal(t, revision, rules[0].Revision)
			assert.Equal(t, name(winner), rules[0].Name)
		}
	}
	for _, wrong := range []uint64{0, 1, 2, 3, 5} {
		r := f.rule("a", "alert-1")
		r.Revision = wrong
		require.ErrorIs(t, f.replicas[0].PutRule(t.Context(), r), alert.ErrConflict, "revision %d after 3", wrong)
	}
	// The same ID of another tenant is another rule.
	f.put(t, f.rule("b", "alert-1"))
}

func deletedRules(t *testing.T, f *fixture) {
	f.put(t, f.rule("a", "alert-1"))
	f.put(t, f.rule("a", "alert-2"))
	f.race(t, func(s alert.Store, _ int) error {
		r := f.rule("a", "alert-1")
		r.Revision, r.Deleted = 2, true
		return s.PutRule(t.Context(), r)
	})
	for _, s := range f.replicas {
		rules, err := s.Rules(t.Context(), f.dialect)
		require.NoError(t, err)
		require.Len(t, rules, 1)
		assert.Equal(t, "alert-2", rules[0].ID)
	}
	late := f.rule("a", "alert-1")
	late.Revision = 2
	require.ErrorIs(t, f.replicas[0].PutRule(t.Context(), late), alert.ErrConflict)
}

func dialects(t *testing.T, f *fixture) {
	r := f.put(t, f.rule("a", "alert-1"))
	s, e := firing(r, 1, start)
	require.NoError(t, f.replicas[0].Transition(t.Context(), f.dialect, s, e))
	store, other := f.replicas[1], f.dialect+"-other"

	rules, err := store.Rules(t.Context(), other)
	require.NoError(t, err)
	assert.Empty(t, rules)
	states, err := store.States(t.Context(), other)
	require.NoError(t, err)
	assert.Empty(t, states)
	events, err := store.History(t.Context(), other, "a", 10)
	require.NoError(t, err)
	assert.Empty(t, events)
	events, err = store.Undelivered(t.Context(), other, "receiver", start, nil, 10)
	require.NoError(t, err)
	assert.Empty(t, events)
}
