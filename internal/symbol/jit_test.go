package symbol

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// perfMapOf returns the path of this process's perf map, which the test removes.
func perfMapOf(t *testing.T, pid int) string {
	path := "/tmp/perf-" + strconv.Itoa(pid) + ".map"
	_ = os.Remove(path)
	t.Cleanup(func() { _ = os.Remove(path) })
	return path
}

func appendTo(t *testing.T, path, lines string) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	_, err = f.WriteString(lines)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// due makes the next lookup read the perf map.
func due(f *File) {
	f.mu.Lock()
	f.jit.checked = time.Time{}
	f.mu.Unlock()
}

func TestJITFile(t *testing.T) {
	path := perfMapOf(t, os.Getpid())
	c := newTestCache(t, 16<<20)
	s := c.Space(os.Getpid())
	defer s.Close()
	code, err := unix.Mmap(-1, 0, 0x2000, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON)
	require.NoError(t, err)
	defer func() { _ = unix.Munmap(code) }()
	at := uint64(addressOf(code))
	require.True(t, s.Rescan(at))
	m := mappingAt(s.Mappings(), at)
	require.True(t, m.Anonymous)
	assert.Zero(t, m.Bias)
	f := m.File
	assert.Equal(t, Frame{File: f, Addr: at + 5}, s.Resolve(at+5))
	assert.ErrorIs(t, f.Data(func([]byte) error { return nil }), ErrNoData)
	wait(t, c)
	assert.Empty(t, f.Lookup(at, nil), "no perf map yet")

	appendTo(t, path, fmt.Sprintf("%x 10 JS:*foo /a.js:1:2\n%x 10 JS:*b", at, at+0x10))
	assert.Empty(t, f.Lookup(at, nil), "not looked at all the time")
	due(f)
	assert.Equal(t, []Symbol{{Name: "foo", File: "/a.js", StartLine: 1, Kind: KindV8}}, f.Lookup(at, nil))
	assert.Empty(t, f.Lookup(at+0x10, nil), "the line is being written")
	appendTo(t, path, "ar /a.js:3:4\n")
	due(f)
	assert.Equal(t, "bar", lookup1(f, at+0x1f))
	assert.Equal(t, "foo", lookup1(f, at))
	offset := f.jit.offset
	due(f)
	assert.Equal(t, "bar", lookup1(f, at+0x1f))
	assert.Equal(t, offset, f.jit.offset)
	assert.EqualValues(t, f.jit.table.bytes(), f.bytes.Load())

	// Written anew, longer than before: as a Java machine does each time.
	require.NoError(t, os.WriteFile(path, fmt.Appendf(nil, "%x 20 JS:*other /some/longer/name.js:1:2\n%x 20 JS:*last /b.js:1:2\n", at, at+0x20), 0o600))
	due(f)
	assert.Equal(t, "other", lookup1(f, at))
	assert.Equal(t, "other", lookup1(f, at+0x10))
	assert.Equal(t, "last", lookup1(f, at+0x20))

	// Another file.
	require.NoError(t, os.Remove(path))
	appendTo(t, path, fmt.Sprintf("%x 10 %s\n%x 10 JS:~new /a.js:1:2\n", at, strings.Repeat("long", jitChunk/2), at+0x10))
	due(f)
	assert.Equal(t, "new", lookup1(f, at+0x10))
	assert.Empty(t, f.Lookup(at, nil), "a line that is too long is skipped")

	// Dropped, and built again.
	c.maxBytes = 0
	c.Trim()
	assert.Zero(t, c.Bytes())
	c.maxBytes = 16 << 20
	f.mu.Lock()
	f.built = time.Time{}
	f.mu.Unlock()
	assert.Empty(t, f.Lookup(at+0x10, nil))
	wait(t, c)
	assert.Equal(t, "new", lookup1(f, at+0x10))
	assert.Empty(t, c.Errors())
}

// TestPerfMapRefused does not read what a process could trick us into reading.
func TestPerfMapRefused(t *testing.T) {
	_, cmd := startCopy(t)
	pid := cmd.Process.Pid
	path := perfMapOf(t, pid)
	_, err := openPerfMap(pid)
	assert.ErrorIs(t, err, os.ErrNotExist)
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, nil, 0o600))
	require.NoError(t, os.Symlink(secret, path))
	_, err = openPerfMap(pid)
	assert.ErrorIs(t, err, errNotRegular, "a link")
	require.NoError(t, os.Remove(path))
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	_, err = openPerfMap(pid)
	assert.ErrorIs(t, err, errNotRegular)
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	fd, err := openPerfMap(pid)
	require.NoError(t, err)
	require.NoError(t, unix.Close(fd))
	if os.Getuid() == 0 {
		require.NoError(t, os.Chown(path, 12345, -1))
		_, err = openPerfMap(pid)
		assert.ErrorIs(t, err, os.ErrPermission, "somebody else's")
	}
}

// startProgram runs a program until the test ends, or skips the test.
func startProgram(t *testing.T, name string, args ...string) *exec.Cmd {
	if _, err := exec.LookPath(name); err != nil {
		t.Skip("no " + name)
	}
	cmd := exec.Command(name, args...)
	cmd.Dir = t.TempDir() // node writes a log there
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// perfEntryOf waits for an entry whose name contains what, and returns the last.
func perfEntryOf(t *testing.T, path, what string) (addr uint64) {
	t.Helper()
	require.Eventually(t, func() bool {
		b, _ := os.ReadFile(path)
		for line := range bytes.Lines(b) {
			if a, _, name, ok := perfLine(bytes.TrimSpace(line)); ok && bytes.Contains(name, []byte(what)) {
				addr = a
			}
		}
		return addr != 0
	}, 2*time.Minute, 10*time.Millisecond)
	return addr
}

const nodeProgram = `
function hotFunction(n) { return n < 2 ? n : hotFunction(n - 1) + hotFunction(n - 2) }
setInterval(() => hotFunction(20), 1)
`

func TestNode(t *testing.T) {
	src := filepath.Join(t.TempDir(), "busy.js")
	require.NoError(t, os.WriteFile(src, []byte(nodeProgram), 0o600))
	cmd := startProgram(t, "node", "--perf-basic-prof", "--interpreted-frames-native-stack", src)
	pid := cmd.Process.Pid
	addr := perfEntryOf(t, perfMapOf(t, pid), "JS:*hotFunction ")
	c := newTestCache(t, 64<<20)
	s := c.Space(pid)
	defer s.Close()
	f := s.Resolve(addr)
	require.NotNil(t, f.File)
	wait(t, c)
	want := []Symbol{{Name: "hotFunction", File: src, StartLine: 2, Kind: KindV8}}
	assert.Equal(t, want, f.File.Lookup(f.Addr, nil))
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	due(f.File)
	assert.Equal(t, want, f.File.Lookup(f.Addr, nil), "the process is gone")
	assert.Empty(t, c.Errors())
}

const javaProgram = `public class Busy {
	static int hotFunction(int n) { return n < 2 ? n : hotFunction(n - 1) + hotFunction(n - 2); }
	public static void main(String[] args) throws Exception {
		for (;;) { hotFunction(25); Thread.sleep(1); }
	}
}`

func TestJava(t *testing.T) {
	jcmd, err := exec.LookPath("jcmd")
	if err != nil {
		t.Skip("no jcmd")
	}
	src := filepath.Join(t.TempDir(), "Busy.java")
	require.NoError(t, os.WriteFile(src, []byte(javaProgram), 0o600))
	cmd := startProgram(t, "java", "-Xmx64m", src)
	pid := cmd.Process.Pid
	path := perfMapOf(t, pid)
	require.Eventually(t, func() bool {
		_ = exec.Command(jcmd, strconv.Itoa(pid), "Compiler.perfmap").Run()
		b, _ := os.ReadFile(path)
		return bytes.Contains(b, []byte("hotFunction"))
	}, 2*time.Minute, 200*time.Millisecond)
	addr := perfEntryOf(t, path, "int Busy.hotFunction(int)")
	c := newTestCache(t, 64<<20)
	s := c.Space(pid)
	defer s.Close()
	f := s.Resolve(addr)
	require.NotNil(t, f.File)
	wait(t, c)
	assert.Equal(t, []Symbol{{Name: "int Busy.hotFunction(int)", Kind: KindJVM}}, f.File.Lookup(f.Addr, nil))
}
