package tracker

import (
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/aperture-collector/aperture-collector/internal/procinfo"
	"github.com/aperture-collector/aperture-collector/internal/symbol"
	"github.com/aperture-collector/aperture-collector/internal/unwind"

	"github.com/aperture-collector/aperture-collector/bpf"
)

// cpuTime is what this process has used so far.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var ru unix.Rusage
	require.NoError(b, unix.Getrusage(unix.RUSAGE_SELF, &ru))
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// BenchmarkExec is what a new program costs: until the kernel knows its
// mappings, and with a second look and the details.
func BenchmarkExec(b *testing.B) {
	cmd := exec.Command("sleep", "600")
	require.NoError(b, cmd.Start())
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	pid := uint32(cmd.Process.Pid)
	stat, err := procinfo.ReadStat(pid)
	require.NoError(b, err)
	kernel := &modelKernel{processes: make(map[uint32]modelProcess), executables: make(map[uint16]bpf.Executable)}
	symbols := symbol.NewCache(64 << 20)
	defer symbols.Close()
	opts := unwind.PoolOptions{MaxChunks: 16, MaxPages: 4096, MaxRules: 65535}
	t := New(Options{Kernel: kernel, Symbols: symbols, Pool: unwind.NewPool(unwind.NewHeapMemory(16, 4096, 65536), opts)})
	defer t.Close()
	for _, full := range []bool{false, true} {
		name := "mappings"
		if full {
			name = "all"
		}
		b.Run(name, func(b *testing.B) {
			before := cpuTime(b)
			for i := range b.N {
				// Within the precision of start times all images are the same process.
				k := key{pid, stat.StartTicks*10_000_000 + uint64(i%10_000_000)}
				t.work.Lock()
				p := t.create(k, time.Now())
				t.look(p)
				if full {
					t.refresh(p)
					p.readInfo()
				}
				if m, ok := kernel.process(pid); !ok || m.image != k.image || len(m.mappings) < 3 {
					b.Fatalf("the kernel knows %+v", m)
				}
				t.mu.Lock()
				t.forget(p)
				t.mu.Unlock()
				t.work.Unlock()
			}
			b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}
