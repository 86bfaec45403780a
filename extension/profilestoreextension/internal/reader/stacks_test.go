package reader

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

func ids(from, n int) []profile.ID {
	out := make([]profile.ID, n)
	for i := range out {
		out[i] = profile.HashBytes(fmt.Append(nil, from+i))
	}
	return out
}

func frameOf(tenant string, id profile.ID) []*profile.Frame {
	return []*profile.Frame{{Mapping: tenant, BuildID: id.String()}}
}

// loader counts how often each stack is read.
type loader struct {
	mu     sync.Mutex
	loads  map[profile.ID]int
	absent map[profile.ID]bool
	gate   chan struct{} // a read waits for it if it is not nil
	err    error
}

func (l *loader) load(ctx context.Context, tenant, _ string, wanted []profile.ID, _ *Stacks) (map[profile.ID][]*profile.Frame, error) {
	if l.gate != nil {
		select {
		case <-l.gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return nil, l.err
	}
	out := make(map[profile.ID][]*profile.Frame)
	for _, id := range wanted {
		l.loads[id]++
		if !l.absent[id] {
			out[id] = frameOf(tenant, id)
		}
	}
	return out, nil
}

func newLoader(budget int64) (*loader, *Stacks) {
	l := &loader{loads: make(map[profile.ID]int), absent: make(map[profile.ID]bool)}
	s := newStacks(budget)
	s.load = l.load
	return l, s
}

func TestResolveReadsEachStackOnce(t *testing.T) {
	l, s := newLoader(64 << 20)
	l.gate = make(chan struct{})
	all := ids(0, 500)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			part := all[i*10 : i*10+300]
			got, err := s.Resolve(context.Background(), "t", "s", part)
			assert.NoError(t, err)
			for j := range part {
				assert.Equal(t, frameOf("t", part[j]), got[j])
			}
		})
	}
	close(l.gate)
	wg.Wait()
	for id, n := range l.loads {
		assert.Equal(t, 1, n, id)
	}
	assert.Empty(t, s.flights)
	st := s.Stats()
	assert.EqualValues(t, 20*300, st.Hits+st.Misses)
	assert.Positive(t, st.Bytes)
	s.Clear()
	assert.Zero(t, s.Stats().Bytes)
}

func TestResolveKeepsTenantsApart(t *testing.T) {
	_, s := newLoader(64 << 20)
	for _, tenant := range []string{"a", "b"} {
		got, err := s.Resolve(context.Background(), tenant, "", ids(0, 1))
		require.NoError(t, err)
		assert.Equal(t, tenant, got[0][0].Mapping)
	}
}

func TestResolveAbsentAndEmpty(t *testing.T) {
	l, s := newLoader(64 << 20)
	wanted := append(ids(0, 3), profile.ID{})
	l.absent[wanted[1]] = true
	for range 2 {
		got, err := s.Resolve(context.Background(), "t", "", wanted)
		require.NoError(t, err)
		assert.NotNil(t, got[0])
		assert.Nil(t, got[1])
		assert.NotNil(t, got[2])
		assert.Nil(t, got[3])
	}
	assert.EqualValues(t, 2, s.Stats().Absent, "what is absent is looked for again")
}

// TestResolveSurvivesOthers: a caller that waits for another's read is not
// harmed when that is given up or fails.
func TestResolveSurvivesOthers(t *testing.T) {
	l, s := newLoader(64 << 20)
	l.gate = make(chan struct{})
	wanted := ids(0, 10)
	ctx, cancel := context.WithCancel(context.Background())
	var first, second sync.WaitGroup
	first.Go(func() {
		_, err := s.Resolve(ctx, "t", "", wanted)
		assert.ErrorIs(t, err, context.Canceled)
	})
	require.Eventually(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.flights) == len(wanted)
	}, waitFor, tick)
	second.Go(func() {
		got, err := s.Resolve(context.Background(), "t", "", wanted)
		assert.NoError(t, err)
		assert.NotNil(t, got[9])
	})
	cancel()
	first.Wait()
	close(l.gate)
	second.Wait()

	l.err = errors.New("boom")
	_, err := s.Resolve(context.Background(), "t", "", ids(100, 1))
	require.ErrorIs(t, err, l.err)
	assert.Empty(t, s.flights)
}

// TestResolveWithTinyCache answers right even if nothing can be kept.
func TestResolveWithTinyCache(t *testing.T) {
	_, s := newLoader(100)
	var n atomic.Int32
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			got, err := s.Resolve(context.Background(), "t", "", ids(i, 50))
			assert.NoError(t, err)
			for j, id := range ids(i, 50) {
				assert.Equal(t, frameOf("t", id), got[j])
				n.Add(1)
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, 200, n.Load())
	assert.Zero(t, s.Stats().Bytes)
}

func TestGenerationsAreBounded(t *testing.T) {
	const budget = 100_000
	g := newGenerations(budget, func(v int) int64 { return int64(v) })
	keys := ids(0, 2000)
	for i, k := range keys {
		g.put(k, 20)
		assert.LessOrEqual(t, g.bytes(), int64(budget))
		if i%10 == 0 {
			_, ok := g.get(keys[0])
			assert.True(t, ok, "what is used stays")
		}
	}
	_, ok := g.get(keys[1])
	assert.False(t, ok, "what is not used goes")
	g.put(keys[5], budget)
	_, ok = g.get(keys[5])
	assert.False(t, ok, "what is larger than half the budget is not kept")
}
