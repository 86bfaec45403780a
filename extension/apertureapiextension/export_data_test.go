package apertureapiextension

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// exportStart is a whole number of seconds: all samples fall into one window.
const exportStart = 1_700_000_000_000_000_000

// hostileName breaks formats that do not escape it.
const hostileName = "evil;\n\"'</title><script>alert(1)</script>&amp;\x00\u2028"

// exportProfiles are one profile of each kind as the eBPF receiver writes them.
// scale multiplies the numbers of CPU samples.
func exportProfiles(start int64, scale int64) pprofile.Profiles {
	b := profile.NewBuilder()
	rp := b.Profiles().ResourceProfiles().AppendEmpty()
	rp.Resource().Attributes().PutStr("service.name", "exported")
	rp.Resource().Attributes().PutStr(profile.AttrAgentID, "agent-x")
	scope := rp.ScopeProfiles().AppendEmpty()

	app := b.Mapping(profile.Mapping{Filename: "/usr/bin/app", BuildID: "abcdef0123"})
	kernel := b.Mapping(profile.Mapping{Filename: profile.KernelMapping})
	line := func(name, file string, at int64) profile.Line {
		return profile.Line{Function: b.Function(profile.Function{Name: name, SystemName: name, Filename: file, StartLine: at}), Line: at + 1}
	}
	main := b.Location(app, 0x401000, profile.FrameNative, line("main", "main.c", 10))
	work := b.Location(app, 0x402000, profile.FrameGo, line("inlined", "work.c", 5), line("work", "work.c", 20))
	evil := b.Location(app, 0x403000, profile.FrameNative, line(hostileName, hostileName, 1))
	unknown := b.Location(app, 0x404000, profile.FrameNative)
	sys := b.Location(kernel, 0xffffffff81000010, profile.FrameKernel, line("do_syscall_64", "", 0))
	stacks := [][]int32{{work, main}, {sys, work, main}, {evil, main}, {unknown, main}, nil}

	add := func(kind string, typ int, period profile.ValueType, value int64, values [][]int64, attrs ...[]int32) {
		p := b.AddProfile(scope, kind, profile.Types(kind)[typ], period, value)
		p.SetTime(pcommon.Timestamp(start))
		p.SetDurationNano(500_000_000)
		if typ == 0 && profile.Types(kind)[0].Unit == "nanoseconds" {
			p.AttributeIndices().Append(b.StringAttribute(profile.AttrValues, profile.ValuesMinRestMax))
		}
		for i, v := range values {
			s := p.Samples().AppendEmpty()
			s.SetStackIndex(b.Stack(stacks[i%len(stacks)]))
			s.Values().FromRaw(v)
			if i < len(attrs) {
				s.AttributeIndices().FromRaw(attrs[i])
			}
		}
	}
	add(profile.KindCPU, 0, profile.ValueType{Type: "cpu", Unit: "nanoseconds"}, 10_000_000,
		[][]int64{{100 * scale}, {50 * scale}, {20 * scale}, {10 * scale}, {7 * scale}})
	locks := [][]int32{
		{b.IntAttribute(profile.AttrLockAddress, 0x7f0000001000)},
		{b.IntAttribute(profile.AttrLockAddress, -0x7fffffff000)},
		{b.IntAttribute(profile.AttrLockAddress, 0x7f0000001000)},
	}
	add(profile.KindLock, 0, profile.ValueType{}, 0, [][]int64{{100, 300, 200}, {50}, {1, 2}}, locks...)
	add(profile.KindLock, 1, profile.ValueType{}, 0, [][]int64{{5}, {1}, {2}}, locks...)
	call := func(n int64, name string, bucket int64, failed bool) []int32 {
		out := []int32{
			b.IntAttribute(profile.AttrSyscallNumber, n), b.StringAttribute(profile.AttrSyscallName, name),
			b.IntAttribute(profile.AttrLatencyBucket, bucket),
		}
		if failed {
			out = append(out, b.BoolAttribute(profile.AttrError, true))
		}
		return out
	}
	calls := [][]int32{call(0, "read", 9, false), call(202, "futex", 10, true), call(0, "read", 10, false), call(999, "new_call", 0, true)}
	add(profile.KindSyscall, 0, profile.ValueType{}, 0, [][]int64{{600, 700}, {1024, 1100, 2000}, {1500}, {1}}, calls...)
	add(profile.KindSyscall, 1, profile.ValueType{}, 0, [][]int64{{2}, {3}, {1}, {1}}, calls...)
	add(profile.KindOffCPU, 0, profile.ValueType{}, 0, [][]int64{{10, 30, 20}})
	add(profile.KindOffCPU, 1, profile.ValueType{}, 0, [][]int64{{4}})
	return b.Profiles()
}

// store stores profiles of a tenant, as the exporter does.
func (f *fixture) storeProfiles(t *testing.T, tenant string, pd pprofile.Profiles) {
	t.Helper()
	for _, rp := range pd.ResourceProfiles().All() {
		rp.Resource().Attributes().PutStr(profile.AttrTenant, tenant)
	}
	groups, err := profile.Split(pd, time.Second, profile.Limits{})
	require.NoError(t, err)
	text, err := (&pprofile.ProtoMarshaler{}).MarshalProfiles(pd)
	require.NoError(t, err)
	require.NoError(t, f.api.store.Write(t.Context(), &profilestore.Window{Token: profile.HashBytes(text), Groups: groups}))
}
