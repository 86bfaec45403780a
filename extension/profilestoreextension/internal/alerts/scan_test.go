package alerts

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/alert"
)

// TestManyRules reads more rules than a page has, and what one tenant has of them.
func TestManyRules(t *testing.T) {
	s := open(t, nil)
	ctx := t.Context()
	const n = rulePage + 10
	rows := newRuleRows()
	for i := range n {
		r := rule(fmt.Sprintf("alert-%d", i), 1)
		r.Tenant = fmt.Sprintf("tenant-%d", i%3)
		r.Annotations = map[string]string{"text": strings.Repeat("x", 1000)}
		rows.add(r)
		rows.first.add(now)
	}
	require.NoError(t, s.insert(ctx, "alert_rules", inputOf(rows.fields), ""))
	rules, err := s.Rules(ctx, dialect)
	require.NoError(t, err)
	require.Len(t, rules, n)
	assert.Equal(t, "alert-0", rules[0].ID)
	assert.Equal(t, fmt.Sprintf("alert-%d", n-1), rules[n-1].ID)
	u, err := s.Usage(ctx, dialect, "tenant-0")
	require.NoError(t, err)
	own, err := s.TenantRules(ctx, dialect, "tenant-0")
	require.NoError(t, err)
	assert.Len(t, own, u.Rules)
	assert.Equal(t, n, u.AllRules)
	size := 0
	for i := range own {
		size += own[i].Size()
	}
	assert.Equal(t, size, u.Bytes)
	one, err := s.Rule(ctx, dialect, own[1].Key())
	require.NoError(t, err)
	assert.Equal(t, own[1], one)
	_, err = s.Rule(ctx, dialect, alert.Key{Tenant: "tenant-1", ID: own[1].ID})
	require.ErrorIs(t, err, alert.ErrNotFound)
}

// TestStatesOfDeletedRules checks that a rule that was deleted while it was pending
// leaves no state, and that the history is completed.
func TestStatesOfDeletedRules(t *testing.T) {
	s := open(t, nil)
	ctx := t.Context()
	require.NoError(t, s.PutRule(ctx, rule("alert-1", 1)))
	st, _ := transition("alert-1", 1, alert.Pending)
	require.NoError(t, s.Transition(ctx, dialect, st, nil))
	gone := rule("alert-1", 2)
	gone.Deleted = true
	require.NoError(t, s.PutRule(ctx, gone))
	st, e := transition("alert-2", 1, alert.Firing)
	require.NoError(t, s.Transition(ctx, dialect, st, e))
	s.sql(t, "TRUNCATE TABLE %s", "alert_history") // its writer died before the copy
	states, err := s.States(ctx, dialect)
	require.NoError(t, err)
	require.Len(t, states, 1)
	assert.Equal(t, "alert-2", states[0].Key.ID)
	assert.Equal(t, "1", s.sql(t, "SELECT count() FROM %s", "alert_history"))
}
