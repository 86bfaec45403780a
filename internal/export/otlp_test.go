package export

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/aggregate"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// otlpOf exports m and reads it with the SDK's own decoder.
func otlpOf(t testing.TB, m *profilestore.Merge, encoding OTLPEncoding) pprofile.Profiles {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, WriteOTLP(&out, m, map[string]string{"service.name": "s\xff"}, encoding))
	u := map[OTLPEncoding]pprofile.Unmarshaler{OTLPProto: &pprofile.ProtoUnmarshaler{}, OTLPJSON: &pprofile.JSONUnmarshaler{}}[encoding]
	pd, err := u.UnmarshalProfiles(out.Bytes())
	require.NoError(t, err)
	return pd
}

// again imports what was exported, the same in both encodings, and merges it.
func again(t *testing.T, m *profilestore.Merge) *profilestore.Merge {
	t.Helper()
	one, err := (&pprofile.JSONMarshaler{}).MarshalProfiles(otlpOf(t, m, OTLPProto))
	require.NoError(t, err)
	other, err := (&pprofile.JSONMarshaler{}).MarshalProfiles(otlpOf(t, m, OTLPJSON))
	require.NoError(t, err)
	require.Equal(t, string(one), string(other))
	// Another one: the SDK's encoders change what they encode.
	groups, err := profile.Split(otlpOf(t, m, OTLPProto), time.Second, profile.Limits{})
	require.NoError(t, err)
	recent := aggregate.NewRecent(time.Hour, 1<<30)
	window := aggregate.NewTable(1 << 30).NewWindow(time.Second)
	window.Add(groups)
	recent.Add(window)
	got, err := recent.MergeStacks(t.Context(), profilestore.Selector{Tenant: profile.DefaultTenant, Service: "s\ufffd"},
		profilestore.MergeOptions{ByLock: true, BySyscall: true, SyscallRows: true})
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
	p := sampleProfile()
	k := p.Kind
	k.Kind, k.Types = profile.KindSyscall, profile.Types(profile.KindSyscall)
	row := func(stack int32, number int64, bucket uint8, failed bool, values ...int64) {
		r := profilestore.Row{Stack: stack, Syscall: number, Bucket: bucket, Failed: failed, Count: uint64(len(values)), Min: values[0], Max: values[0]}
		for _, v := range values {
			r.Values[0] += v
			r.Min, r.Max = min(r.Min, v), max(r.Max, v)
		}
		r.Values[1] = int64(r.Count)
		k.Rows = append(k.Rows, r)
	}
	k.Rows = nil
	// Of one stack, calls of several numbers, lengths and outcomes, read among them,
	// whose number is 0; calls without a stack, and a row of no call.
	row(0, 0, 9, false, 600, 700, 1000)
	row(0, 0, 9, true, 512)
	row(0, 0, 10, false, 1024, 2000)
	row(0, 202, 6, false, 100)
	row(1, 202, 6, true, 64, 127)
	row(2, 999, 0, false, 1)
	row(2, profilestore.NoSyscall, 0, false, 3)
	bucket := func(counts map[int]uint64) (h [profile.LatencyBuckets]uint64) {
		for b, n := range counts {
			h[b] = n
		}
		return h
	}
	k.Syscalls = []profilestore.SyscallStats{
		{Number: 0, Name: "read", Count: 6, Errors: 1, Total: 5836, Min: 512, Max: 2000, Histogram: bucket(map[int]uint64{9: 4, 10: 2})},
		{Number: 202, Name: "fu\"tex", Count: 3, Errors: 2, Total: 291, Min: 64, Max: 127, Histogram: bucket(map[int]uint64{6: 3})},
		{Number: 999, Count: 1, Total: 1, Min: 1, Max: 1, Histogram: bucket(map[int]uint64{0: 1})},
	}
	k.Totals, k.Events, k.TotalRows = [profile.MaxTypes]int64{6131, 11}, 11, len(k.Rows)
	k.StacklessValue, k.StacklessEvents = 4, 2
	checkAgain(t, p)
}

func TestOTLPStopsWhereTheWriterFails(t *testing.T) {
	p := randomProfile(3000, 20)
	for _, encoding := range []OTLPEncoding{OTLPProto, OTLPJSON} {
		for _, room := range []int{0, 1, 50_000, 90_000} {
			require.ErrorIs(t, WriteOTLP(&fullWriter{room}, p.Merge, nil, encoding), errFull, room)
		}
	}
}

func TestOTLPOfNothing(t *testing.T) {
	assert.Empty(t, again(t, &profilestore.Merge{}).Kinds)
}

// BenchmarkOTLP is a busy service: 20,000 stacks of 30 frames.
func BenchmarkOTLP(b *testing.B) {
	p := randomProfile(20_000, 30)
	for name, encoding := range map[string]OTLPEncoding{"proto": OTLPProto, "json": OTLPJSON} {
		b.Run(name, func(b *testing.B) {
			groups, err := profile.Split(otlpOf(b, p.Merge, encoding), time.Second, profile.Limits{})
			require.NoError(b, err)
			require.Equal(b, p.Kind.Events, groups.Events)
			b.ReportAllocs()
			for b.Loop() {
				if err := WriteOTLP(io.Discard, p.Merge, nil, encoding); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
