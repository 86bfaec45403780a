package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// newAgent prepares a collector with config/agent.yaml that sends to a gateway.
// It takes pushes instead of profiling this host, so that counts are exact.
func newAgent(tb testing.TB, gateway *collector, config ...string) *collector {
	tb.Helper()
	c := newCollector(tb, "agent.yaml")
	c.config = append(c.config,
		"yaml:receivers::aperture::endpoint: "+c.grpcAddr,
		"yaml:receivers::aperture::include_metadata: true",
		"yaml:service::pipelines::profiles::receivers: [aperture]",
		"yaml:extensions::health_check::endpoint: "+freeAddr(tb))
	c.config = append(c.config, config...)
	c.env = append(c.env, "APERTURE_GATEWAY="+gateway.otlpGRPC)
	return c
}

// pushUntilTaken pushes one batch, again while the collector is starting.
func (c *collector) pushUntilTaken(agent string, sequence uint64) {
	c.tb.Helper()
	require.Eventually(c.tb, func() bool {
		ok, _ := c.push(agent, sequence)
		return ok
	}, 2*time.Minute, 100*time.Millisecond, "%s", lazy(c.tail))
}

// What an agent takes arrives at the gateway over OTLP: counts, minimum and
// maximum, names, batches; also what waited while the gateway was away.
func TestAgentToGateway(t *testing.T) {
	gateway := newCollector(t, "all-in-one.yaml", withoutEBPF)
	agent := newAgent(t, gateway)
	agent.start()
	for sequence := range uint64(3) {
		agent.pushUntilTaken("far", sequence) // the gateway is not there yet
	}
	gateway.startReady()
	for sequence := range uint64(3) {
		agent.pushUntilTaken("far", 10+sequence)
	}
	gateway.waitEvents("", "far", 6*loadEvents)
	// The batches of a window are stored beside its events, not in one go with them.
	assert.Eventually(t, func() bool { return len(gateway.storedBatches("far")) == 6 }, 2*time.Minute, 100*time.Millisecond)
	a := gateway.aggregate("", map[string]any{"agent_id": "far"})
	require.NotNil(t, a.CPU)
	assert.EqualValues(t, 60, a.CPU.TotalSamples)
	requireFunction(t, a.CPU.Stacks[0].Stack, 0, "work")
	require.NotNil(t, a.Lock)
	require.Len(t, a.Lock.Contentions, 1)
	l := a.Lock.Contentions[0]
	assert.Equal(t, []uint64{0x77, 30, 30_000, 1000, 1000}, []uint64{l.LockAddr, l.Count, l.TotalWaitNS, l.MinWaitNS, l.MaxWaitNS})
	require.NotNil(t, a.Syscall)
	assert.EqualValues(t, 30, a.Syscall.Syscalls["202"].Count)
	assert.Equal(t, "futex", a.Syscall.Syscalls["202"].Name)
	agent.stop()
}
