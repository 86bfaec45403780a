package bpf_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/bpf"
	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
)

// pingPong returns the CPU time of a switch between two threads that take turns on
// one processor, system calls included, and how many switches there were.
func pingPong(tb testing.TB, fixture string) (nanos, switches float64) {
	p := ebpftest.Start(tb, fixture, "pingpong", "60", "5000")
	p.Wait()
	counts := p.Stop().Counts
	return counts["ns"], 2 * counts["operations"]
}

// BenchmarkOffCPUSwitch reports what the profile adds to a switch of threads when
// no wait reaches the threshold. Figures are the least of the runs, with and
// without the profile by turns, as other load can only add to them.
func BenchmarkOffCPUSwitch(b *testing.B) {
	ebpftest.Require(b)
	fixture := ebpftest.BuildC(b, "cost.c")
	for name, start := range offCPUStarts {
		b.Run(name, func(b *testing.B) {
			h, err := bpf.Open(bpf.Options{MaxEntries: 4096, MaxChunks: 1})
			require.NoError(b, err)
			defer func() { require.NoError(b, h.Close()) }()
			without, with := 1e9, 1e9
			for b.Loop() {
				ns, _ := pingPong(b, fixture)
				without = min(without, ns)
				c, err := start(h, bpf.OffCPUOptions{MinDuration: time.Millisecond})
				require.NoError(b, err)
				ns, switches := pingPong(b, fixture)
				with = min(with, ns)
				s, err := c.Stats()
				require.NoError(b, err)
				require.NoError(b, c.Close())
				require.Zero(b, s[bpf.NoStorage])
				// An estimate; the rest of the machine switches, too.
				require.Greater(b, float64(s[bpf.Below]), 0.9*switches)
			}
			b.ReportMetric(without, "ns/switch-without")
			b.ReportMetric(with-without, "ns/switch-added")
		})
	}
}
