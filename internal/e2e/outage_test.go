package e2e

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
)

// preparedServer makes a server that is not running but whose password exists: the
// file is made by a start.
func preparedServer(t *testing.T) *ownServer {
	t.Helper()
	s := newServer(t)
	s.start()
	s.stop()
	return s
}

// up waits until the pipelines of a collector run, though its store may be away.
func (c *collector) up() {
	c.tb.Helper()
	require.Eventually(c.tb, func() bool {
		code, _ := c.get("/healthz")
		_, body := c.get("/readyz")
		return code == http.StatusOK && !strings.Contains(string(body), "pipelines")
	}, 2*time.Minute, 50*time.Millisecond, "%s", lazy(c.tail))
}

// push pushes one batch of the load and reports whether it was acknowledged.
func (c *collector) push(agent string, sequence uint64) (bool, error) {
	c.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	resp, err := c.client().Push(ctx, &aggregatorv1.PushRequest{AgentId: agent, Sequence: sequence, Payload: loadPayload(sequence)})
	return err == nil && resp.GetOk(), err
}

// ClickHouse is not there when the collector starts and comes later.
func TestClickHouseComesLater(t *testing.T) {
	server := preparedServer(t)
	c := newGateway(t, server)
	c.start()
	c.up()
	code, _ := c.get("/readyz")
	assert.Equal(t, http.StatusServiceUnavailable, code)
	code, h, body := c.request(http.MethodPost, "/api/aggregate", "", map[string]any{})
	assert.Equal(t, http.StatusServiceUnavailable, code, "%s", body)
	assert.NotEmpty(t, h.Get("Retry-After"))

	var n uint64
	for ; n < 5; n++ {
		ok, err := c.push("patient", n)
		require.NoError(t, err)
		require.True(t, ok)
	}
	server.start()
	c.waitReady()
	c.waitEvents("", "patient", n*loadEvents)

	server.stop()
	require.Eventually(t, func() bool {
		code, _ := c.get("/readyz")
		return code == http.StatusServiceUnavailable
	}, 2*time.Minute, 100*time.Millisecond, "readiness follows the store")
	ok, err := c.push("patient", n)
	require.NoError(t, err)
	require.True(t, ok)
	n++
	server.start()
	c.waitReady()
	c.waitEvents("", "patient", n*loadEvents)
}

// waitAll waits until a gateway answers that a tenant has exactly n batches of the
// load and all their observations. A window is stored by one insert after the other:
// its observations, their totals, which answer for a whole tenant, and its batches.
func (c *collector) waitAll(tenant string, n int) {
	c.tb.Helper()
	var batches int
	var events uint64
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		batches, events = len(c.batches(tenant, "").Batches), c.aggregate(tenant, map[string]any{}).TotalEvents
		if batches == n && events == uint64(n)*loadEvents {
			return
		}
		if time.Now().After(deadline) || batches > n || events > uint64(n)*loadEvents {
			c.tb.Fatalf("tenant %q has %d batches with %d events; want %d with %d", tenant, batches, events, n, n*loadEvents)
		}
	}
}

// fill pushes until the collector refuses and returns how many pushes it took.
func fill(t *testing.T, c *collector, agent string) uint64 {
	t.Helper()
	var taken uint64
	for sequence := range uint64(5000) {
		ok, err := c.push(agent, sequence)
		if err != nil {
			require.Contains(t, []codes.Code{codes.ResourceExhausted, codes.Unavailable}, status.Code(err), "%v", err)
			require.NotEmpty(t, status.Convert(err).Details(), "a refusal says when to retry")
			return taken
		}
		require.True(t, ok)
		taken++
	}
	t.Fatal("the queue never fills")
	return 0
}

// A queue over its limit refuses retryably; nothing acknowledged is lost.
func TestQueueOverItsLimit(t *testing.T) {
	server := preparedServer(t)
	c := newGateway(t, server,
		"yaml:exporters::clickhouse_profiles::sending_queue::sizer: requests",
		"yaml:exporters::clickhouse_profiles::sending_queue::queue_size: 8",
		"yaml:processors::profile_buffer::window: 20ms")
	c.start()
	c.up()
	taken := fill(t, c, "eager")
	require.NotZero(t, taken)
	server.start()
	c.waitReady()
	c.waitEvents("", "eager", taken*loadEvents)
	ok, err := c.push("eager", 9999)
	require.NoError(t, err)
	require.True(t, ok, "the queue has room again")
	c.waitEvents("", "eager", (taken+1)*loadEvents)
}

// The disk of the queue is full: refused retryably, nothing acknowledged is lost.
func TestDiskOfTheQueueIsFull(t *testing.T) {
	server := preparedServer(t)
	c := newGateway(t, server, "yaml:processors::profile_buffer::window: 20ms")
	queue := filepath.Join(c.dir, "data", "queue")
	require.NoError(t, os.MkdirAll(queue, 0o700))
	if err := syscall.Mount("tmpfs", queue, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("mounting a small file system needs root: %v", err)
	}
	t.Cleanup(func() {
		if c.cmd != nil {
			c.stop()
		}
		assert.NoError(t, syscall.Unmount(queue, 0))
	})
	c.start()
	c.up()
	taken := fill(t, c, "eager")
	require.NotZero(t, taken)
	server.start()
	c.waitReady()
	c.waitEvents("", "eager", taken*loadEvents)
	require.Eventually(t, func() bool {
		ok, _ := c.push("late", 1)
		return ok
	}, 2*time.Minute, 200*time.Millisecond, "there is room again")
	c.waitEvents("", "late", loadEvents)
	c.stop()
}

// Two gateways write to and answer from one store.
func TestTwoGatewaysOverOneStore(t *testing.T) {
	server := newServer(t)
	server.start()
	a, b := newGateway(t, server), newGateway(t, server)
	a.start()
	b.start()
	a.waitReady()
	b.waitReady()
	for n := range uint64(3) {
		ok, err := a.push("shared", n)
		require.NoError(t, err)
		require.True(t, ok)
		ok, err = b.push("shared", 100+n)
		require.NoError(t, err)
		require.True(t, ok)
	}
	for _, c := range []*collector{a, b} {
		c.waitEvents("", "shared", 6*loadEvents)
		c.waitAll("", 6)
		require.Eventually(t, func() bool { return len(c.storedBatches("shared")) == 6 }, 2*time.Minute, 100*time.Millisecond)
	}

	// Tenants are apart whichever gateway took and whichever answers.
	for tenant, c := range map[string]*collector{"red": a, "blue": b} {
		resp, err := c.client().Push(asTenant(t.Context(), tenant), &aggregatorv1.PushRequest{AgentId: tenant, Sequence: 1, Payload: loadPayload(1)})
		require.NoError(t, err)
		require.True(t, resp.GetOk())
	}
	for _, c := range []*collector{a, b} {
		for _, tenant := range []string{"red", "blue"} {
			c.waitEvents(tenant, tenant, loadEvents)
			c.waitAll(tenant, 1)
		}
		c.waitAll("", 6)
	}
}
