package aggregate

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// BenchmarkWindow takes pushes of 500 observations of 100 stacks of 20 frames
// apart, sums them, and encodes a window of 200 pushes.
func BenchmarkWindow(b *testing.B) {
	var obs []observation
	for i := range 500 {
		o := observation{kind: profile.KindCPU, at: second + int64(i), attrs: map[string]any{"thread.name": fmt.Sprint("t", i%4)}}
		for f := range 20 {
			// Stacks share their outer frames, as in real programs.
			o.stack = append(o.stack, fmt.Sprint("function_", f, i%100>>(f/3)))
		}
		obs = append(obs, o)
	}
	pd := push(b, map[string]any{"service.name": "api"}, obs...)
	table := NewTable(64 << 20)
	const pushes = 200
	var split1, add, encode time.Duration
	b.ReportAllocs()
	for b.Loop() {
		w := table.NewWindow(time.Second)
		for range pushes {
			start := time.Now()
			g := split(b, pd)
			mid := time.Now()
			w.Add(g)
			split1, add = split1+mid.Sub(start), add+time.Since(mid)
		}
		start := time.Now()
		out := w.Profiles("x")
		encode += time.Since(start)
		require.EqualValues(b, 500*pushes, w.Events())
		require.Equal(b, 100, out.SampleCount())
	}
	n := float64(b.N * 500 * pushes)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/n, "ns/event")
	b.ReportMetric(float64(split1.Nanoseconds())/n, "split-ns/event")
	b.ReportMetric(float64(add.Nanoseconds())/n, "add-ns/event")
	b.ReportMetric(float64(encode.Nanoseconds())/n, "encode-ns/event")
}
