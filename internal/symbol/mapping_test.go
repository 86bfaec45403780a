package symbol

import (
	"cmp"
	"debug/elf"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func mappingAt(ms []Mapping, addr uint64) *Mapping {
	for i := range ms {
		if addr >= ms[i].Start && addr < ms[i].End {
			return &ms[i]
		}
	}
	return nil
}

func TestMappings(t *testing.T) {
	path, cmd := startCopy(t)
	c := newTestCache(t, 64<<20)
	var s *Space
	for s = c.Space(cmd.Process.Pid); len(s.regions) < 4; s = c.Space(cmd.Process.Pid) { // program, linker, libc, vdso
		s.Close()
		time.Sleep(time.Millisecond)
	}
	defer s.Close()
	ms := s.Mappings()
	assert.True(t, slices.IsSortedFunc(ms, func(a, b Mapping) int { return cmp.Compare(a.Start, b.Start) }))
	seen := map[string]bool{}
	for _, m := range ms {
		require.NotNil(t, m.File)
		assert.Equal(t, Frame{File: m.File, Addr: m.Start - m.Bias}, s.Resolve(m.Start))
		seen[m.File.Path] = true
		if m.File.Path == vdsoName || m.File.Path == path {
			assert.False(t, m.Anonymous)
			// What the program has in memory is what the file has at the address.
			mem, err := os.Open("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/mem")
			require.NoError(t, err)
			got := make([]byte, 64)
			_, err = mem.ReadAt(got, int64(m.Start))
			require.NoError(t, err)
			require.NoError(t, mem.Close())
			require.NoError(t, m.File.Data(func(data []byte) error {
				e, err := parseELF(data)
				require.NoError(t, err)
				assert.Equal(t, got, e.bytesAt(m.Start - m.Bias)[:64])
				return nil
			}))
		}
	}
	assert.True(t, seen[path] && seen[vdsoName], "%v", seen)

	exe := s.Resolve(ms[0].Start).File
	exe.Retain()
	s.Close()
	wait(t, c)
	exe.used.Store(0)
	c.Trim()
	require.NoError(t, exe.Data(func([]byte) error { return nil }), "retained")
	exe.Release()
	exe.used.Store(0)
	c.Trim()
	assert.ErrorIs(t, exe.Data(func([]byte) error { return nil }), ErrNoData, "released")
}

func TestDataOfFailingReader(t *testing.T) {
	c := newTestCache(t, 64<<20)
	f := c.memory(vdsoName)
	boom := errors.New("boom")
	assert.ErrorIs(t, f.Data(func([]byte) error { return boom }), boom)
	assert.ErrorContains(t, f.Data(func(b []byte) error { _ = b[len(b):][0]; return nil }), "index out of range")
	assert.NoError(t, f.Data(func([]byte) error { return nil }), "the file is not to blame")
}

func TestBias(t *testing.T) {
	segments := []segment{
		{off: 0, vaddr: 0x400000, fileSize: 0x800},
		{off: 0x800, vaddr: 0x401800, fileSize: 0x1000, exec: true},
		{off: 0x1800, vaddr: 0x803800, fileSize: 0x100000, exec: true},
	}
	const at = 0x7f0000000000
	assert.EqualValues(t, at, region{start: at + 0x401000, end: at + 0x403000, off: 0}.bias(segments))
	assert.EqualValues(t, at, region{start: at + 0x803000, end: at + 0x904000, off: 0x1000}.bias(segments))
	assert.EqualValues(t, at, region{start: at + 0x900000, end: at + 0x904000, off: 0xfe000}.bias(segments), "a part of it")
	assert.Zero(t, region{start: 0x401000, end: 0x403000, off: 0}.bias(segments), "linked for where it is")
	assert.EqualValues(t, 0x1000, region{start: 0x3000, end: 0x4000, off: 0x2000}.bias(nil))
}

// mapFixture maps a file of the test executable.
func mapFixture(t *testing.T, path string, prot int) (addr uint64) {
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	b, err := unix.Mmap(int(f.Fd()), 0, 0x1000, prot, unix.MAP_PRIVATE)
	require.NoError(t, err)
	t.Cleanup(func() { _ = unix.Munmap(b) })
	return uint64(addressOf(b))
}

func TestRescan(t *testing.T) {
	c := newTestCache(t, 64<<20)
	s := c.Space(os.Getpid())
	defer s.Close()
	path := filepath.Join(t.TempDir(), "fixture")
	require.NoError(t, os.WriteFile(path, elfFixture(fixtureFuncs), 0o700))
	addr := mapFixture(t, path, unix.PROT_READ|unix.PROT_EXEC)
	hidden := mapFixture(t, path, unix.PROT_READ)
	assert.Nil(t, mappingAt(s.Mappings(), addr))
	assert.True(t, s.Rescan(addr+0x800))
	assert.False(t, s.Rescan(addr), "known by now")
	assert.False(t, s.Rescan(hidden), "not executable")
	assert.False(t, s.Rescan(8))
	m := mappingAt(s.Mappings(), addr)
	require.NotNil(t, m)
	assert.Equal(t, path, m.File.Path)
	assert.Equal(t, BuildID{ID: "deadbeef"}, m.File.BuildID)
	assert.Equal(t, m.File, s.Resolve(addr).File)
	assert.Equal(t, addr+0x1000, m.End)

	before := slices.DeleteFunc(slices.Clone(s.regions), func(r mappedRegion) bool { return r.path == "[vsyscall]" })
	regions, err := readMaps(os.Getpid())
	require.NoError(t, err)
	regions = slices.DeleteFunc(regions, func(r region) bool { return r.path == "[vsyscall]" }) // the query leaves it out
	require.Len(t, regions, len(before))
	for i, r := range regions {
		assert.Equal(t, r, before[i].region, "both ways agree")
	}
}

func TestInsertReplaces(t *testing.T) {
	c := newTestCache(t, 1<<20)
	s := &Space{cache: c}
	at := func(from, to uint64) region { return region{start: from, end: to, path: anonymous} }
	starts := func() (list [][2]uint64) {
		for _, r := range s.regions {
			list = append(list, [2]uint64{r.start, r.end})
		}
		return list
	}
	for _, r := range []region{at(10, 20), at(30, 40), at(20, 30), at(50, 60)} {
		assert.True(t, s.insert(r))
		assert.False(t, s.insert(r))
	}
	assert.Equal(t, [][2]uint64{{10, 20}, {20, 30}, {30, 40}, {50, 60}}, starts())
	assert.Equal(t, []Mapping{{Start: 10, End: 40, File: s.jit, Anonymous: true}, {Start: 50, End: 60, File: s.jit, Anonymous: true}}, s.Mappings(), "neighbours are joined")
	require.NotNil(t, s.Mappings()[0].File)
	assert.True(t, s.insert(at(15, 35)))
	assert.Equal(t, [][2]uint64{{15, 35}, {50, 60}}, starts())
	assert.True(t, s.insert(at(1, 100)))
	assert.Equal(t, [][2]uint64{{1, 100}}, starts())
}

// TestSpaceOutlivesProcess keeps what was known of a process.
func TestSpaceOutlivesProcess(t *testing.T) {
	_, cmd := startCopy(t)
	c := newTestCache(t, 64<<20)
	s := c.Space(cmd.Process.Pid)
	defer s.Close()
	before := s.Mappings()
	require.NotEmpty(t, before)
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	assert.False(t, s.Rescan(8))
	s.mu.Lock()
	assert.True(t, s.gone)
	s.scanned = time.Time{}
	s.mu.Unlock()
	assert.Equal(t, Frame{Addr: 8}, s.Resolve(8))
	assert.Equal(t, before, s.Mappings())
	assert.ErrorIs(t, s.Err(), os.ErrNotExist)
}

// TestSpaceOfReusedNumber does not take another process for the one it knew.
func TestSpaceOfReusedNumber(t *testing.T) {
	c := newTestCache(t, 1<<20)
	s := c.Space(os.Getpid())
	defer s.Close()
	require.NotZero(t, s.start)
	s.start++
	n := len(s.Mappings())
	assert.False(t, s.Rescan(1))
	assert.Len(t, s.Mappings(), n)
	assert.True(t, s.gone)
}

// TestPrelinked runs programs that are linked for an address, in several
// executable segments.
func TestPrelinked(t *testing.T) {
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("no gcc")
	}
	dir := t.TempDir()
	src := filepath.Join(dir, "p.c")
	require.NoError(t, os.WriteFile(src, []byte(`
#include <stdio.h>
#include <unistd.h>
__attribute__((noinline, section(".far"))) int far_function(void) { return 3; }
__attribute__((noinline)) int near_function(void) { return 4; }
int main(void) { printf("%lx %lx\n", (long)far_function, (long)near_function); fflush(stdout); pause(); return far_function() + near_function(); }
`), 0o600))
	for name, flags := range map[string][]string{
		"static":   {"-static"},
		"pie":      {"-pie", "-fPIE"},
		"segments": {"-no-pie", "-Wl,--section-start=.far=0x70000000"},
	} {
		bin := filepath.Join(dir, name)
		out, err := exec.Command(gcc, append(flags, "-O1", "-o", bin, src)...).CombinedOutput()
		require.NoError(t, err, string(out))
		cmd := exec.Command(bin)
		pipe, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		var line [64]byte
		n, err := pipe.Read(line[:])
		require.NoError(t, err)
		far, near, _ := cutHex(string(line[:n]))
		c := newTestCache(t, 64<<20)
		s := c.Space(cmd.Process.Pid)
		t.Cleanup(s.Close)
		ms := s.Mappings()
		wait(t, c)
		for addr, want := range map[uint64]string{far: "far_function", near: "near_function"} {
			m := mappingAt(ms, addr)
			require.NotNil(t, m, "%s: %#x", name, addr)
			assert.Equal(t, want, lookup1(m.File, addr-m.Bias), name)
			f := s.Resolve(addr)
			assert.Equal(t, want, lookup1(f.File, f.Addr), name)
		}
		if name == "segments" {
			ref, err := elf.Open(bin)
			require.NoError(t, err)
			executable := 0
			for _, p := range ref.Progs {
				if p.Type == elf.PT_LOAD && p.Flags&elf.PF_X != 0 {
					executable++
				}
			}
			assert.Greater(t, executable, 1)
			require.NoError(t, ref.Close())
		}
	}
}

// TestMemfd tells executables in shared memory from code of a compiler there.
func TestMemfd(t *testing.T) {
	c := newTestCache(t, 16<<20)
	s := c.Space(os.Getpid())
	defer s.Close()
	for name, content := range map[string][]byte{"program": elfFixture(fixtureFuncs), "doublemapper": make([]byte, 8192)} {
		fd, err := unix.MemfdCreate(name, 0)
		require.NoError(t, err)
		_, err = unix.Write(fd, content)
		require.NoError(t, err)
		addr := mapFixture(t, "/proc/self/fd/"+strconv.Itoa(fd), unix.PROT_READ|unix.PROT_EXEC)
		require.NoError(t, unix.Close(fd))
		require.True(t, s.Rescan(addr))
		m := mappingAt(s.Mappings(), addr)
		require.NotNil(t, m)
		assert.Equal(t, name == "doublemapper", m.Anonymous)
		if name == "program" {
			assert.Equal(t, "deadbeef", m.File.BuildID.ID)
			continue
		}
		assert.Equal(t, Frame{File: m.File, Addr: addr}, s.Resolve(addr))
	}
	wait(t, c)
	assert.Empty(t, c.Errors())
}
