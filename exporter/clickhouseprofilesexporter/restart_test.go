package clickhouseprofilesexporter

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestQueueSurvivesRestarts accepts windows while the store is away, restarts
// the exporter and its storage several times, and expects everything once.
func TestQueueSurvivesRestarts(t *testing.T) {
	dir := t.TempDir()
	store := &memoryStore{err: errAway}
	accepted := 0
	for round := range 4 {
		storage := fileStorage(t, dir)
		e := start(t, testHost{storeID: store, storageID: storage}, persistent)
		for i := range 5 {
			require.NoError(t, e.ConsumeProfiles(t.Context(), window(fmt.Sprint("w", round, i), "api", 10)))
			accepted += 10
		}
		before := store.attempts()
		eventually(t, func() bool { return store.attempts() > before })
		require.NoError(t, e.Shutdown(t.Context()))
		require.NoError(t, storage.Shutdown(t.Context()))
	}
	require.Zero(t, store.events())
	store.refuse(nil)
	storage := fileStorage(t, dir)
	e := start(t, testHost{storeID: store, storageID: storage}, persistent)
	eventually(t, func() bool { return store.events() == uint64(accepted) })
	require.NoError(t, e.Shutdown(t.Context()))
	require.NoError(t, storage.Shutdown(t.Context()))
	assert.Len(t, store.tokens, 20)
}
