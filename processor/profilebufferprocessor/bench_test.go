package profilebufferprocessor

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// agentPush builds a push as the aperture receiver makes them: every event is an
// observation of one of 100 stacks of 20 frames that share their outer frames.
func agentPush(agent string, sequence, events int) pprofile.Profiles {
	b := profile.NewBuilder()
	rp := b.Profiles().ResourceProfiles().AppendEmpty()
	a := rp.Resource().Attributes()
	a.PutStr("service.name", "api")
	a.PutStr(profile.AttrAgentID, agent)
	a.PutInt(profile.AttrBatchSequence, int64(sequence))
	a.PutInt(profile.AttrBatchEventCount, int64(events))
	a.PutInt(profile.AttrBatchReceivedAt, int64(1e18+sequence))
	p := b.AddProfile(rp.ScopeProfiles().AppendEmpty(), profile.KindCPU, profile.Types(profile.KindCPU)[0], profile.ValueType{Type: "cpu", Unit: "nanoseconds"}, 1e7)
	mapping := b.Mapping(profile.Mapping{Filename: "/usr/bin/api", BuildID: "c0ffee"})
	samples := map[int32]pprofile.Sample{}
	for i := range events {
		var locations []int32
		for f := range 20 {
			fn := b.Function(profile.Function{Name: fmt.Sprint("some/package.(*Type).function_", f, i%100>>(f/3))})
			locations = append(locations, b.Location(mapping, 0, profile.FrameNative, profile.Line{Function: fn}))
		}
		stack := b.Stack(locations)
		s, ok := samples[stack]
		if !ok {
			s = p.Samples().AppendEmpty()
			s.SetStackIndex(stack)
			s.AttributeIndices().Append(b.StringAttribute(profile.AttrThreadName, fmt.Sprint("worker", i%4)))
			samples[stack] = s
		}
		s.TimestampsUnixNano().Append(uint64(1e18 + i))
	}
	return b.Profiles()
}

// BenchmarkPush measures CPU and allocations from a push to its answer, with 64
// pushes of 500 events under way at a time.
func BenchmarkPush(b *testing.B) {
	const events = 500
	var pushes []pprofile.Profiles
	for i := range 16 {
		pushes = append(pushes, agentPush(fmt.Sprint("agent", i), i, events))
	}
	next := &gate{}
	p, _ := started(b, next, func(c *Config) { c.Window = 20 * time.Millisecond })
	b.ReportAllocs()
	b.SetParallelism(64 / runtime.GOMAXPROCS(0))
	var n atomic.Int64
	cpu := cpuTime()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			push := pprofile.NewProfiles() // it is emptied; the copy is in the figures
			pushes[n.Add(1)%16].CopyTo(push)
			if err := p.ConsumeProfiles(b.Context(), push); err != nil {
				b.Error(err)
			}
		}
	})
	b.StopTimer()
	total := float64(b.N * events)
	b.ReportMetric(float64((cpuTime()-cpu).Nanoseconds())/total, "cpu-ns/event")
	b.ReportMetric(total/b.Elapsed().Seconds(), "events/s")
	require.EqualValues(b, b.N*events, next.events(b))
	require.Zero(b, p.pending.Load())
}

// cpuTime is the CPU time of the process, so that work of other goroutines and
// the garbage collector counts.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
