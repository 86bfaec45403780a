package symbol

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/procinfo"
)

// unshared runs a shell script in new mount and pid namespaces, with the path of
// a directory of the test as $1. The script prints a line when it is ready. It
// returns the number of the process with the given name, as we see it.
func unshared(t *testing.T, script, name string) (pid int) {
	if os.Getuid() != 0 {
		t.Skip("needs root to make namespaces")
	}
	for _, tool := range []string{"unshare", "sh", "mount"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("no " + tool)
		}
	}
	cmd := exec.Command("unshare", "-m", "-p", "-f", "--kill-child", "sh", "-ec", script, "sh", t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	var line [64]byte
	if _, err := pipe.Read(line[:]); err != nil {
		t.Skip("no namespaces here: ", err)
	}
	return descendant(t, cmd.Process.Pid, name)
}

// descendant finds the process with a name below another one.
func descendant(t *testing.T, pid int, name string) int {
	var found int
	require.Eventually(t, func() bool {
		parents := []int{pid}
		for len(parents) > 0 && found == 0 {
			p := strconv.Itoa(parents[0])
			parents = parents[1:]
			comm, _ := os.ReadFile("/proc/" + p + "/comm")
			if strings.TrimSpace(string(comm)) == name {
				found, _ = strconv.Atoi(p)
			}
			children, _ := os.ReadFile("/proc/" + p + "/task/" + p + "/children")
			for _, c := range bytes.Fields(children) {
				n, _ := strconv.Atoi(string(c))
				parents = append(parents, n)
			}
		}
		return found != 0
	}, 10e9, 5e6)
	return found
}

// TestMountNamespace reads a program that only its own mount namespace has.
func TestMountNamespace(t *testing.T) {
	pid := unshared(t, `mount -t tmpfs none "$1"; cp "$(command -v sleep)" "$1/hiddensleep"; "$1/hiddensleep" 60 & echo ready; wait`, "hiddensleep")
	c := newTestCache(t, 64<<20)
	s := c.Space(pid)
	defer s.Close()
	ms := s.Mappings()
	require.NotEmpty(t, ms)
	exe := ms[0]
	assert.Equal(t, "hiddensleep", filepath.Base(exe.File.Path))
	_, err := os.Stat(exe.File.Path)
	require.ErrorIs(t, err, os.ErrNotExist, "we do not see it")
	assert.NotEmpty(t, exe.File.BuildID.ID)
	require.NoError(t, exe.File.Data(func(b []byte) error {
		assert.Equal(t, "\x7fELF", string(b[:4]))
		return nil
	}))
	// By its path as well, where map_files cannot be used.
	r := s.regions[0].region
	r.start, r.end = 1, 2
	fd, err := openRegion(pid, r)
	require.NoError(t, err)
	require.NoError(t, syscall.Close(fd))
}

// TestPIDNamespacePerfMap finds a perf map by the number that the process has in
// its own namespace, in its own /tmp.
func TestPIDNamespacePerfMap(t *testing.T) {
	pid := unshared(t, `mount -t tmpfs none /tmp; mkdir -p /tmp/x; cp "$(command -v sleep)" /tmp/x/jitsleep; /tmp/x/jitsleep 60 & echo "1000 10 py::f:/a.py" >/tmp/perf-$!.map; echo ready; wait`, "jitsleep")
	status, err := procinfo.ReadStatus(uint32(pid))
	require.NoError(t, err)
	require.NotEqualValues(t, pid, status.NamespacedPID)
	c := newTestCache(t, 64<<20)
	f := c.jit(pid, startTime(pid), "")
	defer f.Release()
	wait(t, c)
	assert.Equal(t, []Symbol{{Name: "f", File: "/a.py", Kind: KindCPython}}, f.Lookup(0x1008, nil))
	assert.Empty(t, c.Errors())
}
