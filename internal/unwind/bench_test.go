package unwind

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkBuildLibc builds the table of the C library.
func BenchmarkBuildLibc(b *testing.B) { benchmarkBuild(b, mapFile(b, libcPaths...)) }

// BenchmarkBuildLarge builds that of the largest program at hand, which is the
// embedded database (dist/lib/libchdb.so) after `make deps`.
func BenchmarkBuildLarge(b *testing.B) { benchmarkBuild(b, mapFile(b, bigPaths...)) }

func benchmarkBuild(b *testing.B, data []byte) {
	debug.FreeOSMemory()
	before, ok := resetPeak(b)
	p := newPool(256)
	rows := 0
	start := cpuTime(b)
	for b.Loop() {
		t, err := p.Build(data)
		require.NoError(b, err)
		rows = t.Rows
		p.Free(t)
	}
	b.ReportMetric(float64(cpuTime(b)-start)/float64(b.N)/float64(rows), "cpu-ns/row")
	b.ReportMetric(float64(rows), "rows")
	if ok {
		b.ReportMetric(float64(peak(b)-before)/(1<<20), "peak-MiB")
	}
	require.Zero(b, p.Stats().Blocks)
	// The table that was timed is a good one.
	t, err := p.Build(data)
	require.NoError(b, err)
	require.Equal(b, rows, t.Rows)
	require.Zero(b, t.Malformed)
	checkTable(b, p, t)
}

// cpuTime returns the time that this process has used, in nanoseconds: unlike the
// time of day it does not depend on what else the machine does.
func cpuTime(b *testing.B) int64 {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return u.Utime.Nano() + u.Stime.Nano()
}

// resetPeak lets the kernel forget the peak of the resident set, and returns
// the present one in bytes.
func resetPeak(b *testing.B) (int64, bool) {
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		return 0, false
	}
	return peak(b), true
}

// peak returns VmHWM in bytes.
func peak(b *testing.B) int64 {
	status, err := os.ReadFile(filepath.Join("/proc/self", "status"))
	require.NoError(b, err)
	_, rest, ok := bytes.Cut(status, []byte("VmHWM:"))
	require.True(b, ok)
	var kib int64
	_, err = fmt.Sscan(string(rest), &kib)
	require.NoError(b, err)
	return kib << 10
}
