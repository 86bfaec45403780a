package pyroscopereceiver

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	pprof "github.com/google/pprof/profile"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/corpus"
)

// ofPod is the gzipped profile of a minute of a pod, and the number of values in it and
// their sum.
func ofPod(b *testing.B, kind string) (data []byte, values, sum int64) {
	c, err := corpus.New(corpus.Config{Services: 1, Pods: 1})
	require.NoError(b, err)
	g := c.NewGenerator()
	g.Observe(func(m *corpus.Made) {
		if m.Kind == kind && data == nil {
			data, values, sum = packed(b, m.Pprof())
		}
	})
	g.Batch(0, 1)
	return data, values, sum
}

func packed(b *testing.B, p *pprof.Profile) (data []byte, values, sum int64) {
	var out bytes.Buffer
	require.NoError(b, p.Write(&out))
	for _, s := range p.Sample {
		for _, v := range s.Value {
			if sum += v; v != 0 {
				values++
			}
		}
	}
	return out.Bytes(), values, sum
}

// BenchmarkIngest is what a push of a gzipped pprof costs the receiver, client and HTTP
// included, without what comes after it. It reports CPU time of the process, which is
// less disturbed by other programs than the clock is.
func BenchmarkIngest(b *testing.B) {
	recorded, err := os.ReadFile("../../internal/corpus/testdata/cpu.pb.gz")
	require.NoError(b, err)
	p, err := pprof.ParseData(recorded)
	require.NoError(b, err)
	for _, f := range []struct {
		name string
		of   func() ([]byte, int64, int64)
	}{
		{"pod_cpu", func() ([]byte, int64, int64) { return ofPod(b, corpus.KindCPU) }},
		{"pod_memory", func() ([]byte, int64, int64) { return ofPod(b, corpus.KindMemory) }},
		{"programs_cpu", func() ([]byte, int64, int64) { return packed(b, p) }},
	} {
		b.Run(f.name, func(b *testing.B) {
			data, values, sum := f.of()
			var got atomic.Int64
			fix := start(b, options{
				config: func(c *Config) { c.Limits = LimitsConfig{} },
				next: consumeFunc(func(_ context.Context, pd pprofile.Profiles) error {
					got.Add(sumOf(pd))
					return nil
				}),
			})
			path := query("name", "app", "format", "pprof")
			fix.send(b, path, data) // for the pools
			require.Equal(b, sum, got.Swap(0))
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			before := cpuTime(b)
			for b.Loop() {
				fix.send(b, path, data)
			}
			used := cpuTime(b) - before
			require.Equal(b, sum*int64(b.N), got.Load())
			b.ReportMetric(float64(used.Nanoseconds())/float64(int64(b.N)*values), "cpu-ns/value")
			b.ReportMetric(float64(int64(b.N)*values)/used.Seconds(), "values/cpu-s")
			b.ReportMetric(float64(values), "values")
		})
	}
}

func (f *fixture) send(b *testing.B, path string, data []byte) {
	resp, err := f.client.Post(f.base+path, "application/octet-stream", bytes.NewReader(data))
	if err != nil {
		b.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b.Fatal(resp.Status)
	}
}

// sumOf sums all values but CPU samples that were made of the time.
func sumOf(pd pprofile.Profiles) (sum int64) {
	for _, rp := range pd.ResourceProfiles().All() {
		for _, sp := range rp.ScopeProfiles().All() {
			for _, p := range sp.Profiles().All() {
				for _, s := range p.Samples().All() {
					sum += s.Values().At(0)
				}
			}
		}
	}
	return sum
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
