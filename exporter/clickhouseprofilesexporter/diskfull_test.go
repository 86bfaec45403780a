package clickhouseprofilesexporter

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"golang.org/x/sys/unix"
)

// smallDisk mounts a file system of that size. It needs root.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Skipf("needs the right to mount a file system: %v", err)
	}
	t.Cleanup(func() { assert.NoError(t, unix.Unmount(dir, 0)) })
	return dir
}

// bulky returns a window that needs about size bytes in the queue.
func bulky(id string, size int) pprofile.Profiles {
	pd := window(id, "api", 1)
	b := make([]byte, size/2)
	_, _ = rand.Read(b)
	pd.Dictionary().StringTable().Append(fmt.Sprintf("%x", b))
	return pd
}

// TestDiskFull fills the disk of the queue while the store is away, with the
// queue's own data and then with another file. Everything accepted must be
// stored, over a restart on the full disk, and room must be used again.
func TestDiskFull(t *testing.T) {
	dir := smallDisk(t, 1<<20)
	store := &memoryStore{err: errAway}
	host := testHost{storeID: store, storageID: fileStorage(t, dir)}
	e := start(t, host, persistent)
	accepted, refused := 0, 0
	push := func(size int) {
		err := e.ConsumeProfiles(t.Context(), bulky(fmt.Sprint("w", accepted, "/", refused), size))
		if err == nil {
			accepted++
			return
		}
		refused++
		assert.False(t, consumererror.IsPermanent(err))
	}
	for refused < 5 {
		push(50 << 10)
	}
	require.Positive(t, accepted)
	// Not one block is left for the queue's own bookkeeping either.
	ballast := filepath.Join(dir, "ballast")
	f, err := os.Create(ballast)
	require.NoError(t, err)
	for _, err = f.Write(make([]byte, 4096)); err == nil; {
		_, err = f.Write(make([]byte, 4096))
	}
	require.ErrorIs(t, err, unix.ENOSPC)
	require.NoError(t, f.Close())
	for range 5 {
		push(50 << 10)
	}
	for range 2 {
		require.NoError(t, e.Shutdown(t.Context()))
		require.NoError(t, host[storageID].Shutdown(t.Context()))
		host[storageID] = fileStorage(t, dir)
		before := store.attempts()
		e = start(t, host, persistent)
		eventually(t, func() bool { return store.attempts() > before })
	}
	store.refuse(nil)
	eventually(t, func() bool { return store.events() == uint64(accepted) })
	require.NoError(t, os.Remove(ballast))
	was := accepted
	for range 5 {
		push(20 << 10)
	}
	assert.Equal(t, was+5, accepted)
	eventually(t, func() bool { return store.events() == uint64(accepted) })
	require.NoError(t, e.Shutdown(t.Context()))
	require.NoError(t, host[storageID].Shutdown(t.Context()))
	t.Logf("%d accepted, %d refused", accepted, refused)
}
