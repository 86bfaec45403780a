package main

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"github.com/aperture-collector/aperture-collector/internal/unwind"
)

// tables measures how fast the unwind table of a large library is built, and what
// memory that takes: the ClickHouse library, with millions of rows.
func tables(_ context.Context, b *bench) error {
	path := filepath.Join(b.dist, "lib", "libchdb.so")
	data, err := mapFile(path)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Munmap(data) }()
	runtime.LockOSThread() // its CPU clock is read
	defer runtime.UnlockOSThread()
	pool := unwind.NewPool(unwind.NewHeapMemory(256, 1<<16, 1<<16), unwind.PoolOptions{MaxChunks: 256, MaxPages: 1 << 16, MaxRules: 1 << 16})
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil { // forget the peak
		return fmt.Errorf("reset peak memory: %w", err)
	}
	before, err := peakMemory()
	if err != nil {
		return err
	}
	var best float64
	var rows int
	var peak uint64
	for i := range 3 {
		start := threadCPU()
		t, err := pool.Build(data)
		if err != nil {
			return err
		}
		row := float64(threadCPU()-start) / float64(t.Rows)
		if i == 0 {
			// The first build has to read the file, as after the start of an agent.
			if peak, err = peakMemory(); err != nil {
				return err
			}
			if err := checkTable(path, pool, t); err != nil {
				return err
			}
			best = row
		}
		best = min(best, row)
		rows = t.Rows
		pool.Free(t)
	}
	b.table.add("unwind table of the ClickHouse library: CPU time per row", "≤ 40 ns", fmt.Sprintf("%.1f ns (%d rows)", best, rows), "", best <= 40)
	took := float64(peak-before) / (1 << 20)
	b.table.add("unwind table of the ClickHouse library: peak memory while building, with the table", "≤ 64 MB",
		fmt.Sprintf("%.0f MB", took), "", took <= 64)
	return nil
}

// checkTable looks up addresses all over the code; nearly all of it, but not the
// padding between functions, has call frame information. (The tests of package
// unwind compare the rules themselves.)
func checkTable(path string, pool *unwind.Pool, t *unwind.Table) error {
	f, err := elf.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	text := f.Section(".text")
	if text == nil {
		return errors.New("check table: the library has no .text")
	}
	const lookups = 100_000
	known := 0
	for i := range uint64(lookups) {
		if r, ok := pool.Lookup(t, text.Addr+i*(text.Size/lookups)); ok && (r.Kind == unwind.KindSP || r.Kind == unwind.KindFP) {
			known++
		}
	}
	if known < lookups*95/100 {
		return fmt.Errorf("check table: %d of %d addresses of the code have a rule; want 95 %%", known, lookups)
	}
	return nil
}

func mapFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
}

// threadCPU is the CPU time of this thread in nanoseconds.
func threadCPU() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err) // the clock exists
	}
	return t.Nano()
}

// peakMemory returns the largest resident set since it was reset, in bytes.
func peakMemory() (uint64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	kib, err := field(string(status), "VmHWM")
	return kib << 10, err
}
