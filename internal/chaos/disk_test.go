package chaos

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestFullDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "small")
	err := mountSmallDisk(dir)
	if errors.Is(err, errNoMount) {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, unmount(dir)) })
	write := func() error { return os.WriteFile(filepath.Join(dir, "file"), []byte("x"), 0o600) }
	for range 2 {
		require.NoError(t, fill(dir))
		require.ErrorIs(t, write(), unix.ENOSPC)
		require.NoError(t, free(dir))
		require.NoError(t, write())
		require.NoError(t, os.Remove(filepath.Join(dir, "file")))
	}
	require.NoError(t, free(dir), "there is nothing to free")
}
