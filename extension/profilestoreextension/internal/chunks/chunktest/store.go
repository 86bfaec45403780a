// Package chunktest gives tests the tables on a real ClickHouse, and windows to
// write to them.
package chunktest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
)

// Open returns a pool and a database of its own with all tables of the store.
func Open(tb testing.TB) (*chconn.Pool, schema.Options) {
	tb.Helper()
	o := schema.Options{Database: clickhousetest.Database(tb), Retention: 20 * 365 * 24 * time.Hour, AlertRetention: time.Hour}
	e := clickhousetest.Start(tb).Endpoint()
	pool := chconn.New(chconn.Options{Endpoints: []string{e.Addr}, Username: e.Username, Password: e.Password})
	tb.Cleanup(pool.Close)
	require.NoError(tb, schema.Migrate(tb.Context(), pool, o))
	return pool, o
}
