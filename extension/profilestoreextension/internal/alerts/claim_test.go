package alerts

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/alert"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

func idRow(n uint64) proto.Input {
	d := newDialects()
	d.Append(dialect)
	return proto.Input{{Name: "dialect", Data: d}, {Name: "n", Data: proto.ColUInt64{n}}}
}

var ids = &place{table: "alert_ids", column: "n", dialect: dialect}

// TestClaimAgain repeats a claim whose answer was lost: the same nonce is the
// same claim, another is another's.
func TestClaimAgain(t *testing.T) {
	s := open(t, nil)
	mine := newNonce()
	for range 3 {
		require.NoError(t, s.claim(t.Context(), ids, 1, idRow(1), mine))
	}
	require.ErrorIs(t, s.claim(t.Context(), ids, 1, idRow(1), newNonce()), alert.ErrConflict)
	require.NoError(t, s.claim(t.Context(), ids, 1, idRow(1), mine))
	assert.Equal(t, "1", s.sql(t, "SELECT count() FROM %s", "alert_ids"))
}

// TestTokenWithoutRow takes rows away and leaves their tokens, as a server may
// that is killed between the two.
func TestTokenWithoutRow(t *testing.T) {
	s := open(t, nil)
	lose := func(attempts int) {
		t.Helper()
		for attempt := range attempts {
			require.NoError(t, s.insert(t.Context(), "alert_ids", idRow(1), ids.token(1, attempt)))
		}
		s.sql(t, "ALTER TABLE %s DELETE WHERE 1 SETTINGS mutations_sync = 1", "alert_ids")
		assert.Equal(t, "0", s.sql(t, "SELECT count() FROM %s", "alert_ids"))
	}
	lose(1)
	// Where rows may come later, nobody can say that there is none.
	lagging := New(s.pool, s.opts)
	lagging.opts.Lagging = true
	require.ErrorIs(t, lagging.claim(t.Context(), ids, 1, idRow(1), newNonce()), profilestore.ErrUnavailable)
	require.NoError(t, s.claim(t.Context(), ids, 1, idRow(1), newNonce()))
	require.ErrorIs(t, s.claim(t.Context(), ids, 1, idRow(1), newNonce()), alert.ErrConflict)

	lose(attempts)
	err := s.claim(t.Context(), ids, 1, idRow(1), newNonce())
	require.ErrorIs(t, err, profilestore.ErrUnavailable)
	assert.ErrorContains(t, err, "not there after 4 inserts")
}

// TestTokens checks that different versions have different tokens, whatever the
// names are.
func TestTokens(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range []*place{
		{table: "a", dialect: "d"},
		{table: "b", dialect: "d"},
		{table: "a", dialect: "d", key: &alert.Key{}},
		{table: "a", dialect: "", key: &alert.Key{Tenant: "d"}},
		{table: "a", dialect: "", key: &alert.Key{ID: "d"}},
		{table: "a", dialect: "d", key: &alert.Key{Tenant: "ab", ID: "c"}},
		{table: "a", dialect: "d", key: &alert.Key{Tenant: "a", ID: "bc"}},
		{table: "a", dialect: "d", key: &alert.Key{Tenant: "a", ID: "b"}},
	} {
		for version := range uint64(3) {
			for attempt := range 3 {
				token := p.token(version, attempt)
				assert.False(t, seen[token], "%v %d %d", p, version, attempt)
				seen[token] = true
			}
		}
	}
}

// TestSecondRow adds rows of a version that has one, as if their tokens had been
// forgotten: the first row counts, for everybody, before and after a merge.
func TestSecondRow(t *testing.T) {
	s := open(t, nil)
	require.NoError(t, s.PutRule(t.Context(), rule("alert-1", 1)))
	st, e := transition("alert-1", 1, alert.Firing)
	require.NoError(t, s.Transition(t.Context(), dialect, st, e))
	for _, c := range []struct{ table, text string }{{"alert_rules", "name"}, {"alert_transitions", "message"}} {
		s.sql(t, "INSERT INTO "+s.table(c.table)+" (* EXCEPT rank) SELECT * EXCEPT rank REPLACE ('late' AS "+c.text+
			", 1 AS nonce, written + toIntervalSecond(1) AS written) FROM %s", c.table)
		assert.Equal(t, "2", s.sql(t, "SELECT count() FROM %s", c.table))
	}
	check := func() {
		t.Helper()
		rules, err := s.Rules(t.Context(), dialect)
		require.NoError(t, err)
		require.Len(t, rules, 1)
		assert.Equal(t, "revision 1", rules[0].Name)
		states, err := s.States(t.Context(), dialect)
		require.NoError(t, err)
		require.Len(t, states, 1)
		assert.Equal(t, "event 1", states[0].Fired.Message)
		events, err := s.History(t.Context(), dialect, "anonymous", 10)
		require.NoError(t, err)
		require.Len(t, events, 1)
		assert.Equal(t, "event 1", events[0].Message)
		l, err := s.look(t.Context(), &place{table: "alert_rules", column: "revision", dialect: dialect, key: &st.Key}, 1)
		require.NoError(t, err)
		assert.NotEqual(t, nonce{Low: 1}, l.owner)
	}
	check()
	s.merge(t, "alert_rules")
	s.merge(t, "alert_transitions")
	check()
}

// TestRefused checks what the tables cannot hold, and that nothing is stored of it.
func TestRefused(t *testing.T) {
	s := open(t, nil)
	f := func(want string, err error) {
		t.Helper()
		require.ErrorIs(t, err, profile.ErrInvalid)
		assert.ErrorContains(t, err, want)
	}
	long := strings.Repeat("x", maxEventBytes)
	r := rule("alert-1", 1)
	r.Labels = map[string]string{"a": long}
	f("rule has 1311", s.PutRule(t.Context(), r))
	r = rule("alert-1", 1)
	r.CreatedAt = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)
	f("rule.created_at is 1900-01-01T00:00:00Z; must be after 1970 and before 2262", s.PutRule(t.Context(), r))
	st, e := transition("alert-1", 1, alert.Firing)
	e.Message = long
	f("event has 1311", s.Transition(t.Context(), dialect, st, e))
	st, e = transition("alert-1", 1, alert.Firing)
	e.Seq = 2
	f("is not of state 1", s.Transition(t.Context(), dialect, st, e))
	st, e = transition("alert-1", 1, alert.Firing)
	e.StartsAt = time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)
	f("event.starts_at is 2300", s.Transition(t.Context(), dialect, st, e))
	values := map[string]float64{}
	for i := range maxValues + 1 {
		values[string(rune('a'+i))] = 1
	}
	f("1001 values", s.Publish(t.Context(), dialect, "r", values))
	_, err := s.Undelivered(t.Context(), dialect, "r", time.Unix(math.MaxInt32*10, 0), nil, 1)
	f("since is", err)

	r = rule("alert-1", math.MaxUint64)
	require.ErrorIs(t, s.PutRule(t.Context(), r), alert.ErrConflict)
	for _, table := range []string{"alert_rules", "alert_transitions", "alert_published"} {
		assert.Equal(t, "0", s.sql(t, "SELECT count() FROM %s", table), table)
	}
	for _, limit := range []int{-1, 0} {
		events, err := s.History(t.Context(), dialect, "anonymous", limit)
		require.NoError(t, err)
		assert.Empty(t, events)
	}
}
