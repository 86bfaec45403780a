package life_test

import (
	"context"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/internal/chserver"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
)

// queryStops checks that the server stops a query of the collector's user whose caller
// has gone.
func queryStops(t *testing.T, e chserver.Endpoint) {
	const user = "aperture_collector"
	pool := chconn.New(chconn.Options{Endpoints: []string{e.Addr}, Username: user, Password: password})
	defer pool.Close()
	running := func() string {
		answer, err := clickhousetest.Query(e, user, password,
			"SELECT count() FROM system.processes WHERE query LIKE '%a_long_query%' AND query NOT LIKE '%system.processes%'")
		require.NoError(t, err)
		return answer
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- pool.Do(ctx, chconn.Query{Query: ch.Query{
			Body: "SELECT count() AS a_long_query FROM aperture.locations AS a, aperture.locations AS b, aperture.locations AS c, " +
				"aperture.locations AS d, aperture.locations AS e, aperture.locations AS f, aperture.locations AS g, aperture.locations AS h " +
				"WHERE NOT ignore(sipHash128(a.location, b.location, c.location, d.location, e.location, f.location, g.location, h.location))",
			QueryID: chconn.NewQueryID(),
		}})
	}()
	require.Eventually(t, func() bool {
		select {
		case err := <-done:
			require.NoError(t, err)
		default:
		}
		return running() == "1"
	}, 20*time.Second, 20*time.Millisecond)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	assert.Eventually(t, func() bool { return running() == "0" }, 20*time.Second, 20*time.Millisecond, "it goes on")
}
