package chaos

import (
	"fmt"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile/pprofileotlp"

	"github.com/aperture-collector/aperture-collector/internal/aperturewire"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// sharedLock is a lock that all requests wait for, beside their own.
const sharedLock = 0x77

// Stacks are drawn from this many, so that new ones come up now and then.
const stacks = 500

// pushPayload makes a push of an Aperture agent with CPU samples, waits for locks
// and system calls.
func pushPayload(rng *rand.Rand, k batchKey, marker uint64) ([]byte, *request) {
	n := 4 + rng.IntN(40)
	r := &request{batchKey: k, events: uint64(n), sums: make(sums)}
	now := uint64(time.Now().UnixNano())
	var e aperturewire.Encoder
	b := e.AppendHeader(nil, k.sequence, n)
	for i := range n {
		t, pid, stack := now-uint64(n-i)*1000, int32(7+rng.IntN(2)), uint64(rng.IntN(stacks))
		value := uint64(1 + rng.IntN(1_000_000))
		lock := uint64(sharedLock)
		if i == 0 {
			lock = marker
		}
		switch kind := rng.IntN(4); {
		case i == 0 || kind == 0:
			b = e.AppendLock(b, &aperturewire.LockWait{
				Timestamp: t, PID: pid, TID: 8, Comm: "chaos", LockAddress: lock, WaitTime: value,
				Stack: []uint64{0x3000 + stack, 0x3}, Symbols: []aperturewire.Symbol{aperturewire.Some(fmt.Sprintf("wait%d [chaos]", stack))},
			})
			r.sums.add(key{k.agent, profile.KindLock, lock, noSyscall}, sum{1, int64(value), 1})
		case kind == 1:
			number := uint32(rng.IntN(8))
			b = e.AppendSyscall(b, &aperturewire.Syscall{Timestamp: t, PID: pid, TID: 9, Comm: "chaos", Number: number, Duration: value})
			r.sums.add(key{k.agent, profile.KindSyscall, 0, int64(number)}, sum{1, int64(value), 1})
		default:
			b = e.AppendCPU(b, &aperturewire.CPUSample{
				Timestamp: t, PID: pid, TID: 7, Comm: "chaos", User: []uint64{0x1000 + stack, 0x1}, Kernel: []uint64{0xffff_ffff_8100_0000},
				UserSymbols: []aperturewire.Symbol{aperturewire.Some(fmt.Sprintf("work%d [chaos]", stack)), aperturewire.Some("main [chaos]")},
			})
			r.sums.add(key{k.agent, profile.KindCPU, 0, noSyscall}, sum{1, 1, 0})
		}
	}
	return b, r
}

// services are those that OTLP requests share.
var services = [...]string{"cart", "checkout", "search"}

// otlpPayload makes an OTLP request: samples, blocked time and waits for locks of
// a shared service, and blocked time of a service of its own.
func otlpPayload(rng *rand.Rand, k batchKey, marker uint64) ([]byte, *request, error) {
	r := &request{batchKey: k, sums: make(sums)}
	n := 2 + rng.IntN(20)
	r.events = uint64(2*n + 2)
	b := profile.NewBuilder()
	o := otlpRequest{b: b, r: r, now: time.Now()}
	shared := services[rng.IntN(len(services))]
	o.resource(shared)
	cpu := make([]int64, n)
	blocked := make([]int64, n)
	for i := range n {
		cpu[i], blocked[i] = 1, 1+rng.Int64N(1_000_000)
	}
	o.profile(shared, profile.KindCPU, rng.IntN(stacks), 0, cpu)
	o.profile(shared, profile.KindOffCPU, rng.IntN(stacks), 0, blocked)
	o.profile(shared, profile.KindLock, rng.IntN(stacks), marker, []int64{1 + rng.Int64N(1_000_000)})
	own := fmt.Sprintf("own-%d", marker)
	o.resource(own)
	o.profile(own, profile.KindOffCPU, rng.IntN(stacks), 0, []int64{1 + rng.Int64N(1_000_000)})
	data, err := pprofileotlp.NewExportRequestFromProfiles(b.Profiles()).MarshalProto()
	if err != nil {
		return nil, nil, fmt.Errorf("encode request: %w", err)
	}
	return data, r, nil
}

type otlpRequest struct {
	b   *profile.Builder
	r   *request
	now time.Time
}

// resource begins the profiles of a service.
func (o *otlpRequest) resource(service string) {
	rp := o.b.Profiles().ResourceProfiles().AppendEmpty()
	attrs := rp.Resource().Attributes()
	attrs.PutStr("service.name", service)
	attrs.PutStr(profile.AttrAgentID, o.r.agent)
	attrs.PutInt(profile.AttrBatchSequence, int64(o.r.sequence))
	attrs.PutInt(profile.AttrBatchEventCount, int64(o.r.events))
	rp.ScopeProfiles().AppendEmpty()
}

// profile adds one sample with single observations to the service begun last.
func (o *otlpRequest) profile(service, kind string, stack int, lock uint64, values []int64) {
	scopes := o.b.Profiles().ResourceProfiles().At(o.b.Profiles().ResourceProfiles().Len() - 1).ScopeProfiles()
	period := profile.ValueType{}
	if kind == profile.KindCPU {
		period = profile.ValueType{Type: "cpu", Unit: "nanoseconds"}
	}
	p := o.b.AddProfile(scopes.At(0), kind, profile.Types(kind)[0], period, 10_000_000)
	p.SetTime(pcommon.NewTimestampFromTime(o.now))
	s := p.Samples().AppendEmpty()
	f := o.b.Function(profile.Function{Name: fmt.Sprintf("%s%d", kind, stack)})
	s.SetStackIndex(o.b.Stack([]int32{o.b.Location(0, uint64(0x5000+stack), profile.FrameGo, profile.Line{Function: f, Line: 1})}))
	if lock != 0 {
		s.AttributeIndices().Append(o.b.IntAttribute(profile.AttrLockAddress, int64(lock)))
	}
	total := sum{count: uint64(len(values))}
	for i, v := range values {
		s.TimestampsUnixNano().Append(uint64(o.now.UnixNano()) - uint64(len(values)-i)*1000)
		s.Values().Append(v)
		total.v0 += v
	}
	if kind != profile.KindCPU {
		total.v1 = int64(len(values))
	}
	o.r.sums.add(key{service, kind, lock, noSyscall}, total)
}
