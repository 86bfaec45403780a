package alerttest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/alert"
)

// lease asks for the lease.
func (f *fixture) lease(t *testing.T, s alert.Store, dialect, holder string, ttl time.Duration) bool {
	t.Helper()
	ok, err := s.Lease(t.Context(), dialect, holder, ttl)
	require.NoError(t, err)
	return ok
}

func leaseOnce(t *testing.T, f *fixture) {
	var (
		wg      sync.WaitGroup
		holders atomic.Int64
		holder  atomic.Value
	)
	for i := range writers {
		wg.Go(func() {
			name := fmt.Sprintf("replica-%d", i)
			ok, err := f.replicas[i%2].Lease(t.Context(), f.dialect, name, time.Hour)
			assert.NoError(t, err)
			if ok {
				holders.Add(1)
				holder.Store(name)
			}
		})
	}
	wg.Wait()
	require.Equal(t, int64(1), holders.Load())
	for _, s := range f.replicas {
		assert.False(t, f.lease(t, s, f.dialect, "another", time.Hour))
		assert.True(t, f.lease(t, s, f.dialect, holder.Load().(string), time.Hour), "renewed")
	}
	assert.True(t, f.lease(t, f.replicas[0], f.dialect+"-other", "another", time.Hour))
}

func leaseTakeover(t *testing.T, f *fixture) {
	a, b := f.replicas[0], f.replicas[1]
	takes := func(s alert.Store, holder string) {
		t.Helper()
		require.Eventually(t, func() bool {
			ok, err := s.Lease(t.Context(), f.dialect, holder, time.Hour)
			return err == nil && ok
		}, 30*time.Second, 20*time.Millisecond)
	}
	// The ttl that counts is that of the holder, not that of who wants the lease.
	require.True(t, f.lease(t, a, f.dialect, "a", time.Hour))
	assert.False(t, f.lease(t, b, f.dialect, "b", time.Millisecond))
	require.True(t, f.lease(t, a, f.dialect, "a", time.Millisecond), "renewed for less")
	takes(b, "b")
	assert.False(t, f.lease(t, a, f.dialect, "a", time.Hour), "the old holder comes back")

	// A holder which gives it up need not be waited for.
	_, err := b.Lease(t.Context(), f.dialect, "b", 0)
	require.NoError(t, err)
	takes(a, "a")
	assert.False(t, f.lease(t, b, f.dialect, "b", time.Hour))
}

func published(t *testing.T, f *fixture) {
	get := func(s alert.Store, maxAge time.Duration) map[string]map[string]float64 {
		t.Helper()
		got, err := s.Published(t.Context(), f.dialect, maxAge)
		require.NoError(t, err)
		return got
	}
	assert.Empty(t, get(f.replicas[0], time.Hour))
	for i, s := range f.replicas {
		name := fmt.Sprintf("it's replica %d", i)
		require.NoError(t, s.Publish(t.Context(), f.dialect, name, map[string]float64{"old": 1, "x": 2}))
		require.NoError(t, s.Publish(t.Context(), f.dialect, name, map[string]float64{"x": 0.1, "y": -1e300}))
	}
	want := map[string]map[string]float64{
		"it's replica 0": {"x": 0.1, "y": -1e300},
		"it's replica 1": {"x": 0.1, "y": -1e300},
	}
	for _, s := range f.replicas {
		assert.Equal(t, want, get(s, time.Hour))
		require.Eventually(t, func() bool {
			got, err := s.Published(t.Context(), f.dialect, time.Millisecond)
			return err == nil && len(got) == 0
		}, 30*time.Second, 20*time.Millisecond)
	}
	other, err := f.replicas[0].Published(t.Context(), f.dialect+"-other", time.Hour)
	require.NoError(t, err)
	assert.Empty(t, other)
}
