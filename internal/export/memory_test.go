package export

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/aperturejson"
	"github.com/aperture-collector/aperture-collector/internal/flame"
)

// heapPeak returns the largest heap, in bytes beyond that before, that is seen
// while write writes. A collection at every few writes takes garbage out of it.
func heapPeak(t testing.TB, write func(io.Writer) error) (peak, written int64) {
	t.Helper()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	live := func() int64 {
		runtime.GC()
		metrics.Read(sample)
		return int64(sample[0].Value.Uint64())
	}
	before := live()
	w := &watchedWriter{every: 1 << 12, watch: func() { peak = max(peak, live()-before) }}
	require.NoError(t, write(w))
	return peak, w.written
}

// watchedWriter calls watch at the first write, and then from time to time.
type watchedWriter struct {
	written, next, every int64
	watch                func()
}

func (w *watchedWriter) Write(b []byte) (int, error) {
	w.written += int64(len(b))
	if w.written >= w.next {
		w.watch()
		w.every *= 2
		w.next = w.written + w.every
	}
	return len(b), nil
}

// formats writes all formats.
func formats(p *Profile) map[string]func(io.Writer) error {
	return map[string]func(io.Writer) error{
		"json": func(w io.Writer) error {
			return aperturejson.Write(w, p.Merge, aperturejson.Options{Indent: true, MaxRows: len(p.Kind.Rows)})
		},
		"collapsed":  func(w io.Writer) error { return flame.WriteFolded(w, p.Merge, p.Kind, 0) },
		"pprof":      func(w io.Writer) error { return WritePprof(w, p) },
		"speedscope": func(w io.Writer) error { return WriteSpeedscope(w, p) },
		"svg":        func(w io.Writer) error { return WriteSVG(w, p, SVGOptions{Width: DefaultSVGWidth}) },
		"otlp proto": func(w io.Writer) error { return WriteOTLP(w, p.Merge, nil, OTLPProto) },
		"otlp json":  func(w io.Writer) error { return WriteOTLP(w, p.Merge, nil, OTLPJSON) },
	}
}

// More stacks of the same program take little more memory: 8 bytes for each, where
// the stack itself has some 280, and a bit for parts of the program that fewer did
// not meet.
func TestMemoryDoesNotGrowWithExports(t *testing.T) {
	if testing.Short() {
		t.Skip("exports large profiles")
	}
	const few, many = 1_000, 6_000
	small, large := formats(randomProfile(few, 20)), formats(randomProfile(many, 20))
	for name := range large {
		first, _ := heapPeak(t, small[name])
		then, written := heapPeak(t, large[name])
		t.Logf("%-10s %8d KiB for %d stacks, %8d KiB for %d, %8d KiB written", name, first>>10, few, then>>10, many, written>>10)
		room := int64(256<<10 + 8*(many-few))
		if name == "svg" {
			// The graph has nodes, for which there is room; a list of them that has
			// grown has up to twice as many places, beside the last one.
			room += 3 * int64(unsafe.Sizeof(graphNode{})) * (nodesOf(t, large[name]) - nodesOf(t, small[name]))
		}
		assert.Less(t, then-first, room, name)
	}
}

// nodesOf returns how many frames a graph has.
func nodesOf(t *testing.T, write func(io.Writer) error) int64 {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, write(&b))
	return int64(bytes.Count(b.Bytes(), []byte("<g data-s=")))
}

// BenchmarkMemory is of 100,000 stacks of 40 frames, and ten times that, which is
// the largest `stacks_cap`.
func BenchmarkMemory(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		p := randomProfile(n, 40)
		for name, write := range formats(p) {
			b.Run(fmt.Sprintf("%s/stacks=%d", name, n), func(b *testing.B) {
				var peak, written int64
				for b.Loop() {
					peak, written = heapPeak(b, write)
				}
				require.Positive(b, written)
				b.ReportMetric(float64(peak)/(1<<20), "peak-MiB")
				b.ReportMetric(float64(written)/(1<<20), "written-MiB")
			})
		}
	}
}
