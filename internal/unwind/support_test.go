package unwind

import (
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// mapFile maps a file as the collector does, or skips the test if this machine
// does not have it.
func mapFile(t testing.TB, paths ...string) []byte {
	t.Helper()
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		st, err := f.Stat()
		require.NoError(t, err)
		b, err := syscall.Mmap(int(f.Fd()), 0, int(st.Size()), syscall.PROT_READ, syscall.MAP_PRIVATE)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		t.Cleanup(func() { require.NoError(t, syscall.Munmap(b)) })
		return b
	}
	t.Skipf("none of %q is on this machine", paths)
	return nil
}

// Places of shared objects in distributions.
var (
	libcPaths = []string{"/lib/x86_64-linux-gnu/libc.so.6", "/lib64/libc.so.6", "/usr/lib/libc.so.6"}
	ldsoPaths = []string{"/lib64/ld-linux-x86-64.so.2"}
	bashPaths = []string{"/bin/bash", "/usr/bin/bash"}
	cxxPaths  = []string{"/usr/lib/x86_64-linux-gnu/libstdc++.so.6", "/usr/lib64/libstdc++.so.6"}
	bigPaths  = []string{"../../dist/lib/libchdb.so", "/usr/bin/node", "/usr/local/bin/node"}
)

// newPool returns a pool in this process's memory.
func newPool(chunks int) *Pool {
	o := PoolOptions{MaxChunks: chunks, MaxPages: 1 << 15, MaxRules: 1 << 14}
	return NewPool(NewHeapMemory(o.MaxChunks, o.MaxPages, o.MaxRules), o)
}
