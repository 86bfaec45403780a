package bpf_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/bpf"
	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
)

// getppidNanos is the CPU time of a system call that does next to nothing.
func getppidNanos(tb testing.TB, fixture string) float64 {
	p := ebpftest.Start(tb, fixture, "getppid", "30", "200000")
	p.Wait()
	return p.Stop().Counts["ns"]
}

// BenchmarkSyscall reports what the profile adds to every system call.
func BenchmarkSyscall(b *testing.B) {
	ebpftest.Require(b)
	fixture := ebpftest.BuildC(b, "cost.c")
	for _, bench := range []struct {
		name string
		slow time.Duration
		opts bpf.Options
	}{
		{"histogram", 0, bpf.Options{}},
		{"slow-stacks", 10 * time.Millisecond, bpf.Options{}},
		{"no-target", 0, bpf.Options{Targeted: true}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			bench.opts.MaxEntries, bench.opts.MaxChunks = 1024, 1
			h, err := bpf.Open(bench.opts)
			require.NoError(b, err)
			defer func() { require.NoError(b, h.Close()) }()
			for b.Loop() {
				without := getppidNanos(b, fixture)
				s, err := h.StartSyscall(bpf.SyscallOptions{SlowThreshold: bench.slow})
				require.NoError(b, err)
				with := getppidNanos(b, fixture)
				st, err := s.Stats()
				require.NoError(b, err)
				require.GreaterOrEqual(b, st[bpf.Samples]+st[bpf.Filtered], uint64(30*200000))
				require.NoError(b, s.Close())
				b.ReportMetric(without, "ns/call-without")
				b.ReportMetric(with-without, "ns/call-added")
			}
		})
	}
}
