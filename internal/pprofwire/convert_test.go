package pprofwire

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// converts converts a profile that may be of anything.
func converts(t *testing.T, p *Profile) {
	t.Helper()
	pd, err := ToProfiles(p, Options{})
	require.NoError(t, err, "a kind that the types say is there")
	if _, err := profile.Split(pd, time.Second, profile.Limits{}); err != nil {
		require.ErrorIs(t, err, profile.ErrInvalid)
	}
}

func TestToProfiles(t *testing.T) {
	data := small()
	p, err := Parse(data, Limits{})
	require.NoError(t, err)
	pd, err := ToProfiles(p, Options{})
	require.NoError(t, err)
	clear(data) // nothing aliases it
	groups, err := profile.Split(pd, time.Hour, profile.Limits{})
	require.NoError(t, err)
	require.Len(t, groups.Groups, 1)
	g, d := groups.Groups[0], groups.Dict
	assert.Equal(t, profile.KindCPU, g.Kind)
	assert.Equal(t, profile.Types(profile.KindCPU), g.Types)
	assert.Equal(t, profile.ValueType{Type: "cpu", Unit: "nanoseconds"}, g.PeriodType)
	assert.EqualValues(t, 10, g.Period)
	assert.EqualValues(t, 1_700_000_000_000_000_000, g.Start)
	assert.EqualValues(t, 10_000_000_000, g.End-g.Start)
	assert.EqualValues(t, 4, g.Events())
	require.Len(t, g.Entries, 2)
	assert.Equal(t, []profile.Label{{Name: "region", Value: "eu"}, {Name: "size", Value: "64"}}, d.Attributes[g.Entries[0].Attrs].Labels)
	frames := make([]profile.Frame, 0, 3)
	for _, f := range d.Stacks[g.Entries[0].Stack] {
		f := d.Frames[f]
		f.FunctionID = profile.ID{}
		frames = append(frames, f)
	}
	leaf := profile.Function{Name: "leaf", SystemName: "leaf_", Filename: "leaf.go", StartLine: 2}
	assert.Equal(t, []profile.Frame{
		{Address: 0x1800, Function: leaf, Line: 3, Mapping: "/bin/app", BuildID: "abc"},
		{Address: 0x1900, Function: profile.Function{Name: "root"}, Line: 7, Mapping: "/bin/app", BuildID: "abc", Inlined: true},
		{Address: 0x1900, Function: leaf, Line: 9, Mapping: "/bin/app", BuildID: "abc"},
	}, frames)
}

// typed returns a profile with these types and a sample, whose values are 100.
func typed(tb testing.TB, period profile.ValueType, types ...profile.ValueType) *Profile {
	tb.Helper()
	f, s := new(file).strings("", period.Type, period.Unit), new(file)
	f.bytes(fieldPeriodType, numbers(1, 1, 2, 2)).number(fieldPeriod, 8)
	for i, t := range types {
		f.strings(t.Type, t.Unit).bytes(fieldSampleType, numbers(1, uint64(3+2*i), 2, uint64(4+2*i)))
		s.number(2, 100)
	}
	p, err := Parse(f.bytes(fieldSample, s.b).b, Limits{})
	require.NoError(tb, err)
	return p
}

func TestColumns(t *testing.T) {
	ns := func(name string) profile.ValueType { return profile.ValueType{Type: name, Unit: "nanoseconds"} }
	count := func(name string) profile.ValueType { return profile.ValueType{Type: name, Unit: "count"} }
	space := profile.ValueType{Type: "inuse_space", Unit: "bytes"}
	none := profile.ValueType{}
	for name, tt := range map[string]struct {
		p    *Profile
		kind string
		want []Column
	}{
		"cpu of Go":         {typed(t, ns("cpu"), count("samples"), ns("cpu")), "", []Column{{0, "cpu", count("samples"), 0}}},
		"cpu without count": {typed(t, ns("cpu"), ns("cpu")), "", []Column{{0, "cpu", count("samples"), 8}}},
		"mutex of Go":       {typed(t, count("contentions"), count("contentions"), ns("delay")), "", []Column{{1, "lock", ns("delay"), 0}, {0, "lock", count("contentions"), 0}}},
		"heap of Go":        {typed(t, space, count("inuse_objects"), space), "", []Column{{0, "inuse_objects", count("inuse_objects"), 0}, {1, "inuse_space", space, 0}}},
		"one kind by name":  {typed(t, none, count("inuse_objects"), space), "heap", []Column{{0, "heap", count("inuse_objects"), 0}, {1, "heap", space, 0}}},
		"samples of what?":  {typed(t, none, count("samples")), "", []Column{{0, "samples", count("samples"), 0}}},
		"forced cpu":        {typed(t, none, count("samples")), "cpu", []Column{{0, "cpu", count("samples"), 0}}},
		"lock and more":     {typed(t, none, ns("delay"), count("contentions"), space), "", []Column{{0, "lock", ns("delay"), 0}, {1, "lock", count("contentions"), 0}, {2, "inuse_space", space, 0}}},
		"no name":           {typed(t, none, none), "", []Column{{0, "unknown", none, 0}}},
	} {
		got, err := tt.p.Columns(tt.kind)
		require.NoError(t, err, name)
		assert.Equal(t, tt.want, got, name)
	}
	_, err := ToProfiles(typed(t, none, count("samples"), space), Options{Kind: "lock"})
	require.EqualError(t, err, `convert pprof: invalid pprof: kind "lock" needs sample type delay/nanoseconds; there are [{"samples" "count"} {"inuse_space" "bytes"}]`)
}

func TestDivide(t *testing.T) {
	for _, tt := range []struct{ v, divide, want int64 }{
		{100, 0, 100},
		{100, 1, 100},
		{100, 8, 13},
		{99, 8, 12},
		{-100, 8, -13},
		{-99, 8, -12},
		{0, 8, 0},
		{math.MaxInt64, math.MaxInt64, 1},
		{math.MaxInt64 - 1, math.MaxInt64, 1},
		{1, math.MaxInt64, 0},
		{math.MinInt64, 2, math.MinInt64 / 2},
		{math.MinInt64, math.MaxInt64, -1},
	} {
		c := Column{Divide: tt.divide}
		assert.Equal(t, tt.want, c.of([]int64{tt.v}), "%d/%d", tt.v, tt.divide)
	}
}

// Labels that our own exports write, and keys with several values.
func TestAttributes(t *testing.T) {
	f := new(file).strings("", profile.AttrLockAddress, "0xffff888000000010", profile.AttrSyscallNumber, "202", "key", "a", "b", "key", "n", "many")
	sample := new(file).number(2, 1)
	for _, l := range [][]byte{numbers(1, 1, 2, 2), numbers(1, 3, 2, 4), numbers(1, 5, 2, 6), numbers(1, 8, 2, 7), numbers(1, 9, 3, 5), numbers(1, 9), numbers(1, 5, 3, 3), numbers(1, 1, 2, 10)[0:0]} {
		sample.bytes(3, l)
	}
	f.bytes(fieldSampleType, nil).bytes(fieldSample, sample.b)
	f.bytes(fieldSample, new(file).number(2, 1).bytes(3, numbers(1, 1, 2, 10)).bytes(3, numbers(1, 3, 2, 10)).b)
	p, err := Parse(f.b, Limits{})
	require.NoError(t, err)
	pd, err := ToProfiles(p, Options{Time: time.Unix(5, 0)})
	require.NoError(t, err)
	groups, err := profile.Split(pd, time.Hour, profile.Limits{})
	require.NoError(t, err)
	g := groups.Groups[0]
	assert.EqualValues(t, 5e9, g.Start, "a file without a time has that of the options")
	require.Len(t, g.Entries, 2)
	got := groups.Dict.Attributes[g.Entries[0].Attrs]
	assert.Equal(t, uint64(0xffff888000000010), got.LockAddress)
	assert.EqualValues(t, 202, got.Syscall)
	assert.Equal(t, []profile.Label{{Name: "key", Value: "a,b,3"}, {Name: "n", Value: "5"}}, got.Labels)
	assert.Zero(t, groups.Dict.Attributes[g.Entries[1].Attrs].LockAddress, "not a number")
}

// Unsymbolised kernel frames and mappings of which nothing but addresses is known.
func TestMappings(t *testing.T) {
	f := new(file).strings("", "[kernel.kallsyms]_text").bytes(fieldSampleType, nil)
	f.bytes(fieldMapping, numbers(1, 1, 5, 1)).bytes(fieldMapping, numbers(1, 2, 2, 0x1000))
	f.bytes(fieldLocation, numbers(1, 1, 2, 1, 3, 0xff)).bytes(fieldLocation, numbers(1, 2, 2, 2, 3, 0x1001))
	f.bytes(fieldSample, new(file).bytes(1, packed(1, 2)).number(2, 1).b)
	p, err := Parse(f.b, Limits{})
	require.NoError(t, err)
	pd, err := ToProfiles(p, Options{})
	require.NoError(t, err)
	assert.Equal(t, 2, pd.Dictionary().MappingTable().Len())
	groups, err := profile.Split(pd, time.Hour, profile.Limits{})
	require.NoError(t, err)
	assert.Equal(t, []profile.Frame{
		{}, {Address: 0xff, Mapping: "[kernel.kallsyms]_text", Type: profile.FrameKernel}, {Address: 0x1001},
	}, groups.Dict.Frames)
}

// Several profiles go into one dictionary; a stack is there once for each of them.
func TestConverterOfSeveral(t *testing.T) {
	pd := pprofile.NewProfiles()
	want := make(map[string]int64)
	stacks := make(map[int32]bool)
	for i := range 3 {
		data := goHeap(t)
		p, err := Parse(data, Limits{})
		require.NoError(t, err)
		columns, err := p.Columns("")
		require.NoError(t, err)
		require.Len(t, columns, 4)
		rp := pd.ResourceProfiles().AppendEmpty()
		rp.Resource().Attributes().PutStr("service.name", fmt.Sprint(i))
		c := NewConverter(pd, p)
		require.NoError(t, c.Append(rp.ScopeProfiles().AppendEmpty(), columns, Options{Time: time.Unix(5, 0)}))
		want[fmt.Sprint(i)] = sumOf(p)
		for n := range p.NumSamples() {
			s := c.Stack(slices.Clone(p.Sample(n).Locations))
			assert.Equal(t, s, c.Stack(p.Sample(n).Locations))
			stacks[s] = true
		}
		clear(data)
		assert.Equal(t, len(stacks)+1, pd.Dictionary().StackTable().Len())
	}
	groups, err := profile.Split(pd, time.Hour, profile.Limits{})
	require.NoError(t, err)
	got := make(map[string]int64)
	for _, g := range groups.Groups {
		for _, e := range g.Entries {
			for _, v := range e.Values {
				got[g.Series.Service] += v
			}
		}
	}
	assert.Equal(t, want, got)
}
