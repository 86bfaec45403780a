package profilebufferprocessor

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

func batch(agent string, seq int) profile.Batch {
	return profile.Batch{Tenant: "t", AgentID: agent, Sequence: uint64(seq), ReceivedAt: int64(seq)}
}

// TestLiveViewIsFair lets a noisy agent push without end: the batches of quiet
// agents stay.
func TestLiveViewIsFair(t *testing.T) {
	l := newLiveView(100, 1<<20)
	for i := range 10 {
		l.add([]profile.Batch{batch(fmt.Sprint("quiet", i), i), batch(fmt.Sprint("quiet", i), 10+i)})
	}
	dropped := 0
	for i := range 1000 {
		dropped += l.add([]profile.Batch{batch("noisy", 100+i)})
	}
	assert.Equal(t, 920, dropped)
	s := l.stats()
	assert.Equal(t, 100, s.Batches)
	assert.EqualValues(t, 920, s.Dropped)
	assert.InDelta(t, 1, s.Utilization, 1e-9)
	for i := range 10 {
		agent := fmt.Sprint("quiet", i)
		require.Len(t, l.recent("t", &agent, 10), 2)
	}
	noisy := "noisy"
	got := l.recent("t", &noisy, 3)
	require.Len(t, got, 3)
	assert.EqualValues(t, 1097, got[0].Sequence)
	assert.EqualValues(t, 1099, got[2].Sequence)
	assert.Empty(t, l.recent("other", nil, 10))
	assert.Empty(t, l.recent("other", &noisy, 10))
	assert.Len(t, l.recent("t", nil, 1000), 100)
	assert.Empty(t, l.recent("t", nil, 0))
}

func TestLiveViewIsBoundedByBytes(t *testing.T) {
	l := newLiveView(1000, 10*(batchBytes+int64(len("tagent"))))
	for i := range 100 {
		l.add([]profile.Batch{batch("agent", i)})
	}
	s := l.stats()
	assert.Equal(t, 10, s.Batches)
	assert.LessOrEqual(t, s.Bytes, s.CapacityBytes)
	l.add([]profile.Batch{batch(string(make([]byte, 1<<20)), 1)})
	assert.LessOrEqual(t, l.stats().Bytes, l.maxBytes)
	off := newLiveView(0, 1000)
	assert.Zero(t, off.add([]profile.Batch{batch("a", 1)}))
	assert.Zero(t, off.stats().Utilization)
}
