package chconn

import (
	"context"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// running counts the queries that hold a text.
func running(t *testing.T, p *Pool, text string) uint64 {
	t.Helper()
	var n proto.ColUInt64
	var out uint64
	q := sql("SELECT count() AS n FROM system.processes WHERE query LIKE {text:String} AND query NOT LIKE '%system.processes%'")
	q.Params.String("text", "%"+text+"%")
	q.Result = proto.Results{{Name: "n", Data: &n}}
	q.OnResult = func(context.Context, proto.Block) error {
		for _, v := range n {
			out += v
		}
		return nil
	}
	require.NoError(t, p.Do(t.Context(), q))
	return out
}

// TestCancelledQueryStops: the server stops a query whose caller has gone or whose
// time is over, also one that has nothing to send for a long time.
func TestCancelledQueryStops(t *testing.T) {
	p := newPool(t, nil)
	for name, query := range map[string]string{
		"one long block": "SELECT count() AS long_block FROM system.numbers_mt WHERE NOT ignore(sipHash128(toString(number)))",
		"sorting":        "SELECT number AS long_sort FROM numbers(100000000000) ORDER BY sipHash64(number) LIMIT 1",
		"many blocks":    "SELECT number AS long_stream FROM system.numbers",
	} {
		for _, how := range []string{"caller", "time"} {
			t.Run(name+" "+how, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				q := sql(query)
				q.QueryID = NewQueryID()
				text := query[7:30]
				if how == "time" {
					q.Timeout = 500 * time.Millisecond
				} else {
					go func() {
						assert.Eventually(t, func() bool { return running(t, p, text) > 0 }, 20*time.Second, 10*time.Millisecond)
						cancel()
					}()
				}
				err := p.Do(ctx, q)
				if how == "time" {
					require.ErrorIs(t, err, profilestore.ErrUnavailable)
				} else {
					require.ErrorIs(t, err, context.Canceled)
				}
				require.Eventually(t, func() bool { return running(t, p, text) == 0 }, 20*time.Second, 20*time.Millisecond)
			})
		}
	}
}

// TestKillAlone: KILL QUERY by id is enough where the connection stays open.
func TestKillAlone(t *testing.T) {
	p := newPool(t, nil)
	q := sql("SELECT count() AS killed_alone FROM system.numbers_mt WHERE NOT ignore(sipHash128(number))")
	q.QueryID = NewQueryID()
	done := make(chan error, 1)
	go func() { done <- p.Do(context.Background(), q) }()
	require.Eventually(t, func() bool { return running(t, p, "killed_alone") == 1 }, 20*time.Second, 10*time.Millisecond)
	p.kill(0, q.QueryID)
	select {
	case err := <-done:
		require.ErrorIs(t, err, profilestore.ErrUnavailable)
		assert.True(t, IsException(err, proto.ErrQueryWasCancelled), "%v", err)
	case <-time.After(30 * time.Second):
		t.Fatal("the query goes on")
	}
}
