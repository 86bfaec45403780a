package pprofwire

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// labelled is a profile of samples/count with a sample of each of these labels, whose
// values are 1, 2 and so on. Values of labels that begin with # are numbers.
func labelled(samples ...map[string]string) []byte {
	index := map[string]uint64{"": 0}
	table := []string{""}
	text := func(s string) uint64 {
		if _, ok := index[s]; !ok {
			index[s] = uint64(len(table))
			table = append(table, s)
		}
		return index[s]
	}
	f := new(file).bytes(fieldSampleType, numbers(1, text("samples"), 2, text("count")))
	for i, labels := range samples {
		s := new(file).bytes(1, packed(1)).number(2, uint64(i+1))
		for k, v := range labels {
			if n, ok := strings.CutPrefix(v, "#"); ok {
				number, _ := strconv.ParseUint(n, 10, 64)
				s.bytes(3, numbers(1, text(k), 3, number))
			} else {
				s.bytes(3, numbers(1, text(k), 2, text(v)))
			}
		}
		f.bytes(fieldSample, s.b)
	}
	f.bytes(fieldLocation, new(file).number(1, 1).bytes(4, numbers(1, 1)).b)
	f.bytes(fieldFunction, numbers(1, 1, 2, text("get[go.shape.int]"), 4, text("get.go")))
	return f.strings(table...).b
}

// asPyroscope says what becomes of labels as its server does.
func asPyroscope(key string, isNumber bool) LabelUse {
	switch {
	case isNumber:
		return Dropped
	case key == "profile_id" || key == "span_id":
		return OfSpan
	case key == "thread":
		return OfSample
	}
	return OfSeries
}

func TestLabelUses(t *testing.T) {
	data := labelled(
		map[string]string{"pod": "a", "span_id": "00000000000000ff", "bytes": "#7"},
		map[string]string{"pod": "b", "thread": "main"},
		map[string]string{"pod": "a", "thread": "main", "profile_id": "none"},
		map[string]string{"aperture.profile.kind": "lock"},
		map[string]string{"pod": "a", "span_id": "00000000000000ff"},
		map[string]string{"pod": "#5", "span_id": "zz000000000000ff"},
	)
	pd, err := Decode(data, Limits{}, Options{
		Kind: "work", Time: time.Unix(1, 0), Label: asPyroscope,
		Function: func(name, file string) string { return file + " " + strings.TrimSuffix(name, "[go.shape.int]") },
	})
	require.NoError(t, err)
	groups, err := profile.Split(pd, time.Hour, profile.Limits{})
	require.NoError(t, err)
	got := make(map[string]int64)
	for _, g := range groups.Groups {
		assert.Equal(t, "work", g.Kind)
		for _, e := range g.Entries {
			got[fmt.Sprint(g.Series.Labels, groups.Dict.Attributes[e.Attrs].Labels)] += e.Values[0]
		}
	}
	assert.Equal(t, map[string]int64{
		"[{pod a}] []": 1 + 5, "[{pod a}] [{thread main}]": 3, "[{pod b}] [{thread main}]": 2, "[] []": 4 + 6,
	}, got)
	assert.Equal(t, "get.go get", groups.Dict.Frames[groups.Dict.Stacks[1][0]].Function.Name)

	links := make(map[string]int)
	for _, p := range pd.ResourceProfiles().At(0).ScopeProfiles().At(0).Profiles().All() {
		for _, s := range p.Samples().All() {
			links[pd.Dictionary().LinkTable().At(int(s.LinkIndex())).SpanID().String()]++
		}
	}
	assert.Equal(t, map[string]int{"": 4, "00000000000000ff": 2}, links)
}

func TestKeep(t *testing.T) {
	data := labelled(nil, map[string]string{"pod": "b"}, nil)
	for _, label := range []func(string, bool) LabelUse{nil, asPyroscope} {
		pd, err := Decode(data, Limits{}, Options{Label: label, Keep: func(s Sample) bool { return s.Values[0] != 2 }})
		require.NoError(t, err)
		groups, err := profile.Split(pd, time.Hour, profile.Limits{})
		require.NoError(t, err)
		require.Len(t, groups.Groups, 1)
		assert.EqualValues(t, 4, total(groups))
	}
}

// A set of labels that takes few bytes makes profiles that take many.
func TestTooManySeries(t *testing.T) {
	samples := make([]map[string]string, maxSeries+1)
	for i := range samples {
		samples[i] = map[string]string{"pod": strconv.Itoa(i)}
	}
	_, err := Decode(labelled(samples...), Limits{}, Options{Label: asPyroscope})
	require.ErrorIs(t, err, ErrTooLarge)
	require.ErrorContains(t, err, "labels of the series have more than 4096 different sets of values")
	pd, err := Decode(labelled(samples[1:]...), Limits{}, Options{Label: asPyroscope})
	require.NoError(t, err)
	assert.Equal(t, maxSeries, pd.SampleCount())
}

// Samples that are converted a part at a time are those that are converted at once.
func TestAppendSamples(t *testing.T) {
	p, err := Parse(goCPU(t), Limits{})
	require.NoError(t, err)
	columns, err := p.Columns("any")
	require.NoError(t, err)
	var got int64
	for first, n := 0, p.NumSamples(); first < n; first += 37 {
		pd := pprofile.NewProfiles()
		scope := pd.ResourceProfiles().AppendEmpty().ScopeProfiles().AppendEmpty()
		require.NoError(t, NewConverter(pd, p).AppendSamples(scope, columns, Options{Time: time.Unix(1, 0)}, first, min(first+37, n)))
		assert.LessOrEqual(t, pd.Dictionary().StackTable().Len(), 38)
		groups, err := profile.Split(pd, time.Hour, profile.Limits{})
		require.NoError(t, err)
		got += total(groups)
	}
	assert.Equal(t, sumOf(p), got)
}

func TestNamesOfLabelsAndTraces(t *testing.T) {
	const trace = "0123456789abcdef0123456789abcdef"
	data := labelled(
		map[string]string{"a.b": "x", "trace_id": trace, "span_id": "00000000000000ff"},
		map[string]string{"a.b": "x", "trace_id": trace},
		map[string]string{"a.b": "x", "trace_id": "0" + trace[1:] + "0"},
		map[string]string{"a.b": "x", "trace_id": strings.Repeat("0", 32)},
	)
	pd, err := Decode(data, Limits{}, Options{
		Time:      time.Unix(1, 0),
		LabelName: func(key string) string { return strings.ReplaceAll(key, ".", "_") },
		Label: func(key string, _ bool) LabelUse {
			switch key {
			case "trace_id":
				return OfTrace
			case "span_id":
				return OfSpan
			}
			return OfSeries
		},
	})
	require.NoError(t, err)
	groups, err := profile.Split(pd, time.Hour, profile.Limits{})
	require.NoError(t, err)
	require.Len(t, groups.Groups, 1)
	assert.Equal(t, []profile.Label{{Name: "a_b", Value: "x"}}, groups.Groups[0].Series.Labels)
	var links []string
	for _, s := range pd.ResourceProfiles().At(0).ScopeProfiles().At(0).Profiles().At(0).Samples().All() {
		l := pd.Dictionary().LinkTable().At(int(s.LinkIndex()))
		links = append(links, l.TraceID().String()+" "+l.SpanID().String())
	}
	assert.Equal(t, []string{trace + " 00000000000000ff", trace + " ", " ", " "}, links)
}

// Of stacks that are too deep the root part is kept, of strings that are too long the end.
func TestCut(t *testing.T) {
	strs := []string{"", "samples", "count", "längst", "b", "c", "\xff\xffdeep"}
	f := new(file).bytes(fieldSampleType, numbers(1, 1, 2, 2))
	f.bytes(fieldSample, new(file).bytes(1, packed(1, 2, 3)).number(2, 1).b)
	f.bytes(fieldSample, new(file).bytes(1, packed(1, 2)).number(2, 1).b)
	f.bytes(fieldLocation, new(file).number(1, 1).bytes(4, numbers(1, 1)).b)
	f.bytes(fieldLocation, new(file).number(1, 2).bytes(4, numbers(1, 2)).bytes(4, numbers(1, 3)).b)
	f.bytes(fieldLocation, new(file).number(1, 3).bytes(4, numbers(1, 4)).b)
	for i := range 4 {
		f.bytes(fieldFunction, numbers(1, uint64(i+1), 2, uint64(i+3)))
	}
	data := f.strings(strs...).b
	stacks := func(depth, length int) (out []string) {
		pd, err := Decode(data, Limits{}, Options{Kind: "work", Time: time.Unix(1, 0), MaxDepth: depth, MaxStringLength: length})
		require.NoError(t, err)
		groups, err := profile.Split(pd, time.Hour, profile.Limits{})
		require.NoError(t, err)
		for _, e := range groups.Groups[0].Entries {
			var names []string
			for _, at := range groups.Dict.Stacks[e.Stack] {
				names = append(names, groups.Dict.Frames[at].Function.Name)
			}
			out = append(out, strings.Join(names, ";"))
		}
		return out
	}
	assert.Equal(t, []string{"längst;b;c;\ufffddeep", "längst;b;c"}, stacks(0, 0))
	assert.Equal(t, []string{"längst;b;c;\ufffddeep", "längst;b;c"}, stacks(4, 100))
	assert.Equal(t, []string{"b;c;\ufffddeep", "längst;b;c"}, stacks(3, 0))
	assert.Equal(t, []string{"\ufffddeep", "b;c"}, stacks(2, 0))
	assert.Equal(t, []string{"\ufffddeep", "c"}, stacks(1, 0))
	assert.Equal(t, []string{"ngst;b;c;deep", "ngst;b;c"}, stacks(0, 5))
}

// Profilers of .NET number functions from 0.
func TestFunctionZero(t *testing.T) {
	f := new(file).bytes(fieldSampleType, numbers(1, 1, 2, 2))
	f.bytes(fieldSample, new(file).bytes(1, packed(1, 2)).number(2, 1).b)
	f.bytes(fieldLocation, new(file).number(1, 1).bytes(4, numbers(2, 7)).b)
	f.bytes(fieldLocation, new(file).number(1, 2).bytes(4, numbers(1, 1)).b)
	f.bytes(fieldFunction, numbers(2, 3)).bytes(fieldFunction, numbers(1, 1, 2, 4))
	data := f.strings("", "samples", "count", "zero", "one").b
	_, err := Parse(data, Limits{})
	require.ErrorContains(t, err, "function[0].id is 0, which is reserved")
	p, err := Parse(data, Limits{FunctionZero: true})
	require.NoError(t, err)
	for i, want := range []string{"zero", "one"} {
		assert.Equal(t, want, p.Text(p.Functions[p.Lines(uint32(i))[0].Function].Name))
	}
}

// A name of which nothing is left within the limit is no name.
func TestCutToNothing(t *testing.T) {
	f := new(file).bytes(fieldSampleType, numbers(1, 1, 2, 2))
	f.bytes(fieldSample, new(file).bytes(1, packed(1)).number(2, 1).b)
	f.bytes(fieldLocation, new(file).number(1, 1).bytes(4, numbers(1, 1)).b)
	f.bytes(fieldFunction, numbers(1, 1, 2, 3))
	data := f.strings("", "a", "b", "a\u20ac").b
	for length := 1; length <= 4; length++ {
		pd, err := Decode(data, Limits{}, Options{Kind: "work", Time: time.Unix(1, 0), MaxStringLength: length})
		require.NoError(t, err)
		name := pd.Dictionary().StringTable().At(int(pd.Dictionary().FunctionTable().At(1).NameStrindex()))
		assert.Equal(t, map[int]string{1: "", 2: "", 3: "\u20ac", 4: "a\u20ac"}[length], name)
	}
}

// Long strings that many functions or samples refer to do not become names and values
// without end.
func TestTextThatIsMade(t *testing.T) {
	long, other := strings.Repeat("n", 60<<10), strings.Repeat("o", 60<<10)
	functions := new(file).bytes(fieldSampleType, numbers(1, 1, 2, 2))
	for i := range uint64(2000) {
		functions.bytes(fieldSample, new(file).bytes(1, packed(i+1)).number(2, 1).b)
		functions.bytes(fieldLocation, new(file).number(1, i+1).bytes(4, numbers(1, i+1)).b)
		functions.bytes(fieldFunction, numbers(1, i+1, 2, i+4, 4, 3))
	}
	names := []string{"", "a", "b", long}
	for i := range 2000 {
		names = append(names, strconv.Itoa(i))
	}
	labels := new(file).bytes(fieldSampleType, numbers(1, 1, 2, 2))
	for i := range 16 {
		s := new(file).number(2, 1)
		for n := range 100 {
			s.bytes(3, numbers(1, 1, 2, uint64(3+i>>(n%4)&1)))
		}
		labels.bytes(fieldSample, s.b)
	}
	withFile := func(name, file string) string { return file + " " + name }
	for name, tt := range map[string]struct {
		data []byte
		o    Options
	}{
		"names":            {functions.strings(names...).b, Options{Function: withFile}},
		"labels":           {labels.strings("", "a", "b", long, other).b, Options{}},
		"labels of series": {labels.b, Options{Label: asPyroscope}},
	} {
		tt.o.Kind, tt.o.Time = "work", time.Unix(1, 0)
		_, err := Decode(tt.data, Limits{}, tt.o)
		require.ErrorIs(t, err, ErrTooLarge, name)
		require.ErrorContains(t, err, "names of functions and values of labels have more than 33554432 bytes together", name)
	}
}

// Samples that have a key twice with the same values are of one series.
func TestLabelTwice(t *testing.T) {
	f := new(file).bytes(fieldSampleType, numbers(1, 1, 2, 2))
	for range maxSeries + 1 {
		f.bytes(fieldSample, new(file).number(2, 1).bytes(3, numbers(1, 1, 2, 1)).bytes(3, numbers(1, 1, 2, 2)).b)
	}
	pd, err := Decode(f.strings("", "a", "b").b, Limits{}, Options{Kind: "work", Time: time.Unix(1, 0), Label: asPyroscope})
	require.NoError(t, err)
	assert.Equal(t, 1, pd.ProfileCount())
	assert.Equal(t, maxSeries+1, pd.SampleCount())
}

// Comments are kept as a list if they are not too long.
func TestMaxComments(t *testing.T) {
	data := append(labelled(map[string]string{"a": "b"}), new(file).bytes(fieldComment, packed(3, 0, 4)).b...)
	comments := func(most int) (out []any) {
		pd, err := Decode(data, Limits{}, Options{MaxComments: most})
		require.NoError(t, err)
		for _, p := range pd.ResourceProfiles().At(0).ScopeProfiles().At(0).Profiles().All() {
			for _, i := range p.AttributeIndices().All() {
				a := pd.Dictionary().AttributeTable().At(int(i))
				if pd.Dictionary().StringTable().At(int(a.KeyStrindex())) == profile.AttrComment {
					out = append(out, a.Value().Slice().AsRaw())
				}
			}
		}
		return out
	}
	assert.Equal(t, []any{[]any{"a", "b"}}, comments(2))
	assert.Empty(t, comments(1))
	assert.Empty(t, comments(0))
}
