package aperturereceiver

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/aperture-collector/aperture-collector/internal/aperturewire"
	"github.com/aperture-collector/aperture-collector/internal/syscallname"
	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
	"github.com/aperture-collector/aperture-collector/receiver/aperturereceiver/internal/metadatatest"
)

// benchPayload is a batch of events of 40 processes: half CPU samples, a quarter
// lock waits and a quarter system calls. The 2,000 stacks are paths through a call
// graph of some thousand functions, so they share frames as real ones do.
func benchPayload(events int) []byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	var enc aperturewire.Encoder
	out := enc.AppendHeader(nil, 1, events)
	for i := range events {
		pid, shape := int32(i%40), rnd.IntN(2000)
		ts := 1700000000000000000 + uint64(i)*500_000
		comm := fmt.Sprintf("worker-%d", shape%16)
		var user, kernel []uint64
		var userSymbols, kernelSymbols []aperturewire.Symbol
		for d := 14 + shape%12; d > 0; d-- { // leaf first: the frames near the root are shared by most
			fn := shape % (1 << min(d/2, 10))
			user = append(user, uint64(0x400000+d*1_000_000+fn*256))
			userSymbols = append(userSymbols, aperturewire.Some(fmt.Sprintf("github.com/example/service/pkg%d.(*Handler).Method%d [server]", d, fn)))
		}
		for d := range shape % 7 {
			kernel = append(kernel, 0xffffffff81000000+uint64(shape%5*64+d*4096))
			kernelSymbols = append(kernelSymbols, aperturewire.Some(fmt.Sprintf("__do_sys_thing_%d", d)))
		}
		switch i % 4 {
		case 0, 1:
			out = enc.AppendCPU(out, &aperturewire.CPUSample{
				Timestamp: ts, PID: pid, TID: int32(i), CPU: uint32(i % 20), Comm: comm,
				User: user, UserSymbols: userSymbols, Kernel: kernel, KernelSymbols: kernelSymbols,
			})
		case 2:
			out = enc.AppendLock(out, &aperturewire.LockWait{
				Timestamp: ts, PID: pid, TID: int32(i), LockAddress: uint64(0x7f00_0000_0000 + shape%32*64), WaitTime: uint64(1000 + i),
				Comm: comm, Stack: user, Symbols: userSymbols,
			})
		case 3:
			out = enc.AppendSyscall(out, &aperturewire.Syscall{
				Timestamp: ts, PID: pid, TID: int32(i), Number: uint32(shape % 20), Duration: uint64(500 + i*13), Comm: comm,
			})
		}
	}
	return out
}

// benchSizes are the events of a push of a small and of a busy host.
var benchSizes = []int{500, 10_000}

func benchRequest(b *testing.B, events int) (msg []byte, req *aggregatorv1.PushRequest) {
	b.Helper()
	req = &aggregatorv1.PushRequest{AgentId: "bench", Sequence: 1, Payload: benchPayload(events)}
	msg, err := proto.Marshal(req)
	require.NoError(b, err)
	return msg, req
}

// cpuMeter measures the events per second of CPU time of the whole process, which
// unlike those per second do not depend on what else the machine does.
type cpuMeter struct{ start time.Duration }

func startCPUMeter(b *testing.B) cpuMeter {
	b.Helper()
	runtime.GC()
	b.ResetTimer()
	return cpuMeter{start: cpuTime(b)}
}

func (m cpuMeter) report(b *testing.B, events int) {
	b.Helper()
	b.ReportMetric(float64(b.N*events)/(cpuTime(b)-m.start).Seconds(), "events/cpu-s")
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	require.NoError(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkConvert decodes a payload and makes profiles of it.
func BenchmarkConvert(b *testing.B) {
	for _, events := range benchSizes {
		b.Run(fmt.Sprintf("events=%d", events), func(b *testing.B) {
			payload := benchPayload(events)
			b.SetBytes(int64(len(payload)))
			b.ReportAllocs()
			meter := startCPUMeter(b)
			for b.Loop() {
				m, err := aperturewire.Decode(payload)
				require.NoError(b, err)
				pd, samples, _, err := convert(&m, batch{agentID: "bench", receivedAt: testNow}, syscallname.X8664, 100)
				require.NoError(b, err)
				if n := pd.SampleCount(); n != samples || n < events/3 {
					b.Fatalf("unexpected number of samples: %d; want %d", n, samples)
				}
			}
			meter.report(b, events)
		})
	}
}

// rawMessageOf returns a request as gRPC hands it to the handler.
func rawMessageOf(frame []byte) *rawMessage { return &rawMessage{buf: mem.SliceBuffer(frame)} }

// BenchmarkPush is all that the receiver does with one push between gRPC and the
// pipeline, with gzip as agents send it and without.
func BenchmarkPush(b *testing.B) {
	for _, events := range benchSizes {
		msg, _ := benchRequest(b, events)
		for name, frame := range map[string][]byte{"gzip": gzipped(b, msg), "identity": msg} {
			b.Run(fmt.Sprintf("%s/events=%d", name, events), func(b *testing.B) {
				cfg := createDefaultConfig().(*Config)
				r, err := newReceiver(cfg, metadatatest.NewSettings(componenttest.NewTelemetry()), consumertest.NewNop())
				require.NoError(b, err)
				b.SetBytes(int64(len(msg)))
				b.ReportAllocs()
				meter := startCPUMeter(b)
				for b.Loop() {
					resp, err := r.push.push(b.Context(), rawMessageOf(frame))
					require.NoError(b, err)
					require.True(b, resp.Ok)
				}
				meter.report(b, events)
				b.ReportMetric(float64(len(frame))/float64(events), "wire-B/event")
			})
		}
	}
}

// BenchmarkServer pushes over a connection; what the client does is in the time.
func BenchmarkServer(b *testing.B) {
	for _, events := range benchSizes {
		_, req := benchRequest(b, events)
		for name, opts := range map[string][]grpc.CallOption{"gzip": {grpc.UseCompressor(gzip.Name)}, "identity": nil} {
			b.Run(fmt.Sprintf("%s/events=%d", name, events), func(b *testing.B) {
				s := startServer(b, serverOptions{next: consumertest.NewNop()})
				b.SetBytes(int64(len(req.Payload)))
				b.ReportAllocs()
				meter := startCPUMeter(b)
				for b.Loop() {
					resp, err := s.Push(b.Context(), req, opts...)
					require.NoError(b, err)
					require.True(b, resp.Ok)
				}
				meter.report(b, events)
			})
		}
	}
}
