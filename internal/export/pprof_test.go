package export

import (
	"bytes"
	"io"
	"testing"

	pprofile "github.com/google/pprof/profile"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

func pprofOf(t *testing.T, p *Profile) *pprofile.Profile {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, WritePprof(&out, p))
	got, err := pprofile.Parse(&out)
	require.NoError(t, err)
	require.NoError(t, got.CheckValid())
	return got
}

func sumsOf(p *pprofile.Profile) []int64 {
	out := make([]int64, len(p.SampleType))
	for _, s := range p.Sample {
		for i, v := range s.Value {
			out[i] += v
		}
	}
	return out
}

func TestPprof(t *testing.T) {
	got := pprofOf(t, sampleProfile())
	assert.Equal(t, []*pprofile.ValueType{{Type: "delay", Unit: "nanoseconds"}, {Type: "contentions", Unit: "count"}}, got.SampleType)
	assert.Equal(t, "delay", got.DefaultSampleType)
	assert.Equal(t, int64(startTime), got.TimeNanos)
	assert.Equal(t, int64(5e9), got.DurationNanos)
	assert.Equal(t, &pprofile.ValueType{}, got.PeriodType, "not known")
	assert.Equal(t, []int64{1111, 11}, sumsOf(got))

	require.Len(t, got.Sample, 4)
	s := got.Sample[0]
	assert.Equal(t, map[string][]string{"aperture.lock.address": {"0xffff888000000010"}}, s.Label)
	require.Len(t, s.Location, 4, "an inlined function is in the location of its caller")
	assert.Equal(t, s.Location, got.Sample[1].Location)
	kernel, inlined, unknown, nowhere := s.Location[0], s.Location[1], s.Location[2], s.Location[3]
	assert.Equal(t, uint64(0xffffffff81000001), kernel.Address)
	assert.Equal(t, "[kernel]", kernel.Mapping.File)
	require.Len(t, inlined.Line, 2)
	assert.Equal(t, uint64(0x401000), inlined.Address)
	assert.Equal(t, "/usr/bin/app", inlined.Mapping.File)
	assert.Equal(t, "abcd", inlined.Mapping.BuildID)
	inner, outer := inlined.Line[0], inlined.Line[1]
	assert.Equal(t, pprofile.Function{ID: inner.Function.ID, Name: "inner", SystemName: "_Z5innerv", Filename: "inner.c", StartLine: 10}, *inner.Function)
	assert.Equal(t, int64(12), inner.Line)
	assert.Equal(t, "outer", outer.Function.Name)
	assert.Equal(t, int64(33), outer.Line)
	assert.Empty(t, unknown.Line)
	assert.Equal(t, "/usr/lib/libx.so", unknown.Mapping.File)
	require.NotNil(t, nowhere.Mapping)
	assert.Empty(t, nowhere.Mapping.File)
	for _, m := range got.Mapping {
		assert.True(t, m.HasFunctions && m.HasFilenames && m.HasLineNumbers && m.HasInlineFrames)
	}

	require.Len(t, got.Sample[2].Location, len(hostile))
	for i, name := range hostile {
		l := got.Sample[2].Location[i]
		assert.Equal(t, valid(name), l.Mapping.File)
		assert.Equal(t, valid(name), l.Mapping.BuildID)
		if name == "" {
			assert.Empty(t, l.Line)
			continue
		}
		assert.Equal(t, valid(name), l.Line[0].Function.Name)
		assert.Equal(t, valid(name), l.Line[0].Function.Filename)
	}
	assert.Empty(t, got.Sample[3].Location, "what has no stack counts")
}

func TestPprofOfSyscalls(t *testing.T) {
	got := pprofOf(t, syscallProfile())
	assert.Equal(t, []int64{700, 7}, sumsOf(got))
	assert.Equal(t, map[string][]string{"syscall.name": {"read"}, "aperture.syscall.number": {"0"}}, got.Sample[0].Label)
	assert.Equal(t, "read", got.Sample[0].Location[0].Line[0].Function.Name)
	assert.Equal(t, map[string][]string{"syscall.name": {"my_futex"}, "aperture.syscall.number": {"202"}}, got.Sample[1].Label)
}

func TestPprofOfCPU(t *testing.T) {
	p := randomProfile(500, 20)
	got := pprofOf(t, p)
	assert.Equal(t, []int64{p.Kind.Totals[0]}, sumsOf(got))
	assert.Equal(t, &pprofile.ValueType{Type: "cpu", Unit: "nanoseconds"}, got.PeriodType)
	assert.Equal(t, int64(1e7), got.Period)
	for i, s := range got.Sample {
		var names, want []string
		for _, l := range s.Location {
			for _, line := range l.Line {
				names = append(names, line.Function.Name)
			}
		}
		for _, f := range p.Merge.Stacks[i].Frames {
			want = append(want, f.Function.Name)
		}
		require.Equal(t, want, names)
	}
}

func TestPprofOfNothing(t *testing.T) {
	got := pprofOf(t, &Profile{Merge: &profilestore.Merge{}, Kind: &profilestore.KindMerge{Kind: "x", Types: []profile.ValueType{{Type: "x", Unit: "y"}}}})
	assert.Empty(t, got.Sample)
	assert.Len(t, got.SampleType, 1)
}

func TestPprofStopsWhereTheWriterFails(t *testing.T) {
	p := randomProfile(3000, 20)
	for _, room := range []int{0, 1, 5000, 20_000} {
		require.ErrorIs(t, WritePprof(&fullWriter{room}, p), errFull, room)
	}
}

// BenchmarkPprof is a busy service: 20,000 stacks of 30 frames.
func BenchmarkPprof(b *testing.B) {
	p := randomProfile(20_000, 30)
	var out bytes.Buffer
	require.NoError(b, WritePprof(&out, p))
	got, err := pprofile.ParseData(out.Bytes())
	require.NoError(b, err)
	require.Equal(b, []int64{p.Kind.Totals[0]}, sumsOf(got))
	b.SetBytes(int64(out.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if err := WritePprof(io.Discard, p); err != nil {
			b.Fatal(err)
		}
	}
}
