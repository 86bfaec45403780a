package clickhouseprofilesexporter

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// stuckStore takes nothing until it is told to or the write is given up.
type stuckStore struct {
	memoryStore
	entered chan struct{}
}

func (s *stuckStore) Write(ctx context.Context, _ *profilestore.Window) error {
	s.entered <- struct{}{}
	<-ctx.Done()
	return context.Cause(ctx)
}

// TestShutdownCutsOffWrites: a store that hangs does not hold a shutdown up, and
// what it had not taken is stored after the next start.
func TestShutdownCutsOffWrites(t *testing.T) {
	dir := t.TempDir()
	storage := fileStorage(t, dir)
	stuck := &stuckStore{entered: make(chan struct{}, 1)}
	e := start(t, testHost{storeID: stuck, storageID: storage}, persistent)
	e.grace = 10 * time.Millisecond
	require.NoError(t, e.ConsumeProfiles(t.Context(), window("w1", "api", 5)))
	<-stuck.entered
	require.NoError(t, e.Shutdown(t.Context()))
	require.NoError(t, storage.Shutdown(t.Context()))

	storage = fileStorage(t, dir)
	store := &memoryStore{}
	e = start(t, testHost{storeID: store, storageID: storage}, persistent)
	eventually(t, func() bool { return store.events() == 5 })
	require.NoError(t, e.Shutdown(t.Context()))
	require.NoError(t, storage.Shutdown(t.Context()))
}

// TestMemoryQueueStoresBatchesWithoutSamples: a window of empty pushes has no
// samples, but the batches are acknowledged like all others.
func TestMemoryQueueStoresBatchesWithoutSamples(t *testing.T) {
	store := &memoryStore{err: errAway}
	e := start(t, testHost{storeID: store}, nil)
	empty := window("w1", "api", 0)
	empty.ResourceProfiles().At(0).ScopeProfiles().RemoveIf(all)
	empty.ResourceProfiles().At(0).Resource().Attributes().PutInt("aperture.batch.sequence", 7)
	require.Zero(t, empty.SampleCount())
	require.ErrorIs(t, e.ConsumeProfiles(t.Context(), empty), errAway)
	store.refuse(nil)
	require.NoError(t, e.ConsumeProfiles(t.Context(), empty))
	assert.Equal(t, 2, store.attempts())
	require.NoError(t, e.Shutdown(t.Context()))
}

func all[T any](T) bool { return true }
