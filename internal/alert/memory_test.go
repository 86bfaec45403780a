package alert

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Memory keeps no more than it says.
func TestMemoryIsBounded(t *testing.T) {
	m := NewMemory()
	ctx := t.Context()
	rule := &Rule{Dialect: dialect, Tenant: tenant, ID: "alert-1", Revision: 1}
	require.NoError(t, m.PutRule(ctx, rule))
	const n = memoryHistory + 100
	for i := range n {
		s := &State{Key: rule.Key(), Seq: uint64(i + 1), Phase: Firing}
		e := Event{Key: rule.Key(), Seq: s.Seq, Phase: Firing, At: t0.Add(time.Duration(i))}
		require.NoError(t, m.Transition(ctx, dialect, s, &e))
		require.NoError(t, m.Delivered(ctx, dialect, "receiver", []Event{e}))
	}
	events, err := m.History(ctx, dialect, tenant, n)
	require.NoError(t, err)
	require.Len(t, events, memoryHistory)
	assert.Equal(t, uint64(n), events[0].Seq)
	d := m.dialects[dialect]
	assert.Len(t, d.delivered["receiver"], memoryHistory)
	assert.LessOrEqual(t, cap(d.events[tenant]), 2*memoryHistory)

	// An event that is no longer known does not come back.
	require.NoError(t, m.Delivered(ctx, dialect, "receiver", []Event{{Key: rule.Key(), Seq: 1}}))
	assert.Len(t, d.delivered["receiver"], memoryHistory)
	for _, limit := range []int{0, -1} {
		events, err = m.History(ctx, dialect, tenant, limit)
		require.NoError(t, err)
		assert.Empty(t, events)
	}

	gone := *rule
	gone.Revision, gone.Deleted = 2, true
	require.NoError(t, m.PutRule(ctx, &gone))
	assert.Len(t, d.rules, 1, "it is firing")
	require.NoError(t, m.Transition(ctx, dialect, &State{Key: rule.Key(), Seq: n + 1, Phase: Resolved}, nil))
	assert.Empty(t, d.rules)
	assert.Empty(t, d.order)
}

// Many tenants with a few events each are no way round the bound either: who has
// most loses first.
func TestMemoryIsBoundedOverTenants(t *testing.T) {
	m := NewMemory()
	add := func(tenant string, events int) {
		rule := &Rule{Dialect: dialect, Tenant: tenant, ID: tenant, Revision: 1}
		require.NoError(t, m.PutRule(t.Context(), rule))
		for i := range events {
			s := &State{Key: rule.Key(), Seq: uint64(i + 1), Phase: Firing}
			e := Event{Key: rule.Key(), Seq: s.Seq, Phase: Firing, At: t0.Add(time.Duration(i))}
			require.NoError(t, m.Transition(t.Context(), dialect, s, &e))
			require.NoError(t, m.Delivered(t.Context(), dialect, "receiver", []Event{e}))
		}
	}
	add("much", memoryHistory)
	for i := range memoryEvents {
		add(fmt.Sprint(i), 1)
	}
	d := m.dialects[dialect]
	total := 0
	for _, events := range d.events {
		total += len(events)
	}
	assert.Equal(t, memoryEvents, total)
	assert.Len(t, d.delivered["receiver"], memoryEvents)
	assert.LessOrEqual(t, len(d.events["much"]), 1)
}
