package integration

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/alert"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

const alertDialect = "aperture"

var alertKey = alert.Key{Tenant: "anonymous", ID: "alert-1"}

func alertRule(revision uint64, name string) *alert.Rule {
	return &alert.Rule{
		Dialect: alertDialect, Tenant: alertKey.Tenant, ID: alertKey.ID,
		Revision: revision, Name: name, CreatedAt: time.Now(),
	}
}

// fire is a transition that says who made it.
func fire(s alert.Store, seq uint64, who string) error {
	at := time.Now()
	return s.Transition(context.Background(), alertDialect,
		&alert.State{Key: alertKey, Seq: seq, Phase: alert.Firing, Since: at, FiredAt: at, Episode: seq},
		&alert.Event{Key: alertKey, Seq: seq, Phase: alert.Firing, Episode: seq, Message: who, At: at, StartsAt: at})
}

// everyMethod calls all methods of a store.
func everyMethod(s alert.Store) map[string]error {
	ctx := context.Background()
	errs := map[string]error{}
	_, errs["NewID"] = s.NewID(ctx, alertDialect)
	_, errs["Rules"] = s.Rules(ctx, alertDialect)
	errs["PutRule"] = s.PutRule(ctx, alertRule(1, "x"))
	_, errs["States"] = s.States(ctx, alertDialect)
	errs["Transition"] = fire(s, 1, "x")
	_, errs["History"] = s.History(ctx, alertDialect, alertKey.Tenant, 1)
	_, errs["Undelivered"] = s.Undelivered(ctx, alertDialect, "r", time.Now(), nil, 1)
	errs["Delivered"] = s.Delivered(ctx, alertDialect, "r", []alert.Event{{Key: alertKey, Seq: 1}})
	_, errs["Lease"] = s.Lease(ctx, alertDialect, "a", time.Minute)
	errs["Publish"] = s.Publish(ctx, alertDialect, "a", map[string]float64{"x": 1})
	_, errs["Published"] = s.Published(ctx, alertDialect, time.Minute)
	return errs
}

// TestAlertsWithoutClickHouse asks before there is a server, after its tables
// were lost, and when the store has been shut down.
func TestAlertsWithoutClickHouse(t *testing.T) {
	server := clickhousetest.Start(t)
	cfg := configFor(server.Endpoint(), clickhousetest.Database(t))
	cfg.Endpoint = []string{"127.0.0.1:1"}
	for name, err := range everyMethod(alertsOf(start(t, cfg))) {
		require.ErrorIs(t, err, profilestore.ErrUnavailable, name)
	}
	store, server, database := newStore(t)
	for name, err := range everyMethod(alertsOf(store)) {
		require.NoError(t, err, name)
	}
	clickhousetest.Exec(t, server, "DROP DATABASE "+database+" SYNC")
	require.ErrorIs(t, alertsOf(store).Publish(t.Context(), alertDialect, "a", nil), profilestore.ErrUnavailable)
	require.Eventually(t, func() bool { return alertsOf(store).Publish(t.Context(), alertDialect, "a", nil) == nil },
		30*time.Second, 10*time.Millisecond, "the tables are made again")
}

// TestAlertsKillServer kills ClickHouse again and again under two stores that
// compete for every version. Whatever was said to be stored is, and by nobody else.
func TestAlertsKillServer(t *testing.T) {
	const versions, writers, kills = 30, 4, 3
	server := clickhousetest.Start(t)
	cfg := configFor(server.Endpoint(), clickhousetest.Database(t))
	stores := []alert.Store{alertsOf(open(t, cfg)), alertsOf(open(t, cfg))}
	var claims sync.Map // what -> who
	var reached atomic.Uint64
	claim := func(what, who string, err error) bool {
		switch {
		case err == nil:
			if other, taken := claims.LoadOrStore(what, who); taken {
				t.Errorf("%s was stored by %s and by %s", what, other, who)
			}
		case !errors.Is(err, alert.ErrConflict) && !errors.Is(err, profilestore.ErrUnavailable):
			t.Errorf("unexpected error: %v", err)
		}
		return err == nil || errors.Is(err, alert.ErrConflict)
	}
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			s, who := stores[i%2], fmt.Sprintf("writer %d", i)
			for n := uint64(1); n <= versions; n++ {
				for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
					if claim(fmt.Sprintf("state %d", n), who, fire(s, n, who)) || time.Now().After(deadline) {
						break
					}
				}
				if id, err := s.NewID(context.Background(), alertDialect); err == nil {
					claim(fmt.Sprintf("id %d", id), who, nil)
				}
				reached.Store(max(reached.Load(), n))
			}
		})
	}
	for i := range kills {
		assert.Eventually(t, func() bool { return reached.Load() >= uint64((i+1)*versions/(kills+1)) }, time.Minute, time.Millisecond)
		clickhousetest.Kill(t, server)
		clickhousetest.WaitReady(t, server)
	}
	wg.Wait()
	var states []alert.State
	require.Eventually(t, func() (ok bool) {
		var err error
		states, err = stores[0].States(t.Context(), alertDialect)
		return err == nil
	}, 30*time.Second, 10*time.Millisecond)
	require.Len(t, states, 1)
	assert.EqualValues(t, versions, states[0].Seq)
	events, err := stores[0].History(t.Context(), alertDialect, alertKey.Tenant, 1000)
	require.NoError(t, err)
	require.Len(t, events, versions)
	said := 0
	for _, e := range events {
		// A writer whose answer was lost does not know that it was the first.
		if who, ok := claims.Load(fmt.Sprintf("state %d", e.Seq)); ok {
			said++
			assert.Equal(t, who, e.Message, "state %d", e.Seq)
		}
	}
	assert.Greater(t, said, versions/2)
}

// TestAlertsCutConnections loses the connection as each table is written to: the
// call is repeated by itself and does not compete with itself.
func TestAlertsCutConnections(t *testing.T) {
	server := clickhousetest.Start(t)
	p := newCutter(t, server.Endpoint().Addr)
	cfg := configFor(server.Endpoint(), clickhousetest.Database(t))
	cfg.Endpoint = []string{p.Addr().String()}
	s := alertsOf(open(t, cfg))
	for i, table := range []string{"alert_rules", "alert_transitions", "alert_ids", "alert_leases", "alert_deliveries", "alert_published"} {
		// The connections may be new or reused.
		n := uint64(i + 1)
		p.armed.Store(&table)
		require.NoError(t, s.PutRule(t.Context(), alertRule(n, "x")), table)
		require.NoError(t, fire(s, n, "x"), table)
		id, err := s.NewID(t.Context(), alertDialect)
		require.NoError(t, err, table)
		assert.Equal(t, n, id)
		ok, err := s.Lease(t.Context(), alertDialect, "a", time.Hour)
		require.NoError(t, err, table)
		assert.True(t, ok)
		require.NoError(t, s.Delivered(t.Context(), alertDialect, "r", []alert.Event{{Key: alertKey, Seq: n}}), table)
		require.NoError(t, s.Publish(t.Context(), alertDialect, "a", nil), table)
	}
	assert.EqualValues(t, 6, p.cuts.Load())
	events, err := s.Undelivered(t.Context(), alertDialect, "r", time.Time{}, nil, 10)
	require.NoError(t, err)
	assert.Empty(t, events)
}
