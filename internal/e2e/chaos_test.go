package e2e

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
)

// refused reports whether an error says that nothing was taken and a retry is
// welcome. Unavailable is not enough: it is also what a client makes of a
// connection that broke, and then nobody knows.
func refused(err error) bool {
	return status.Code(err) == codes.ResourceExhausted
}

// storedBatches returns how often each batch of an agent is in the store.
func (c *collector) storedBatches(agent string) map[uint64]int {
	c.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	resp, err := c.client().QueryStorage(ctx, &aggregatorv1.QueryStorageRequest{AgentId: &agent, Limit: 10_000})
	if err != nil {
		return nil
	}
	out := make(map[uint64]int)
	for _, b := range resp.GetBatches() {
		out[b.GetSequence()]++
	}
	return out
}

// Whatever is killed at a random moment under load: every acknowledged event is
// stored once after recovery.
func TestKillUnderLoad(t *testing.T) {
	for name, f := range map[string]struct{ clickhouse, collector bool }{
		"clickhouse": {clickhouse: true},
		"collector":  {collector: true},
		"both":       {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCollector(t, "all-in-one.yaml", withoutEBPF)
			c.startReady()
			l := startLoad(c, 4, 50)
			time.Sleep(3*time.Second + rand.N(time.Second))
			if f.clickhouse {
				require.True(t, c.killClickHouse(), "there is a ClickHouse to kill")
			}
			if f.collector {
				conn := c.conn
				c.conn = nil // the load keeps using it and sees the connection break
				c.kill()
				l.stop()
				require.NoError(t, conn.Close())
				c.startReady()
			} else {
				time.Sleep(3 * time.Second)
				l.stop()
				c.waitReady()
			}
			acknowledged := 0
			for _, a := range l.agents {
				acknowledged += len(a.acknowledged)
			}
			require.NotZero(t, acknowledged)
			l.checkStored(t, c)
		})
	}
}

// SIGTERM under load loses nothing that was acknowledged.
func TestTerminateUnderLoad(t *testing.T) {
	c := newCollector(t, "all-in-one.yaml", withoutEBPF)
	c.startReady()
	l := startLoad(c, 4, 50)
	time.Sleep(3 * time.Second)
	conn := c.conn
	c.conn = nil
	c.stop()
	l.stop()
	require.NoError(t, conn.Close())
	c.startReady()
	l.checkStored(t, c)
}
