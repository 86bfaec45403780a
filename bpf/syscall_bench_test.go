package bpf_test

import (
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/bpf"
	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
)

const benchCalls = 20 * 100_000

// getppidNanos is the CPU time of a system call that does next to nothing.
func getppidNanos(tb testing.TB, fixture string) float64 {
	p := ebpftest.Start(tb, fixture, "getppid", "20", "100000")
	p.Wait()
	r := p.Stop()
	require.EqualValues(tb, benchCalls, r.Counts["operations"])
	return r.Counts["ns"]
}

// BenchmarkSyscall reports what the profile adds to every system call, and what
// of it the profile itself accounts for.
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
				require.GreaterOrEqual(b, st[bpf.Samples]+st[bpf.Filtered], uint64(benchCalls))
				require.NoError(b, s.Close())
				b.ReportMetric(without, "ns/call-without")
				b.ReportMetric(with-without, "ns/call-added")
				b.ReportMetric(float64(st[bpf.RunNanos])/float64(st[bpf.Runs]), "ns/call-accounted")
			}
		})
	}
}

// BenchmarkSyscallFloor reports what programs add that do nothing, or nothing
// but read the clock: nobody can time calls for less.
func BenchmarkSyscallFloor(b *testing.B) {
	ebpftest.Require(b)
	fixture := ebpftest.BuildC(b, "cost.c")
	nothing := asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}
	for name, body := range map[string]asm.Instructions{
		"empty": nothing,
		"clock": append(asm.Instructions{asm.FnKtimeGetNs.Call()}, nothing...),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				without := getppidNanos(b, fixture)
				detach := []func() error{}
				for _, at := range []string{"sys_enter", "sys_exit"} {
					p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
						Type: ebpf.Tracing, AttachType: ebpf.AttachTraceRawTp, AttachTo: at, Instructions: body, License: "Dual BSD/GPL",
					})
					require.NoError(b, err)
					l, err := link.AttachTracing(link.TracingOptions{Program: p})
					require.NoError(b, err)
					detach = append(detach, l.Close, p.Close)
				}
				b.ReportMetric(getppidNanos(b, fixture)-without, "ns/call-added")
				for _, f := range detach {
					require.NoError(b, f())
				}
			}
		})
	}
}
