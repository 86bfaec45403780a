package alerts

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
	"github.com/aperture-collector/aperture-collector/internal/alert"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
)

// dialect is what the rules of these tests belong to.
const dialect = "test"

var now = time.Now().UTC().Truncate(time.Millisecond)

// open returns a store on a database of its own.
func open(t testing.TB, change func(*Options)) *Store {
	t.Helper()
	o := Options{
		Tables:           schema.Options{Database: clickhousetest.Database(t), Retention: time.Hour, AlertRetention: time.Hour},
		MaxExecutionTime: 30 * time.Second, MaxMemoryUsage: 1 << 30,
		OnQuery: func(context.Context, string, time.Duration, error) {},
		OnRows:  func(context.Context, string, int, time.Duration) {},
	}
	if change != nil {
		change(&o)
	}
	e := clickhousetest.Start(t).Endpoint()
	pool := chconn.New(chconn.Options{Endpoints: []string{e.Addr}, Username: e.Username, Password: e.Password})
	t.Cleanup(pool.Close)
	require.NoError(t, schema.Migrate(t.Context(), pool, o.Tables))
	return New(pool, o)
}

// sql runs a statement in which %s is the name of a table.
func (s *Store) sql(t testing.TB, statement, table string) string {
	t.Helper()
	return clickhousetest.Exec(t, clickhousetest.Start(t), fmt.Sprintf(statement, s.table(table)))
}

// merge has all rows of a table merged, and what its TTL says done.
func (s *Store) merge(t testing.TB, table string) {
	t.Helper()
	s.sql(t, "OPTIMIZE TABLE %s FINAL", table)
}

func rule(id string, revision uint64) *alert.Rule {
	return &alert.Rule{
		Dialect: dialect, Tenant: "anonymous", ID: id, Revision: revision, Name: fmt.Sprintf("revision %d", revision),
		Enabled: true, CreatedAt: now, Operator: alert.Greater, Threshold: 0.5, For: time.Minute,
		Labels: map[string]string{"team": "a"}, Spec: []byte(`{"metric":"function_share"}`),
	}
}

// transition returns a state and the event that it was made by.
func transition(id string, seq uint64, phase alert.Phase) (*alert.State, *alert.Event) {
	at := now.Add(time.Duration(seq) * time.Second)
	s := &alert.State{
		Key: alert.Key{Tenant: "anonymous", ID: id}, Seq: seq, Phase: phase, Since: at, FiredAt: at, Revision: 1, Episode: seq,
	}
	return s, &alert.Event{
		Key: s.Key, Seq: seq, Phase: phase, Episode: seq, RuleName: "busy", Value: float64(seq), At: at, StartsAt: at,
		Message: fmt.Sprintf("event %d", seq), Labels: map[string]string{"team": "a"},
	}
}
