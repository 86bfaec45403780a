package symbol

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// rusageCPU returns the processor time of this process.
func rusageCPU(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// rss returns the memory of this process that is backed by files, in bytes.
func rssFile(b testing.TB) int64 {
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(b, err)
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "RssFile:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			require.NoError(b, err)
			return kb << 10
		}
	}
	b.Skip("no RssFile")
	return 0
}

// BenchmarkHost reads the mappings of all processes and builds all symbol
// tables: what a profiler does when it starts.
func BenchmarkHost(b *testing.B) {
	entries, err := os.ReadDir("/proc")
	require.NoError(b, err)
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	before := rusageCPU(b)
	var files, size int64
	for b.Loop() {
		c := NewCache(64 << 20)
		mappings := 0
		spaces := make([]*Space, 0, len(pids))
		for _, pid := range pids {
			s := c.Space(pid)
			mappings += len(s.Mappings())
			spaces = append(spaces, s)
		}
		waitB(b, c)
		files, size = int64(c.Files()), c.Bytes()
		if mappings == 0 || size == 0 {
			b.Fatal("nothing was found")
		}
		for _, s := range spaces {
			s.Close()
		}
		c.Close()
	}
	b.ReportMetric(float64((rusageCPU(b)-before).Microseconds())/1e3/float64(b.N), "cpu-ms/op")
	b.ReportMetric(float64(len(pids)), "processes")
	b.ReportMetric(float64(files), "files")
	b.ReportMetric(float64(size)/(1<<20), "table-MiB")
}

func waitB(b *testing.B, c *Cache) {
	b.Helper()
	wait(b, c)
}

// BenchmarkLargeLibrary builds the table of a file of hundreds of megabytes.
func BenchmarkLargeLibrary(b *testing.B) {
	paths, _ := filepath.Glob("../../dist/lib/*.so")
	if len(paths) == 0 {
		b.Skip("no large library was built")
	}
	var resident int64
	for b.Loop() {
		c := NewCache(64 << 20)
		f := openTestFile(b, c, paths[0])
		waitB(b, c)
		resident = rssFile(b)
		if f.state.Load() != stateReady {
			b.Fatal(c.Errors())
		}
		c.Close()
	}
	b.ReportMetric(float64(resident)/(1<<20), "RssFile-MiB")
}

func BenchmarkScan(b *testing.B) {
	for _, extra := range []int{0, 2000} {
		b.Run("mappings+"+strconv.Itoa(extra), func(b *testing.B) {
			for i := range extra { // every other one differs, so that they are not joined
				m, err := syscall.Mmap(-1, 0, 4096, syscall.PROT_READ|i%2*syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
				require.NoError(b, err)
				defer func() { _ = syscall.Munmap(m) }()
			}
			b.Run("maps", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if r, err := readMaps(os.Getpid()); err != nil || len(r) == 0 {
						b.Fatal(r, err)
					}
				}
			})
			b.Run("query", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if r, err := queryMaps(os.Getpid()); err != nil || len(r) == 0 {
						b.Fatal(r, err)
					}
				}
			})
		})
	}
}

func BenchmarkRescan(b *testing.B) {
	c := NewCache(1 << 20)
	defer c.Close()
	s := c.Space(os.Getpid())
	defer s.Close()
	addr := s.Mappings()[0].Start
	b.ReportAllocs()
	for b.Loop() {
		if s.Rescan(addr) {
			b.Fatal("it was known")
		}
	}
}
