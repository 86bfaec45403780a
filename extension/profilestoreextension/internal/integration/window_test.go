package integration

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// base is the start of an hour.
const base = int64(1_700_000_000/3600*3600) * 1_000_000_000

// source makes windows of raw observations, reproducibly.
type source struct {
	tb     testing.TB
	rnd    *rand.Rand
	tokens uint64
	// stacks is how many different stacks there are.
	stacks int
}

func newSource(tb testing.TB, seed uint64) *source {
	return &source{tb: tb, rnd: rand.New(rand.NewPCG(seed, 1)), stacks: 60}
}

// origin is what one resource of a window says of itself.
type origin struct {
	tenant, service, agent string
	labels                 map[string]string
}

// window makes n observations of every kind for each origin, at times from
// start, spread over the given length.
func (s *source) window(start int64, length time.Duration, n int, origins ...origin) *profilestore.Window {
	b := profile.NewBuilder()
	pd := b.Profiles()
	for _, o := range origins {
		rp := pd.ResourceProfiles().AppendEmpty()
		a := rp.Resource().Attributes()
		a.PutStr(profile.AttrTenant, o.tenant)
		a.PutStr("service.name", o.service)
		if o.agent != "" {
			a.PutStr(profile.AttrAgentID, o.agent)
			a.PutInt(profile.AttrBatchSequence, int64(s.tokens))
			a.PutInt(profile.AttrBatchEventCount, int64(n*5))
			a.PutInt(profile.AttrBatchReceivedAt, start)
		}
		for k, v := range o.labels {
			a.PutStr(k, v)
		}
		scope := rp.ScopeProfiles().AppendEmpty()
		for _, kind := range []string{profile.KindCPU, profile.KindLock, profile.KindSyscall, profile.KindOffCPU, "heap"} {
			s.kind(b, scope, kind, start, length, n)
		}
	}
	g, err := profile.Split(pd, time.Second, profile.Limits{})
	require.NoError(s.tb, err)
	s.tokens++
	return &profilestore.Window{Token: profile.HashBytes(fmt.Appendf(nil, "%d/%d", s.tokens, s.rnd.Uint64())), Groups: g}
}

func (s *source) kind(b *profile.Builder, scope pprofile.ScopeProfiles, kind string, start int64, length time.Duration, n int) {
	types := profile.Types(kind)
	var period profile.ValueType
	switch kind {
	case profile.KindCPU:
		period = profile.ValueType{Type: "cpu", Unit: "nanoseconds"}
	case "heap":
		s.heap(b, scope, start, n)
		return
	}
	p := b.AddProfile(scope, kind, types[0], period, 10_101_010)
	for range n {
		sample := p.Samples().AppendEmpty()
		sample.SetStackIndex(s.stack(b))
		t := start + s.rnd.Int64N(max(int64(length), 1))
		sample.TimestampsUnixNano().Append(uint64(t))
		value := s.rnd.Int64N(1 << 20)
		if s.rnd.IntN(20) == 0 {
			value = 0
		}
		attrs := []int32{b.StringAttribute(profile.AttrThreadName, fmt.Sprintf("thread-%d", s.rnd.IntN(3)))}
		switch kind {
		case profile.KindLock:
			attrs = append(attrs, b.IntAttribute(profile.AttrLockAddress, int64(-1-s.rnd.IntN(3))))
		case profile.KindSyscall:
			nr := s.rnd.IntN(5)
			attrs = append(attrs, b.IntAttribute(profile.AttrSyscallNumber, int64(nr)),
				b.StringAttribute(profile.AttrSyscallName, fmt.Sprintf("call_%d", nr)),
				b.IntAttribute(profile.AttrLatencyBucket, int64(profile.LatencyBucket(uint64(value)))),
				b.BoolAttribute(profile.AttrError, s.rnd.IntN(4) == 0))
		}
		sample.AttributeIndices().FromRaw(attrs)
		if kind != profile.KindCPU {
			sample.Values().Append(value)
		}
	}
}

// heap adds two aggregated profiles of a kind that is not our own.
func (s *source) heap(b *profile.Builder, scope pprofile.ScopeProfiles, start int64, n int) {
	stacks := make([]int32, n)
	for i := range stacks {
		stacks[i] = s.stack(b)
	}
	for _, t := range []profile.ValueType{{Type: "inuse_objects", Unit: "count"}, {Type: "inuse_space", Unit: "bytes"}} {
		p := b.AddProfile(scope, "heap", t, profile.ValueType{Type: "space", Unit: "bytes"}, 524288)
		p.SetTime(pprofileTime(start))
		p.SetDurationNano(uint64(time.Second))
		for _, st := range stacks {
			sample := p.Samples().AppendEmpty()
			sample.SetStackIndex(st)
			sample.Values().Append(s.rnd.Int64N(1000))
		}
	}
}

// stack returns one of the stacks, the empty one included.
func (s *source) stack(b *profile.Builder) int32 {
	n := s.rnd.IntN(s.stacks)
	if n == 0 {
		return 0
	}
	return stackOf(b, n)
}

// stackOf builds stack number n: three frames, of which one is in the kernel,
// one inlined and one without a symbol.
func stackOf(b *profile.Builder, n int) int32 {
	app := b.Mapping(profile.Mapping{Filename: "/usr/bin/app", BuildID: "cafe"})
	kernel := b.Mapping(profile.Mapping{Filename: profile.KernelMapping})
	fn := func(name string) int32 {
		return b.Function(profile.Function{Name: name, SystemName: "_Z" + name, Filename: "main.go", StartLine: int64(n)})
	}
	return b.Stack([]int32{
		b.Location(kernel, 0xffff0000, profile.FrameKernel, profile.Line{Function: fn("sys_futex")}),
		b.Location(app, uint64(n), profile.FrameGo,
			profile.Line{Function: fn(fmt.Sprintf("inlined_%d", n%7)), Line: int64(n)}, profile.Line{Function: fn(fmt.Sprintf("leaf_%d", n)), Line: 7}),
		b.Location(app, 0x1000+uint64(n%5), profile.FrameNative),
	})
}
