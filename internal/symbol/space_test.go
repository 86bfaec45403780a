package symbol

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func newTestCache(t testing.TB, size int64) *Cache {
	c := NewCache(size)
	t.Cleanup(c.Close)
	return c
}

// lookup1 returns the name of the function at addr, without those inlined there.
func lookup1(f *File, addr uint64) string {
	syms := f.Lookup(addr, nil)
	if len(syms) == 0 {
		return ""
	}
	return syms[len(syms)-1].Name
}

func wait(t testing.TB, c *Cache) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	require.NoError(t, c.Wait(ctx))
}

// TestSpaceNamesOwnFunctions resolves functions of this very process, a Go
// program, and compares name, file and line with what the runtime says.
func TestSpaceNamesOwnFunctions(t *testing.T) {
	c := newTestCache(t, 64<<20)
	s := c.Space(os.Getpid())
	defer s.Close()
	require.NoError(t, s.Err())
	checked := 0
	for _, fn := range []any{parseMaps, TestSpaceNamesOwnFunctions, strings.Replace, (*Cache).work, io.ReadAll} {
		pc := reflect.ValueOf(fn).Pointer()
		rf := runtime.FuncForPC(pc)
		f := s.Resolve(uint64(pc))
		require.NotNil(t, f.File)
		wait(t, c)
		require.Equal(t, rf.Name(), lookup1(f.File, f.Addr))
		for delta := range uint64(1000) { // reaches into functions behind it
			syms := f.File.Lookup(f.Addr+delta, nil)
			require.NotEmpty(t, syms)
			// CallersFrames takes return addresses, and tells the innermost one.
			after := pc + uintptr(delta) + 1
			if runtime.FuncForPC(after).Entry() == after {
				continue
			}
			want, _ := runtime.CallersFrames([]uintptr{after}).Next()
			if want.File == "?" { // padding
				require.Empty(t, syms[0].File)
				continue
			}
			require.Equal(t, want.Function, syms[0].Name)
			require.Equal(t, want.File, syms[0].File)
			require.EqualValues(t, want.Line, syms[0].Line)
			require.Equal(t, want.Func == nil, len(syms) > 1)
			for _, sym := range syms {
				require.LessOrEqual(t, sym.StartLine, sym.Line)
				require.Equal(t, KindGo, sym.Kind)
			}
			checked += len(syms) - 1
		}
	}
	assert.Positive(t, checked, "some functions are inlined")
	assert.Empty(t, c.Errors())
}

func TestSpaceUnknownAddress(t *testing.T) {
	c := newTestCache(t, 1<<20)
	s := c.Space(os.Getpid())
	defer s.Close()
	assert.Equal(t, Frame{Addr: 1}, s.Resolve(1))
	assert.Equal(t, Frame{Addr: ^uint64(0)}, s.Resolve(^uint64(0)))
}

func TestSpaceOfNoProcess(t *testing.T) {
	c := newTestCache(t, 1<<20)
	s := c.Space(1 << 30)
	defer s.Close()
	assert.ErrorIs(t, s.Err(), os.ErrNotExist)
	assert.Equal(t, Frame{Addr: 4096}, s.Resolve(4096))
}

func TestVDSO(t *testing.T) {
	c := newTestCache(t, 1<<20)
	f := c.memory(vdsoName)
	wait(t, c)
	f.mu.Lock()
	require.NotNil(t, f.elf, "the vdso has a symbol table")
	addr := f.elf.syms[0].addr
	f.mu.Unlock()
	assert.Contains(t, lookup1(f, addr), "vdso")
}

// startCopy runs a copy of /bin/sleep from a directory of the test.
func startCopy(t testing.TB) (path string, cmd *exec.Cmd) {
	sleep, err := exec.LookPath("sleep")
	require.NoError(t, err)
	b, err := os.ReadFile(sleep)
	require.NoError(t, err)
	path = filepath.Join(t.TempDir(), "sleeper")
	require.NoError(t, os.WriteFile(path, b, 0o755))
	cmd = exec.Command(path, "60")
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	// exec has happened when the command line is the new one.
	require.Eventually(t, func() bool {
		line, _ := os.ReadFile("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/cmdline")
		return bytes.HasPrefix(line, []byte(path))
	}, 2*time.Minute, time.Millisecond)
	return path, cmd
}

func textRegion(t *testing.T, s *Space, path string) *mappedRegion {
	for i := range s.regions {
		if s.regions[i].path == path {
			return &s.regions[i]
		}
	}
	t.Fatalf("no mapping of %s in %+v", path, s.regions)
	return nil
}

func TestSpaceDeletedExecutable(t *testing.T) {
	path, cmd := startCopy(t)
	require.NoError(t, os.Remove(path))
	c := newTestCache(t, 64<<20)
	s := c.Space(cmd.Process.Pid)
	defer s.Close()
	r := textRegion(t, s, path)
	assert.True(t, r.deleted)
	f := s.Resolve(r.start)
	require.NotNil(t, f.File)
	assert.NotEmpty(t, f.File.BuildID.ID, "the file was read although it is deleted")
	fd, err := openRegion(cmd.Process.Pid, region{start: 1, end: 2, path: path, deleted: true, inode: r.inode})
	require.NoError(t, err, "also without map_files")
	require.NoError(t, syscall.Close(fd))
}

func TestOpenRegionByPath(t *testing.T) {
	path, cmd := startCopy(t)
	pid := cmd.Process.Pid
	st, err := os.Stat(path)
	require.NoError(t, err)
	inode := st.Sys().(*syscall.Stat_t).Ino
	noMapFile := region{start: 1, end: 2, path: path, inode: inode}

	fd, err := openRegion(pid, noMapFile)
	require.NoError(t, err)
	require.NoError(t, syscall.Close(fd))

	other := noMapFile
	other.inode++
	_, err = openRegion(pid, other)
	assert.ErrorIs(t, err, errReplaced)

	require.NoError(t, os.Remove(path))
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	_, err = openRegion(pid, noMapFile)
	assert.ErrorIs(t, err, errNotRegular, "and does not block on the pipe")
}

// TestOpenRegionOfEndedProcess finds the file at its path, and only that file.
func TestOpenRegionOfEndedProcess(t *testing.T) {
	path, _ := startCopy(t)
	st, err := os.Stat(path)
	require.NoError(t, err)
	sys := st.Sys().(*syscall.Stat_t)
	m := region{start: 1, end: 2, path: path, inode: sys.Ino, dev: uint64(sys.Dev)}
	const nobody = 1 << 30
	fd, err := openRegion(nobody, m)
	require.NoError(t, err)
	require.NoError(t, syscall.Close(fd))
	for _, other := range []region{
		{start: 1, end: 2, path: path, inode: m.inode + 1, dev: m.dev},
		{start: 1, end: 2, path: path, inode: m.inode, dev: m.dev + 1},
	} {
		_, err = openRegion(nobody, other)
		assert.ErrorIs(t, err, os.ErrNotExist)
	}
}

// TestFileTruncatedWhileMapped makes the kernel raise SIGBUS.
func TestFileTruncatedWhileMapped(t *testing.T) {
	exe, err := os.Executable()
	require.NoError(t, err)
	b, err := os.ReadFile(exe)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "victim")
	require.NoError(t, os.WriteFile(path, b, 0o600))
	c := newTestCache(t, 64<<20)
	f := openTestFile(t, c, path)
	wait(t, c)
	from, _ := f.golang.bounds()
	require.NotEmpty(t, f.Lookup(from, nil))
	require.NoError(t, os.Truncate(path, 0))
	assert.Empty(t, f.Lookup(from+4096, nil))
	assert.Equal(t, int64(1), c.Errors()[ErrorFault])
	assert.Empty(t, f.Lookup(from, nil), "the file is given up")
}

func openTestFile(t testing.TB, c *Cache, path string) *File {
	fh, err := os.Open(path)
	require.NoError(t, err)
	defer fh.Close()
	key, err := statKey(int(fh.Fd()))
	require.NoError(t, err)
	return c.add(key, newFile(c, path, int(fh.Fd()), key))
}

func TestCacheSharesCopies(t *testing.T) {
	exe, err := os.Executable()
	require.NoError(t, err)
	b, err := os.ReadFile(exe)
	require.NoError(t, err)
	dir := t.TempDir()
	c := newTestCache(t, 64<<20)
	var files []*File
	for _, name := range []string{"a", "b"} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, b, 0o600))
		files = append(files, openTestFile(t, c, path))
	}
	assert.Same(t, files[0], files[1])
	assert.Equal(t, 1, c.Files())
	// A build id is easily forged: it says nothing about files of other users.
	if os.Geteuid() == 0 {
		path := filepath.Join(dir, "c")
		require.NoError(t, os.WriteFile(path, b, 0o600))
		require.NoError(t, os.Chown(path, 65534, 65534))
		assert.NotSame(t, files[0], openTestFile(t, c, path))
	}
	wait(t, c)
}

func TestCacheTrim(t *testing.T) {
	exe, err := os.Executable()
	require.NoError(t, err)
	c := newTestCache(t, 64<<20)
	f := openTestFile(t, c, exe)
	wait(t, c)
	from, _ := f.golang.bounds()
	require.NotEmpty(t, f.Lookup(from, nil))
	require.Positive(t, c.Bytes())

	c.maxBytes = 0
	c.Trim()
	assert.Zero(t, c.Bytes(), "tables are dropped")
	assert.Empty(t, f.Lookup(from, nil), "and not built again at once")
	f.mu.Lock()
	f.built = time.Time{}
	f.mu.Unlock()
	_ = f.Lookup(from, nil)
	wait(t, c)
	assert.NotEmpty(t, f.Lookup(from, nil), "but later")

	c.release(f)
	f.used.Store(0)
	c.Trim()
	assert.Zero(t, c.Files(), "an idle file that nobody has mapped is closed")
	assert.Empty(t, f.Lookup(from, nil))
}

func TestCacheTableTooLarge(t *testing.T) {
	lib := libc(t)
	c := newTestCache(t, 1024)
	f := openTestFile(t, c, lib)
	wait(t, c)
	assert.Equal(t, int64(1), c.Errors()[ErrorTooLarge])
	assert.Empty(t, f.Lookup(0x1000, nil))
}

// libc returns the path of the C library that a dynamic program uses.
func libc(t testing.TB) string {
	_, cmd := startCopy(t)
	var path string
	found := func() bool { // the dynamic linker takes a moment
		f, err := os.Open("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/maps")
		if err != nil {
			return false
		}
		defer f.Close()
		regions, _ := parseMaps(f)
		for _, r := range regions {
			if strings.Contains(filepath.Base(r.path), "libc") {
				path = r.path
			}
		}
		return path != ""
	}
	for end := time.Now().Add(2 * time.Minute); !found(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Skip("no dynamic C library here")
		}
	}
	return path
}
