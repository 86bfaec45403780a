package main

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/corpus"
)

// BenchmarkPushes is what storing pprof takes without the store.
func BenchmarkPushes(b *testing.B) {
	of := &bench{dir: b.TempDir(), options: options{
		corpus:       corpus.Config{Services: 20, Pods: 10, Samples: 220, Interval: interval},
		pprofWindows: 2,
	}}
	c, err := corpus.New(of.corpus)
	require.NoError(b, err)
	of.fleet = &fleet{corpus: c}
	f, err := of.windows("pprof", 0, of.pprofWindows, true)
	require.NoError(b, err)
	w := new(working)
	load := func() {
		var r reply
		require.NoError(b, w.load(b.Context(), &loadCall{Dir: of.path("pprof"), N: f.windows, Pprof: true, Discard: true, Concurrency: 1}, &r))
		require.Equal(b, f.Values, r.Values)
	}
	load()
	cpu := func() int64 {
		var u syscall.Rusage
		require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
		return u.Utime.Nano() + u.Stime.Nano()
	}
	b.ReportAllocs()
	before := cpu()
	for b.Loop() {
		load()
	}
	b.ReportMetric(float64(cpu()-before)/float64(b.N)/float64(f.Values), "cpu-ns/value")
	b.ReportMetric(float64(f.Values), "values")
}
