package pyroscopereceiver

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// nodeSDK is the package of npm that the test runs.
const nodeSDK = "@pyroscope/nodejs@0.6.4"

// The SDK for Node.js pushes what it samples.
func TestNodeSDK(t *testing.T) {
	if testing.Short() {
		t.Skip("fetches " + nodeSDK)
	}
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("needs " + program)
		}
	}
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "npm", "install", "--no-audit", "--no-fund", "--prefix", dir, nodeSDK).CombinedOutput(); err != nil {
		t.Skipf("cannot fetch %s: %s", nodeSDK, out)
	}
	script, err := os.ReadFile("testdata/app.js")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "app.js"), script, 0o600))

	f := start(t, options{})
	out, err := exec.CommandContext(t.Context(), "node", filepath.Join(dir, "app.js"), f.base).CombinedOutput()
	require.NoError(t, err, string(out))
	sums, burnt := make(map[string]int64), int64(0)
	for k, v := range f.sums(t) {
		id, rest, _ := strings.Cut(strings.TrimPrefix(k, "anonymous "), " {")
		assert.True(t, strings.Contains(rest, "env=test,") && strings.Contains(rest, "service_name=node.app}"), k)
		sums[id] += v
		if strings.Contains(rest, "burn") && strings.HasPrefix(id, "wall:wall:") {
			burnt += v
		}
	}
	for _, id := range []string{"wall:wall:nanoseconds:wall:nanoseconds", "wall:samples:count:wall:nanoseconds", "memory:inuse_objects:count:inuse_space:bytes", "memory:inuse_space:bytes:inuse_space:bytes"} {
		assert.Positive(t, sums[id], "%s in %v", id, sums)
	}
	assert.Positive(t, burnt, "%v", sums)
}
