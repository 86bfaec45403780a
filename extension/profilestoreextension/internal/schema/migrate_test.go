package schema

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
)

func pool(t *testing.T) *chconn.Pool {
	t.Helper()
	e := clickhousetest.Start(t).Endpoint()
	p := chconn.New(chconn.Options{Endpoints: []string{e.Addr}, Username: e.Username, Password: e.Password})
	t.Cleanup(p.Close)
	return p
}

// views is the number of those, which have no lifetime.
const views = 3

// TestMigrateAtOnce runs the migrations from many collectors at once, and again.
func TestMigrateAtOnce(t *testing.T) {
	p := pool(t)
	o := Options{Database: clickhousetest.Database(t), Retention: 24 * time.Hour, AlertRetention: 240 * time.Hour}
	ctx := context.Background()
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			// A collector that loses a race repeats its attempt.
			assert.Eventually(t, func() bool { return Migrate(ctx, p, o) == nil }, 30*time.Second, 10*time.Millisecond)
		})
	}
	wg.Wait()
	require.NoError(t, Migrate(ctx, p, o))
	migrations, err := o.Migrations()
	require.NoError(t, err)
	done, err := applied(ctx, p, o)
	require.NoError(t, err)
	assert.Len(t, done, len(migrations))
	engines, err := o.engines(ctx, p)
	require.NoError(t, err)
	assert.Len(t, engines, len(lifetimes)+1+views)
}

// TestMigrateHalfWay continues where another collector died.
func TestMigrateHalfWay(t *testing.T) {
	p := pool(t)
	o := Options{Database: clickhousetest.Database(t), Retention: 24 * time.Hour, AlertRetention: 240 * time.Hour}
	ctx := context.Background()
	require.NoError(t, createDatabase(ctx, p, o))
	migrations, err := o.Migrations()
	require.NoError(t, err)
	require.NoError(t, exec(ctx, p, migrations[0].Statements[0]))
	require.NoError(t, Migrate(ctx, p, o))
	done, err := applied(ctx, p, o)
	require.NoError(t, err)
	assert.Len(t, done, len(migrations))
}

// TestRetentionChanges alters the TTL of every table, there and back.
func TestRetentionChanges(t *testing.T) {
	p := pool(t)
	o := Options{Database: clickhousetest.Database(t), Retention: 24 * time.Hour, AlertRetention: 240 * time.Hour}
	ctx := context.Background()
	for _, retention := range []time.Duration{24 * time.Hour, 48 * time.Hour, time.Hour, 24 * time.Hour} {
		o.Retention, o.AlertRetention = retention, 3*retention
		require.NoError(t, Migrate(ctx, p, o))
		engines, err := o.engines(ctx, p)
		require.NoError(t, err)
		for name := range lifetimes {
			assert.Contains(t, engines[o.Table(name)], " TTL "+o.ttl(name)+" ", name)
		}
	}
}

// TestMigrateFromVersion2 adds the tables of alerts to a database with data.
func TestMigrateFromVersion2(t *testing.T) {
	p := pool(t)
	server := clickhousetest.Start(t)
	o := Options{Database: clickhousetest.Database(t), Retention: 24 * time.Hour, AlertRetention: 240 * time.Hour}
	ctx := context.Background()
	require.NoError(t, createDatabase(ctx, p, o))
	migrations, err := o.Migrations()
	require.NoError(t, err)
	for _, m := range migrations[:2] {
		for _, s := range m.Statements {
			require.NoError(t, exec(ctx, p, s))
		}
		require.NoError(t, record(ctx, p, o, m))
	}
	tables := []string{"batches", "series", "attribute_sets", "stacks", "locations", "functions"}
	for _, name := range tables {
		stored := "stored"
		if lifetimes[name].column == "last_seen" {
			stored = "last_seen"
		}
		clickhousetest.Exec(t, server, "INSERT INTO "+o.Table(name)+" (tenant, "+stored+") VALUES ('anonymous', now())")
	}
	require.NoError(t, Migrate(ctx, p, o))
	done, err := applied(ctx, p, o)
	require.NoError(t, err)
	assert.Len(t, done, len(migrations))
	for _, name := range tables {
		assert.Equal(t, "1", clickhousetest.Exec(t, server, "SELECT count() FROM "+o.Table(name)+" WHERE tenant = 'anonymous'"), name)
	}
	engines, err := o.engines(ctx, p)
	require.NoError(t, err)
	assert.Len(t, engines, len(lifetimes)+1+views)
}

// TestNewerSchema refuses tables that a newer collector has changed.
func TestNewerSchema(t *testing.T) {
	p := pool(t)
	o := Options{Database: clickhousetest.Database(t), Retention: 24 * time.Hour, AlertRetention: 240 * time.Hour}
	ctx := context.Background()
	require.NoError(t, createDatabase(ctx, p, o))
	require.NoError(t, record(ctx, p, o, Migration{Version: 99, Name: "of_the_future"}))
	err := Migrate(ctx, p, o)
	require.ErrorIs(t, err, ErrNewer)
	assert.ErrorContains(t, err, "are of version 99, this collector knows ")
	engines, err := o.engines(ctx, p)
	require.NoError(t, err)
	assert.Len(t, engines, 1, "nothing was changed")
}
