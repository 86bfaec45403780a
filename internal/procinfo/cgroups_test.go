package procinfo

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCgroupsOfThisHost(t *testing.T) {
	c := NewCgroups()
	if c.root == "" {
		t.Skip("no cgroup v2 on this machine")
	}
	dir := filepath.Join(c.root, "aperture-procinfo-test")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skipf("cannot make a cgroup: %v", err)
	}
	t.Cleanup(func() { _ = os.Remove(dir) })
	sub := filepath.Join(dir, "docker-"+idA+".scope")
	require.NoError(t, os.Mkdir(sub, 0o755))
	t.Cleanup(func() { _ = os.Remove(sub) })
	id, ok := inode(sub)
	require.True(t, ok)
	path := c.Path(id)
	assert.Equal(t, "/aperture-procinfo-test/docker-"+idA+".scope", path)
	assert.Equal(t, idA, ContainerOf(path).ID)
	root, ok := inode(c.root)
	require.True(t, ok)
	assert.Equal(t, "/", c.Path(root))

	// A cgroup that was removed keeps its path.
	require.NoError(t, os.Remove(sub))
	c.walked = time.Time{}
	assert.Empty(t, c.Path(1<<62))
	assert.Equal(t, path, c.Path(id))
}

func TestCgroupsRemembersWhatIsUnknown(t *testing.T) {
	root := t.TempDir()
	c := newCgroups(root)
	assert.Empty(t, c.Path(1<<62))
	walked := c.walked
	assert.False(t, walked.IsZero())
	assert.Empty(t, c.Path(1<<62))
	assert.Empty(t, c.Path(1<<61), "too soon for another walk")
	assert.Equal(t, walked, c.walked)

	// The next walk finds a new one.
	require.NoError(t, os.Mkdir(filepath.Join(root, "a"), 0o755))
	id, ok := inode(filepath.Join(root, "a"))
	require.True(t, ok)
	c.walked = time.Time{}
	assert.Equal(t, "/a", c.Path(id))
}

func TestCgroupsWithoutV2(t *testing.T) {
	c := newCgroups("")
	assert.Empty(t, c.Path(1))
	assert.True(t, c.walked.IsZero())
	assert.Empty(t, newCgroups(filepath.Join(t.TempDir(), "gone")).Path(1))
}
