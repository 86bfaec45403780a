package export

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/aggregate"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// again imports what was exported, by way of both encodings, and merges it.
func again(t *testing.T, m *profilestore.Merge) *profilestore.Merge {
	t.Helper()
	pd := OTLP(m, map[string]string{"service.name": "s\xff"})
	text, err := (&pprofile.ProtoMarshaler{}).MarshalProfiles(pd)
	require.NoError(t, err)
	fromProto, err := (&pprofile.ProtoUnmarshaler{}).UnmarshalProfiles(text)
	require.NoError(t, err)
	text, err = (&pprofile.JSONMarshaler{}).MarshalProfiles(fromProto)
	require.NoError(t, err)
	fromJSON, err := (&pprofile.JSONUnmarshaler{}).UnmarshalProfiles(text)
	require.NoError(t, err)
	groups, err := profile.Split(fromJSON, time.Second, profile.Limits{})
	require.NoError(t, err)
	recent := aggregate.NewRecent(time.Hour, 1<<30)
	window := aggregate.NewTable(1 << 30).NewWindow(time.Second)
	window.Add(groups)
	recent.Add(window)
	got, err := recent.MergeStacks(t.Context(), profilestore.Selector{Tenant: profile.DefaultTenant, Service: "s\ufffd"},
		profilestore.MergeOptions{ByLock: true, BySyscall: true})
	require.NoError(t, err)
	return got
}

// plainRow is a row with its frames instead of an index.
type plainRow struct {
	row    profilestore.Row
	frames []profile.Frame
}

func plainRows(m *profilestore.Merge, k *profilestore.KindMerge) []plainRow {
	var out []plainRow
	for _, r := range k.Rows {
		p := plainRow{row: r}
		p.row.Stack = 0
		for _, f := range m.Stacks[r.Stack].Frames {
			c := *f
			c.FunctionID = profile.ID{}
			for _, s := range []*string{&c.Mapping, &c.BuildID, &c.Type, &c.Function.Name, &c.Function.SystemName, &c.Function.Filename} {
				*s = valid(*s)
			}
			p.frames = append(p.frames, c)
		}
		out = append(out, p)
	}
	return out
}

// checkAgain expects the same kind.
func checkAgain(t *testing.T, p *Profile) {
	t.Helper()
	got := again(t, p.Merge)
	require.Len(t, got.Kinds, 1)
	k := got.Kinds[0]
	assert.ElementsMatch(t, plainRows(p.Merge, p.Kind), plainRows(got, &k))
	want := *p.Kind
	k.Rows, want.Rows = nil, nil
	assert.Equal(t, want, k)
}

func TestOTLPAgain(t *testing.T) {
	checkAgain(t, sampleProfile())
	p := randomProfile(300, 10)
	for _, s := range p.Merge.Stacks {
		for _, f := range s.Frames {
			// These are not at the address of the frame they would be inlined into.
			f.Inlined = false
		}
	}
	checkAgain(t, p)
}

func TestOTLPOfOthersAgain(t *testing.T) {
	p := sampleProfile()
	p.Kind.Kind, p.Kind.Types = "alloc", []profile.ValueType{{Type: "space", Unit: "bytes"}, {Type: "objects", Unit: "count"}, {Type: "x", Unit: "y"}}
	for i := range p.Kind.Rows {
		p.Kind.Rows[i].LockAddress = uint64(i)
		p.Kind.Rows[i].Values[2] = int64(i) * 7
		p.Kind.Totals[2] += int64(i) * 7
	}
	checkAgain(t, p)
}

func TestOTLPOfSyscallsAgain(t *testing.T) {
	want := syscallProfile()
	got := again(t, want.Merge)
	require.Len(t, got.Kinds, 1)
	assert.Equal(t, want.Kind.Syscalls, got.Kinds[0].Syscalls)
	assert.Equal(t, want.Kind.Totals, got.Kinds[0].Totals)
	assert.Equal(t, want.Kind.Events, got.Kinds[0].Events)

	// Numbers that are not there for all: the stacks are exported.
	p := sampleProfile()
	p.Kind.Kind, p.Kind.Types = profile.KindSyscall, profile.Types(profile.KindSyscall)
	p.Kind.Syscalls = []profilestore.SyscallStats{{Number: 1, Count: 3, Total: 30}}
	got = again(t, p.Merge)
	assert.Len(t, got.Kinds[0].Rows, 4)
	assert.Equal(t, p.Kind.Totals, got.Kinds[0].Totals)
}

func TestOTLPOfNothing(t *testing.T) {
	assert.Empty(t, again(t, &profilestore.Merge{}).Kinds)
}

// BenchmarkOTLP is a busy service: 20,000 stacks of 30 frames.
func BenchmarkOTLP(b *testing.B) {
	p := randomProfile(20_000, 30)
	groups, err := profile.Split(OTLP(p.Merge, nil), time.Second, profile.Limits{})
	require.NoError(b, err)
	require.Equal(b, p.Kind.Events, groups.Events)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (&pprofile.ProtoMarshaler{}).MarshalProfiles(OTLP(p.Merge, nil)); err != nil {
			b.Fatal(err)
		}
	}
}
