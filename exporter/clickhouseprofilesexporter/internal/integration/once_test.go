package integration

import (
	"fmt"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// TestAcknowledgedIsStoredOnce pushes from several agents while ClickHouse is
// killed and the collector restarted, and expects every acknowledged event and
// batch once.
func TestAcknowledgedIsStoredOnce(t *testing.T) {
	server := clickhousetest.New(t, t.TempDir(), nil)
	dir := t.TempDir()
	const agents, pushes, events = 4, 30, 40
	acknowledged := uint64(0)
	for round := range 3 {
		p := begin(t, server, "once", dir)
		if round == 0 {
			eventually(t, func() bool { return p.store().Ready() == nil })
		}
		var wg sync.WaitGroup
		for agent := range agents {
			wg.Go(func() {
				for i := range pushes {
					assert.NoError(t, p.buffer.ConsumeProfiles(t.Context(), push(fmt.Sprint("agent", agent), round*pushes+i, events)))
				}
			})
		}
		if round < 2 {
			require.NoError(t, syscall.Kill(server.PID(), syscall.SIGKILL))
		}
		wg.Wait()
		acknowledged += agents * pushes * events
		p.end(t)
	}
	clickhousetest.WaitReady(t, server)
	p := begin(t, server, "once", dir)
	defer p.end(t)
	eventually(t, func() bool { return p.count(t) >= acknowledged })
	assert.Equal(t, acknowledged, p.count(t))
	batches, err := p.store().Batches(t.Context(), profilestore.Selector{Tenant: "t1"}, 10_000)
	require.NoError(t, err)
	assert.Len(t, batches, 3*agents*pushes)
	seen := map[string]bool{}
	for _, b := range batches {
		seen[fmt.Sprint(b.AgentID, b.Sequence)] = true
		assert.EqualValues(t, events, b.EventCount)
	}
	assert.Len(t, seen, len(batches))
}
