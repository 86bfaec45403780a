package pprofwire

import (
	"bytes"
	"runtime"
	runtimepprof "runtime/pprof"
	"sync"
	"syscall"
	"testing"
	"time"

	pprof "github.com/google/pprof/profile"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/corpus"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// ownHeap is the heap profile of this program with every allocation recorded, as
// the Go runtime writes it, inflated.
var ownHeap = sync.OnceValues(func() ([]byte, error) {
	defer func(rate int) { runtime.MemProfileRate = rate }(runtime.MemProfileRate)
	runtime.MemProfileRate = 1
	for range 3 {
		p, err := pprof.ParseData(small())
		if err != nil {
			return nil, err
		}
		_ = p.String()
		if err := p.Write(new(bytes.Buffer)); err != nil {
			return nil, err
		}
		runtime.GC()
	}
	var out bytes.Buffer
	err := runtimepprof.Lookup("heap").WriteTo(&out, 0)
	return out.Bytes(), err
})

// benchmarked calls run with profiles, inflated. It reports CPU time per value, that
// is, per number that is not 0: the clock says little on a machine that others use.
func benchmarked(b *testing.B, run func(b *testing.B, data []byte, want int64)) {
	heap, err := ownHeap()
	require.NoError(b, err)
	for _, f := range []struct {
		name string
		data []byte
	}{
		{"go_cpu", goCPU(b)},
		{"go_cpu_short", goCPUOf(b, 40)},
		{"go_heap", goHeap(b)},
		{"own_heap", gunzipped(b, heap)},
		{"pod_cpu", ofPod(b, corpus.KindCPU)},
		{"pod_memory", ofPod(b, corpus.KindMemory)},
		{"corpus_cpu", gunzipped(b, recorded(b, "cpu.pb.gz"))},
	} {
		b.Run(f.name, func(b *testing.B) {
			reference, err := pprof.ParseData(f.data)
			require.NoError(b, err)
			values, sum := 0, int64(0)
			for _, s := range reference.Sample {
				for _, v := range s.Value {
					if sum += v; v != 0 {
						values++
					}
				}
			}
			b.ReportAllocs()
			before := cpuTimeUsed(b)
			run(b, f.data, sum)
			used := cpuTimeUsed(b) - before
			b.ReportMetric(float64(used.Nanoseconds())/float64(b.N*values), "cpu-ns/value")
			b.ReportMetric(float64(len(f.data))/float64(values), "B/value")
			b.ReportMetric(float64(values), "values")
		})
	}
}

// ofPod is the profile of a minute of a pod of package corpus.
func ofPod(b *testing.B, kind string) (data []byte) {
	c, err := corpus.New(corpus.Config{Services: 1, Pods: 1})
	require.NoError(b, err)
	g := c.NewGenerator()
	g.Observe(func(m *corpus.Made) {
		if m.Kind == kind {
			var out bytes.Buffer
			require.NoError(b, m.Pprof().WriteUncompressed(&out))
			data = out.Bytes()
		}
	})
	g.Batch(0, 1)
	return data
}

func cpuTimeUsed(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func sumOf(p *Profile) (sum int64) {
	for i := range p.NumSamples() {
		for _, v := range p.Sample(i).Values {
			sum += v
		}
	}
	return sum
}

func BenchmarkInflate(b *testing.B) {
	benchmarked(b, func(b *testing.B, data []byte, _ int64) {
		zipped := gzipped(data)
		var buf []byte
		for b.Loop() {
			var err error
			if buf, err = inflate(buf[:0], zipped, defaultMaxBytes); err != nil {
				b.Fatal(err)
			}
		}
		require.True(b, bytes.Equal(data, buf))
	})
}

func BenchmarkParse(b *testing.B) {
	benchmarked(b, func(b *testing.B, data []byte, want int64) {
		var p Profile
		for b.Loop() {
			if err := p.Parse(data, Limits{}); err != nil {
				b.Fatal(err)
			}
		}
		require.Equal(b, want, sumOf(&p))
	})
}

// BenchmarkParseGzip is what a receiver does: inflate and parse, all samples read.
func BenchmarkParseGzip(b *testing.B) {
	benchmarked(b, func(b *testing.B, data []byte, want int64) {
		zipped := gzipped(data)
		var p Profile
		for b.Loop() {
			if err := p.Parse(zipped, Limits{}); err != nil || sumOf(&p) != want {
				b.Fatal(err, sumOf(&p))
			}
		}
	})
}

func BenchmarkReference(b *testing.B) {
	benchmarked(b, func(b *testing.B, data []byte, want int64) {
		for b.Loop() {
			p, err := pprof.ParseData(data)
			if err != nil || len(p.Sample) == 0 {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkReferenceGzip(b *testing.B) {
	benchmarked(b, func(b *testing.B, data []byte, want int64) {
		zipped := gzipped(data)
		for b.Loop() {
			p, err := pprof.ParseData(zipped)
			if err != nil || len(p.Sample) == 0 {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkToProfiles is the conversion alone.
func BenchmarkToProfiles(b *testing.B) {
	benchmarked(b, func(b *testing.B, data []byte, want int64) {
		p, err := Parse(data, Limits{})
		require.NoError(b, err)
		for b.Loop() {
			pd, err := ToProfiles(p, Options{Kind: "any"})
			if err != nil || pd.SampleCount() == 0 {
				b.Fatal(err)
			}
		}
		pd, err := ToProfiles(p, Options{Kind: "any"})
		require.NoError(b, err)
		groups, err := profile.Split(pd, time.Hour, profile.Limits{})
		require.NoError(b, err)
		require.Equal(b, want, total(groups))
	})
}

// BenchmarkSplit is taking apart what the conversion made.
func BenchmarkSplit(b *testing.B) {
	benchmarked(b, func(b *testing.B, data []byte, want int64) {
		p, err := Parse(data, Limits{})
		require.NoError(b, err)
		pd, err := ToProfiles(p, Options{Kind: "any"})
		require.NoError(b, err)
		for b.Loop() {
			groups, err := profile.Split(pd, time.Hour, profile.Limits{})
			if err != nil || len(groups.Groups) == 0 {
				b.Fatal(err)
			}
			groups.Release()
		}
	})
}

// BenchmarkGroups is all of it: from gzipped data to sums by stack.
func BenchmarkGroups(b *testing.B) {
	benchmarked(b, func(b *testing.B, data []byte, want int64) {
		zipped := gzipped(data)
		for b.Loop() {
			pd, err := Decode(zipped, Limits{}, Options{Kind: "any"})
			if err != nil {
				b.Fatal(err)
			}
			groups, err := profile.Split(pd, time.Hour, profile.Limits{})
			if err != nil {
				b.Fatal(err)
			}
			if got := total(groups); got != want {
				b.Fatal(got, want)
			}
			groups.Release()
		}
	})
}

func total(groups *profile.Groups) (sum int64) {
	for _, g := range groups.Groups {
		for i := range g.Entries {
			for _, v := range g.Entries[i].Values {
				sum += v
			}
		}
	}
	return sum
}
