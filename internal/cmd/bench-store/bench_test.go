package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/aperture-collector/aperture-collector/internal/corpus"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// small has the windows of a minute.
func small(t *testing.T) *bench {
	t.Helper()
	b := &bench{dir: t.TempDir(), options: options{
		corpus:       corpus.Config{Services: 3, Pods: 2, Tail: 100, Samples: 40, Duration: time.Minute, Interval: interval},
		pprofWindows: 2,
	}}
	require.NoError(t, b.generate())
	return b
}

// What is written to files is what the facts say, as OTLP and as pprof.
func TestWindows(t *testing.T) {
	b := small(t)
	for name, f := range map[string]*facts{"hour": b.fleet.hour, "pprof": b.fleet.pprof, "beside": b.fleet.beside} {
		assert.Positive(t, f.Values)
		assert.Len(t, f.profiles, int(f.Profiles))
		var r reply
		require.NoError(t, new(working).load(t.Context(), &loadCall{Dir: b.path(name), N: f.windows, Pprof: name == "pprof", Discard: true, Concurrency: 2}, &r))
		assert.Equal(t, f.Values, r.Values, name)
		var cpu int64
		for _, n := range f.cpu {
			cpu += n
		}
		var want int64
		for k, v := range f.ByKey {
			if k.Kind == corpus.KindCPU {
				want += v
			}
		}
		assert.Equal(t, want, cpu, name)
	}
	require.Error(t, new(working).load(t.Context(), &loadCall{Dir: b.path("nothing"), N: 1}, new(reply)))
}

// Sums of a part of the first hour, and of copies, are made of the samples.
func TestSums(t *testing.T) {
	f := small(t).fleet
	total := func(sel profilestore.Selector) (n int64) {
		for _, v := range f.sums(&sel) {
			n += v
		}
		return n
	}
	sel := profilestore.Selector{Service: f.corpus.Service(f.one), Start: f.start, End: f.start + hour}
	whole := total(sel)
	require.Positive(t, whole)
	day := sel
	day.End = f.start + 24*hour
	assert.Equal(t, 24*whole, total(day))
	cut := sel
	cut.Start++
	assert.Equal(t, whole, total(cut), "no profile begins at once")
	before, after := halves(profilestore.Selector{Service: sel.Service, Start: f.start, End: f.start + minute})
	assert.Equal(t, whole, total(before)+total(after))
	shifted := sel
	shifted.Start, shifted.End = before.Start+5*hour, before.End+5*hour
	assert.Equal(t, total(before), total(shifted), "the sixth hour is a copy of the first")
	pods := int64(0)
	for pod := range 2 {
		one := sel
		one.Matchers = []profilestore.Matcher{{Name: podLabel, Value: f.label(f.one, pod, podLabel)}}
		pods += total(one)
	}
	assert.Equal(t, whole, pods)
	var profiles int64
	f.cpuProfiles(&sel, func(p *drawn, _ int64) { profiles += p.value })
	assert.Equal(t, whole, profiles)
}

// merged is a merge as a reader that is right gives it.
func merged(values ...int64) *profilestore.Merge {
	m := &profilestore.Merge{Kinds: []profilestore.KindMerge{{Kind: corpus.KindCPU, Types: profile.Types(profile.KindCPU), TotalRows: len(values)}}}
	for i, v := range values {
		frame := &profile.Frame{Function: profile.Function{Name: string(rune('a' + i))}}
		m.Stacks = append(m.Stacks, profilestore.Stack{ID: profile.ID{Lo: uint64(i + 1)}, Frames: []*profile.Frame{frame}})
		row := profilestore.Row{Stack: int32(i)}
		row.Values[0] = v
		m.Kinds[0].Rows = append(m.Kinds[0].Rows, row)
		m.Kinds[0].Totals[0] += v
	}
	return m
}

func TestVerifyMerge(t *testing.T) {
	right := merged(5, 3)
	keys := stackKeys(right)
	f := &fleet{hour: &facts{Sums: corpus.NewSums()}}
	f.hour.ByKey[corpus.Key{Kind: corpus.KindCPU, Stack: keys[0]}] = 5
	f.hour.ByKey[corpus.Key{Kind: corpus.KindCPU, Stack: keys[1]}] = 3
	sel := &profilestore.Selector{End: hour}
	require.NoError(t, f.verifyMerge(sel, right, right, 8))
	for name, wrong := range map[string]*profilestore.Merge{"value": merged(5, 2), "missing": merged(5), "further": merged(5, 3, 1)} {
		require.ErrorIs(t, f.verifyMerge(sel, wrong, wrong, sumOfRows(wrong)), errNotEqual, name)
		require.ErrorIs(t, f.verifyMerge(sel, wrong, right, sumOfRows(wrong)), errNotEqual, name)
	}
	require.ErrorIs(t, f.verifyMerge(sel, right, right, 7), errNotEqual, "the tree")
}

func TestDigest(t *testing.T) {
	digest := func(a answer) uint64 { return a.digest() }
	one := answer{merges: []*profilestore.Merge{merged(5, 3)}, total: 8}
	assert.Equal(t, digest(one), digest(answer{merges: []*profilestore.Merge{merged(5, 3)}, total: 8}))
	seen := map[uint64]bool{digest(one): true}
	for _, other := range []answer{
		{merges: []*profilestore.Merge{merged(3, 5)}, total: 8},
		{merges: []*profilestore.Merge{merged(5, 3)}, total: 7},
		{texts: []string{"ab", "c"}},
		{texts: []string{"a", "bc"}},
		{count: 1},
		{top: []profilestore.TopFunctions{{Kind: "cpu", Functions: []profilestore.FunctionSums{{Name: "f"}}}}},
		{series: []profilestore.Series{{Kind: "cpu", Points: []profilestore.Point{{Time: 1}}}}},
		{profiles: []profilestore.Profile{{Time: 1}}},
		{heatmap: []profilestore.Heatmap{{Kind: "cpu"}}},
		{types: []profilestore.ProfileType{{Kind: "cpu"}}},
	} {
		d := digest(other)
		assert.False(t, seen[d])
		seen[d] = true
	}
}

func TestFigures(t *testing.T) {
	least := &figure{measured: []float64{2}, more: true, digits: 1, unit: " M"}
	assert.True(t, least.within([]float64{2}))
	assert.True(t, least.within([]float64{1.9}))
	assert.False(t, least.within([]float64{2.1}))
	most := &figure{measured: []float64{10, 26}, digits: 0, unit: " ms"}
	assert.True(t, most.within([]float64{10, 26}))
	assert.False(t, most.within([]float64{10, 25}))
	assert.Equal(t, "10 / 26 ms", most.text(most.measured))
	assert.Equal(t, "2.0 M", least.text(least.measured))
	p := medianOf([]percentiles{{3, 9, 10}, {1, 7, 10}, {2, 30, 10}})
	assert.Equal(t, percentiles{2, 9, 30}, p)
}
