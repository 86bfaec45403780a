package bpf_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/bpf"
	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
)

// BenchmarkLockOtherCalls reports what the profile adds to system calls that have
// nothing to do with locks: the least CPU time over batches of getppid.
func BenchmarkLockOtherCalls(b *testing.B) {
	ebpftest.Require(b)
	path := ebpftest.BuildC(b, "cost.c")
	call := func() float64 {
		p := ebpftest.Start(b, path, "getppid", "30", "100000")
		p.Wait()
		return p.Stop().Counts["ns"]
	}
	for _, bench := range []struct {
		name  string
		start func(*bpf.Host, bpf.LockOptions) (*bpf.Lock, error)
	}{{"tracepoints", (*bpf.Host).StartLock}, {"raw", (*bpf.Host).StartLockRaw}} {
		b.Run(bench.name, func(b *testing.B) {
			h, err := bpf.Open(bpf.Options{MaxEntries: 1024, MaxChunks: 1})
			require.NoError(b, err)
			defer func() { require.NoError(b, h.Close()) }()
			for b.Loop() {
				without := call()
				l, err := bench.start(h, bpf.LockOptions{MinDuration: lockMinDuration, User: true, Kernel: true})
				require.NoError(b, err)
				with := call()
				s, err := l.Stats()
				require.NoError(b, err)
				require.Positive(b, s[bpf.Runs], "the programs run")
				require.NoError(b, l.Close())
				b.ReportMetric(without, "ns/call-without")
				b.ReportMetric(with-without, "ns/call-added")
			}
		})
	}
}

// BenchmarkLockWait reports what the profile takes for a wait.
func BenchmarkLockWait(b *testing.B) {
	ebpftest.Require(b)
	path := ebpftest.BuildC(b, "locks.c")
	for _, bench := range []struct {
		name string
		opts bpf.LockOptions
	}{{"user", bpf.LockOptions{User: true}}, {"kernel", bpf.LockOptions{Kernel: true}}} {
		b.Run(bench.name, func(b *testing.B) {
			h, err := bpf.Open(bpf.Options{MaxEntries: 65536, MaxChunks: 1})
			require.NoError(b, err)
			defer func() { require.NoError(b, h.Close()) }()
			for b.Loop() {
				l, err := h.StartLock(bench.opts)
				require.NoError(b, err)
				p := ebpftest.Start(b, path, "mutex", "8", "20")
				for s := (bpf.Stats{}); s[bpf.Samples] < 2000; {
					s, err = l.Stats()
					require.NoError(b, err)
					b.ReportMetric(float64(s[bpf.RunNanos])/float64(max(1, s[bpf.Samples])), "ns/wait")
				}
				p.Stop()
				require.NoError(b, l.Close())
			}
		})
	}
}
