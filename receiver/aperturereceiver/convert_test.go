package aperturereceiver

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/aperturewire"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/syscallname"
)

var testBatch = batch{agentID: "web-1", sequence: 7, receivedAt: testNow}

// testNow is after all times of the examples.
const testNow = 1_700_000_000_000_000_010

const testResource = "aperture.agent.id=web-1 aperture.batch.event_count="

func convertPayload(tb testing.TB, payload []byte, b batch) (string, int) {
	tb.Helper()
	m, err := aperturewire.Decode(payload)
	require.NoError(tb, err)
	pd, samples, _, err := convert(&m, b, syscallname.X8664, 10)
	require.NoError(tb, err)
	assert.Equal(tb, samples, pd.SampleCount())
	// What we make can be taken apart by the rest of the pipeline.
	groups, err := profile.Split(pd, 1e9, profile.Limits{})
	require.NoError(tb, err)
	assert.Equal(tb, uint64(m.Len()), groups.Events)
	require.Len(tb, groups.Batches, 1)
	assert.Equal(tb, uint64(m.Len()), groups.Batches[0].EventCount)
	return dump(pd), samples
}

func TestConvertExamples(t *testing.T) {
	payloads := examples(t)
	f := func(name, want string) {
		t.Helper()
		got, _ := convertPayload(t, payloads[name], testBatch)
		assert.Equal(t, want, got, name)
	}
	resource := func(events, pid string) string {
		r := "resource " + testResource + events + " aperture.batch.sequence=7 host.name=web-1"
		if pid != "" {
			r += " process.pid=" + pid
		}
		return r + " service.name=web-1\n"
	}
	const (
		cpu     = "  profile samples/count period cpu/nanoseconds 0 time 1700000000000000001+0 aperture.profile.kind=cpu\n"
		lock    = "  profile delay/nanoseconds period / 0 time 1700000000000000002+0 aperture.profile.kind=lock\n"
		syscall = "  profile duration/nanoseconds period / 0 time 1700000000000000003+0 aperture.profile.kind=syscall\n"
		gpu     = "  profile duration/nanoseconds period / 0 time 1700000000000000004+0 aperture.profile.kind=gpu_kernel\n"

		cpuSymbols  = "    values [] at [1700000000000000001] thread.name=app: 0xffffffff81000010=do_idle@[kernel]/kernel 0x401000=leaf@app 0x402000\n"
		lockSymbols = "    values [1500] at [1700000000000000002] thread.name=app aperture.lock.address=139641712656111: 0x403000=lock_it\n"
		syscallOne  = "    values [2048] at [1700000000000000003] thread.name=app aperture.syscall.number=202 syscall.name=futex error=true aperture.latency.bucket=11:\n"
		gpuOne      = "    values [5000] at [1700000000000000004]: 0x0=gemm\n"
	)
	f("empty", resource("0", ""))
	f("cpu", resource("1", "1234")+cpu+
		"    values [] at [1700000000000000001] thread.name=app: 0xffffffff81000010@[kernel]/kernel 0x401000 0x402000\n")
	f("cpu_symbols", resource("1", "1234")+cpu+cpuSymbols)
	f("lock", resource("1", "1234")+lock+
		"    values [1500] at [1700000000000000002] thread.name=app aperture.lock.address=139641712656111: 0x403000\n")
	f("lock_symbols", resource("1", "1234")+lock+lockSymbols)
	f("syscall", resource("1", "1234")+syscall+syscallOne)
	f("gpu", resource("1", "1234")+gpu+gpuOne)
	f("mixed", resource("4", "1234")+cpu+cpuSymbols+lock+lockSymbols+syscall+syscallOne+gpu+gpuOne)
	f("legacy", resource("2", "10")+
		"  profile samples/count period cpu/nanoseconds 0 time 5000+0 aperture.profile.kind=cpu\n"+
		"    values [] at [5000] thread.name=old: 0x1000\n"+
		"  profile delay/nanoseconds period / 0 time 6000+0 aperture.profile.kind=lock\n"+
		"    values [300] at [6000] thread.name=old aperture.lock.address=43981: 0x3000\n")
}

func TestConvertTenant(t *testing.T) {
	b := testBatch
	b.tenant = "team-a"
	got, _ := convertPayload(t, examples(t)["empty"], b)
	assert.Contains(t, got, " aperture.tenant.id=team-a")
}

// message encodes events.
func message(events ...func(aperturewire.Encoder, []byte) []byte) []byte {
	var enc aperturewire.Encoder
	out := enc.AppendHeader(nil, 1, len(events))
	for _, add := range events {
		out = add(enc, out)
	}
	return out
}

func cpuEvent(s aperturewire.CPUSample) func(aperturewire.Encoder, []byte) []byte {
	return func(e aperturewire.Encoder, dst []byte) []byte { return e.AppendCPU(dst, &s) }
}

func lockEvent(l aperturewire.LockWait) func(aperturewire.Encoder, []byte) []byte {
	return func(e aperturewire.Encoder, dst []byte) []byte { return e.AppendLock(dst, &l) }
}

func syscallEvent(s aperturewire.Syscall) func(aperturewire.Encoder, []byte) []byte {
	return func(e aperturewire.Encoder, dst []byte) []byte { return e.AppendSyscall(dst, &s) }
}

func gpuEvent(g aperturewire.GPUKernel) func(aperturewire.Encoder, []byte) []byte {
	return func(e aperturewire.Encoder, dst []byte) []byte { return e.AppendGPU(dst, &g) }
}

// Events that differ in nothing but time, CPU and thread number share a sample;
// the same frames in another encoding do too.
func TestConvertMergesEqualEvents(t *testing.T) {
	a := aperturewire.CPUSample{Timestamp: 30, PID: 1, TID: 1, User: []uint64{1, 2}, Comm: "a", UserSymbols: []aperturewire.Symbol{aperturewire.Some("f")}}
	again := a
	again.Timestamp, again.TID, again.CPU = 10, 2, 3
	padded := a
	padded.Timestamp, padded.UserSymbols = 20, []aperturewire.Symbol{aperturewire.Some("f"), {}}
	otherThread, otherProcess, otherStack := a, a, a
	otherThread.Comm, otherProcess.PID, otherStack.User = "b", 2, []uint64{1, 3}
	got, samples := convertPayload(t, message(
		cpuEvent(a), cpuEvent(again), cpuEvent(padded), cpuEvent(otherThread), cpuEvent(otherProcess), cpuEvent(otherStack),
	), batch{agentID: "x"})
	assert.Equal(t, 4, samples)
	const head = "resource aperture.agent.id=x aperture.batch.event_count=6 aperture.batch.sequence=0 host.name=x process.pid="
	assert.Equal(t, head+"1 service.name=x\n"+
		"  profile samples/count period cpu/nanoseconds 0 time 10+20 aperture.profile.kind=cpu\n"+
		"    values [] at [30 10 20] thread.name=a: 0x1=f 0x2\n"+
		"    values [] at [30] thread.name=b: 0x1=f 0x2\n"+
		"    values [] at [30] thread.name=a: 0x1=f 0x3\n"+
		head+"2 service.name=x\n"+
		"  profile samples/count period cpu/nanoseconds 0 time 30+0 aperture.profile.kind=cpu\n"+
		"    values [] at [30] thread.name=a: 0x1=f 0x2\n", got)
}

func TestConvertSyscallAttributes(t *testing.T) {
	call := func(number uint32, duration uint64, ret int64) func(aperturewire.Encoder, []byte) []byte {
		return syscallEvent(aperturewire.Syscall{Timestamp: 1, PID: 1, Number: number, Duration: duration, ReturnValue: ret, Comm: "c"})
	}
	got, samples := convertPayload(t, message(
		call(0, 4, 1), call(0, 7, 2), // one sample
		call(0, 8, 1), call(0, 4, -1), call(1, 4, 1),
		call(99999, uint64(time.Hour), 0), call(1, 0, 0),
	), batch{agentID: "x"})
	assert.Equal(t, 6, samples)
	for _, want := range []string{
		"values [4 7] at [1 1] thread.name=c aperture.syscall.number=0 syscall.name=read error=false aperture.latency.bucket=2:\n",
		"values [8] at [1] thread.name=c aperture.syscall.number=0 syscall.name=read error=false aperture.latency.bucket=3:\n",
		"values [4] at [1] thread.name=c aperture.syscall.number=0 syscall.name=read error=true aperture.latency.bucket=2:\n",
		"values [4] at [1] thread.name=c aperture.syscall.number=1 syscall.name=write error=false aperture.latency.bucket=2:\n",
		"values [3600000000000] at [1] thread.name=c aperture.syscall.number=99999 syscall.name=unknown error=false aperture.latency.bucket=29:\n",
		"values [0] at [1] thread.name=c aperture.syscall.number=1 syscall.name=write error=false aperture.latency.bucket=0:\n",
	} {
		assert.Contains(t, got, want)
	}
}

func TestConvertStacks(t *testing.T) {
	some := aperturewire.Some
	got, _ := convertPayload(t, message(
		// The wire has user frames before kernel frames; leaf first it is the
		// other way round.
		lockEvent(aperturewire.LockWait{
			PID: 1, LockAddress: math.MaxUint64, Comm: "l", Stack: []uint64{0x10, 0x20, 0xffff_0000_0000_0000, 0xffff_ffff_ffff_ffff},
			Symbols: []aperturewire.Symbol{some("u1 [app]"), some("0x20"), some("k1"), some("k2 [nf_tables]")},
		}),
		cpuEvent(aperturewire.CPUSample{PID: 1, Comm: "stackless"}),
		gpuEvent(aperturewire.GPUKernel{PID: 1}),
		cpuEvent(aperturewire.CPUSample{
			PID: 1, Comm: "c", User: []uint64{5}, UserSymbols: []aperturewire.Symbol{some("0xdead [libc.so.6]")},
		}),
	), batch{agentID: "x"})
	for _, want := range []string{
		"values [0] at [0] thread.name=l aperture.lock.address=-1: 0xffff000000000000=k1@[kernel]/kernel 0xffffffffffffffff=k2@nf_tables/kernel 0x10=u1@app 0x20\n",
		"values [] at [0] thread.name=stackless:\n",
		"values [0] at [0]:\n",
		"values [] at [0] thread.name=c: 0x5@libc.so.6\n",
	} {
		assert.Contains(t, got, want)
	}
}

func TestConvertTooManyProcesses(t *testing.T) {
	var enc aperturewire.Encoder
	payload := enc.AppendHeader(nil, 1, 11)
	for pid := range int32(11) {
		payload = enc.AppendSyscall(payload, &aperturewire.Syscall{PID: pid})
	}
	m, err := aperturewire.Decode(payload)
	require.NoError(t, err)
	_, _, _, err = convert(&m, testBatch, syscallname.X8664, 10)
	require.EqualError(t, err, "convert payload: found more than 10 processes, the limit is 10 (max_processes)")
	_, _, _, err = convert(&m, testBatch, syscallname.X8664, 11)
	require.NoError(t, err)
}

// Profiles outlive the payload, which is reused.
func TestConvertDoesNotAliasPayload(t *testing.T) {
	payload := examples(t)["mixed"]
	m, err := aperturewire.Decode(payload)
	require.NoError(t, err)
	pd, _, _, err := convert(&m, testBatch, syscallname.X8664, 10)
	require.NoError(t, err)
	before := dump(pd)
	clear(payload)
	assert.Equal(t, before, dump(pd))
}

func TestInternIsBounded(t *testing.T) {
	s := newSymbolizer()
	long := make([]byte, maxInternedSize/4)
	for i := range 3 * maxInterned {
		s.intern(string(rune(i)))
		if i%10000 == 0 {
			long[0] = byte(i / 10000)
			s.intern(string(long))
		}
		require.LessOrEqual(t, len(s.interned), maxInterned)
		require.LessOrEqual(t, s.size, maxInternedSize)
	}
	assert.Equal(t, "kept", s.intern("kept"))
}
