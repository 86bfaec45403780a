package symbol

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestFilesLeaveMemory reads a whole file and finds it gone from the memory of
// this process, but not from its address space.
func TestFilesLeaveMemory(t *testing.T) {
	exe, err := os.Executable()
	require.NoError(t, err)
	c := newTestCache(t, 64<<20)
	f := openTestFile(t, c, exe)
	wait(t, c)
	before := rssFile(t)
	read := func() {
		require.NoError(t, f.Data(func(b []byte) error {
			sum := 0
			for i := 0; i < len(b); i += 4096 {
				sum += int(b[i])
			}
			assert.NotZero(t, sum)
			assert.Greater(t, rssFile(t), before+int64(len(b))/2)
			return nil
		}))
	}
	read()
	assert.Less(t, rssFile(t), before+f.size/4)
	from, to := f.golang.bounds()
	for i := range uint64(1000) {
		f.Lookup(from+(to-from)*i/1000, nil)
	}
	c.Trim()
	assert.Less(t, rssFile(t), before+f.size/4)
	read()
}
