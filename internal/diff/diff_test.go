package diff

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

type values = [profile.MaxTypes]int64

const all = math.MaxInt

// merge returns a merge of one kind whose stack n is that of the frame at n.
func merge(kind string, rows ...profilestore.Row) *profilestore.Merge {
	m := new(profilestore.Merge)
	k := profilestore.KindMerge{Kind: kind, Types: profile.Types(kind), TotalRows: len(rows)}
	index := make(map[int32]int32)
	for _, row := range rows {
		at, ok := index[row.Stack]
		if !ok {
			at = int32(len(m.Stacks))
			index[row.Stack] = at
			m.Stacks = append(m.Stacks, stackOf(row.Stack))
		}
		for i, v := range row.Values {
			k.Totals[i] += v
		}
		k.Events += row.Count
		row.Stack = at
		k.Rows = append(k.Rows, row)
	}
	m.Kinds = []profilestore.KindMerge{k}
	return m
}

func stackOf(n int32) profilestore.Stack {
	return profilestore.Stack{ID: profile.ID{Hi: uint64(n)}, Frames: []*profile.Frame{{Address: uint64(n)}}}
}

// samples is n CPU samples of a stack.
func samples(stack int32, n int64) profilestore.Row {
	return profilestore.Row{Stack: stack, Values: values{n}, Count: uint64(max(n, 0))}
}

// over is a window of so many seconds.
func over(seconds int64, m *profilestore.Merge) Window {
	const start = 1_700_000_000_000_000_000
	return Window{Merge: m, Start: start, End: start + seconds*int64(time.Second)}
}

func cpu(t *testing.T, baseline, comparison Window, n Normalize) *Result {
	t.Helper()
	r := Compute(profile.KindCPU, baseline, comparison, Options{Normalize: n, MaxRows: all})
	assert.False(t, r.Truncated)
	return r
}

func TestCPU(t *testing.T) {
	r := cpu(t, over(10, merge("cpu", samples(1, 10), samples(2, 5))), over(10, merge("cpu", samples(2, 8), samples(1, 7))), None)
	assert.EqualValues(t, 15, r.Baseline.Measure)
	assert.EqualValues(t, 15, r.Comparison.Measure)
	require.Len(t, r.Rows, 2)
	a, b := r.Rows[0], r.Rows[1]
	assert.EqualValues(t, 1, a.Frames[0].Address, "of equal changes, the first stack")
	assert.EqualValues(t, -3, a.Delta)
	assert.InDelta(t, -30, a.DeltaPercent, 1e-9)
	assert.EqualValues(t, 3, b.Delta)
	assert.InDelta(t, 60, b.DeltaPercent, 1e-9)
	assert.InDelta(t, 10.0/15, a.BaselineShare, 1e-9)
	assert.InDelta(t, 7.0/15, a.ComparisonShare, 1e-9)
	assert.InDelta(t, -0.3, a.DeltaPerSecond, 1e-9)
	assert.InEpsilon(t, 0.629058837890625, a.PValue, 1e-9)
	assert.Equal(t, Changed, a.Status)
}

func TestNewAndGone(t *testing.T) {
	r := cpu(t, over(10, merge("cpu", samples(1, 5))), over(10, merge("cpu", samples(2, 1))), None)
	require.Len(t, r.Rows, 2)
	assert.Equal(t, Change{Delta: -5, DeltaPercent: -100, BaselineShare: 1, DeltaPerSecond: -0.5, PValue: 0.0625, Status: Gone}, round(r.Rows[0].Change))
	assert.Equal(t, Change{Delta: 1, ComparisonShare: 1, DeltaPerSecond: 0.1, PValue: 1, Status: New}, round(r.Rows[1].Change))
	none := new(profilestore.Merge)
	r = cpu(t, over(10, none), over(10, merge("cpu", samples(2, 1))), Share)
	require.Len(t, r.Rows, 1)
	assert.Equal(t, New, r.Rows[0].Status)
	assert.True(t, math.IsNaN(r.Rows[0].PValue), "a baseline of nothing has no shares")
	assert.Empty(t, cpu(t, over(10, none), over(10, none), Rate).Rows)
}

func round(c Change) Change {
	c.PValue = math.Round(c.PValue*1e12) / 1e12
	return c
}

func TestSyscall(t *testing.T) {
	calls := func(name string, n uint64, total int64) *profilestore.Merge {
		return &profilestore.Merge{Kinds: []profilestore.KindMerge{{
			Kind: profile.KindSyscall, Types: profile.Types(profile.KindSyscall), Events: n, Totals: values{total, int64(n)},
			Syscalls: []profilestore.SyscallStats{{Number: 0, Name: name, Count: n, Total: total}},
		}}}
	}
	r := Compute("syscall", over(1, calls("", 10, 1000)), over(1, calls("read", 20, 4000)), Options{MaxRows: all})
	require.Len(t, r.Rows, 1)
	row := r.Rows[0]
	assert.EqualValues(t, 10, row.Delta)
	assert.Equal(t, Values{Count: 10, Values: values{1000}}, row.Baseline)
	assert.Equal(t, Values{Count: 20, Values: values{4000}}, row.Comparison)
	assert.Equal(t, "read", row.Name, "of the side that has one")
	assert.InDelta(t, 100, row.DeltaPercent, 1e-9)
	assert.EqualValues(t, 20, r.Comparison.Measure)
}

func TestLocks(t *testing.T) {
	wait := func(lock uint64, count uint64, total int64) profilestore.Row {
		return profilestore.Row{Stack: 1, LockAddress: lock, Count: count, Values: values{total, int64(count)}}
	}
	r := Compute("lock", over(1, merge("lock", wait(0x1000, 2, 800), wait(0x2000, 1, 50))), over(1, merge("lock", wait(0x1000, 1, 1000))), Options{MaxRows: all})
	require.Len(t, r.Rows, 2, "the same stack, two locks")
	assert.EqualValues(t, 200, r.Rows[0].Delta)
	assert.EqualValues(t, 2, r.Rows[0].Baseline.Count)
	assert.EqualValues(t, 1, r.Rows[0].Comparison.Count)
	assert.EqualValues(t, 3, r.Baseline.Count)
	assert.EqualValues(t, 0x2000, r.Rows[1].Number)
	assert.Equal(t, Gone, r.Rows[1].Status)
}

// Ten seconds against a minute: six times as much is no change.
func TestNormalize(t *testing.T) {
	b, c := over(10, merge("cpu", samples(1, 50), samples(2, 10))), over(60, merge("cpu", samples(1, 300), samples(2, 90)))
	r := cpu(t, b, c, None)
	assert.EqualValues(t, 250, r.Rows[0].Delta, "as it was counted")
	assert.InDelta(t, 1, r.Rows[0].PValue, 1e-9, "but the lengths of the windows count for significance")

	r = cpu(t, b, c, Rate)
	assert.EqualValues(t, 2, r.Rows[0].Frames[0].Address)
	assert.InDelta(t, 0.5, r.Rows[0].DeltaPerSecond, 1e-9)
	assert.InDelta(t, 50, r.Rows[0].DeltaPercent, 1e-9)
	assert.InDelta(t, 0, r.Rows[1].DeltaPercent, 1e-9)
	assert.InDelta(t, PValue(10, 90, 10, 60), r.Rows[0].PValue, 1e-12)

	r = cpu(t, b, c, Share)
	assert.InDelta(t, 100*(90.0/390/(10.0/60)-1), percentOf(r, 2), 1e-9)
	assert.InDelta(t, 100*(300.0/390/(50.0/60)-1), percentOf(r, 1), 1e-9)
	assert.InDelta(t, PValue(50, 300, 60, 390), row(r, 1).PValue, 1e-12)
	assert.Equal(t, "share", r.Normalize.String())
}

func row(r *Result, address uint64) *Row {
	for i := range r.Rows {
		if r.Rows[i].Frames[0].Address == address {
			return &r.Rows[i]
		}
	}
	return nil
}

func percentOf(r *Result, address uint64) float64 { return row(r, address).DeltaPercent }

func TestDurations(t *testing.T) {
	m := merge("cpu", samples(1, 50))
	m.Kinds[0].Start, m.Kinds[0].End = 1000, 3000
	for _, c := range []struct {
		start, end int64
		want       time.Duration
	}{{0, 0, 2000}, {500, 0, 2500}, {0, 1500, 500}, {500, 10_000, 9500}, {5000, 0, 0}} {
		r := cpu(t, Window{m, c.start, c.end}, Window{m, c.start, c.end}, None)
		assert.Equal(t, c.want, r.Baseline.Duration, c)
	}
	for _, n := range []Normalize{None, Rate} {
		r := cpu(t, Window{Merge: new(profilestore.Merge)}, over(10, m), n)
		assert.Zero(t, r.Baseline.Duration)
		assert.True(t, math.IsNaN(r.Rows[0].DeltaPerSecond))
		assert.Zero(t, r.Rows[0].DeltaPercent)
		assert.Equal(t, n == Rate, math.IsNaN(r.Rows[0].PValue), "counts can be held against each other, rates cannot")
	}
}

func TestStacklessIsLeftOut(t *testing.T) {
	m := merge("cpu", samples(1, 50), samples(2, 7))
	m.Stacks[1] = profilestore.Stack{}
	m.Kinds[0].StacklessValue, m.Kinds[0].StacklessEvents = 7, 7
	r := cpu(t, over(1, m), over(1, m), None)
	assert.Len(t, r.Rows, 1)
	assert.EqualValues(t, 50, r.Baseline.Measure)
	assert.EqualValues(t, 50, r.Baseline.Count)
}

// Of a merge that was cut, what is not there may be there all the same.
func TestCutMerges(t *testing.T) {
	cut := merge("cpu", samples(1, 50), samples(2, 7))
	cut.Kinds[0].TotalRows = 5
	whole := merge("cpu", samples(1, 50), samples(3, 8), samples(4, 7))
	r := Compute("cpu", over(1, cut), over(1, whole), Options{MaxRows: all})
	assert.True(t, r.Truncated)
	require.Len(t, r.Rows, 3)
	assert.Nil(t, row(r, 4), "it may be the same on both sides")
	assert.Equal(t, Changed, row(r, 3).Status)
	assert.True(t, math.IsNaN(row(r, 3).PValue))
	assert.Equal(t, Gone, row(r, 2).Status)
	assert.Equal(t, Unchanged, row(r, 1).Status)
}

func TestMaxRows(t *testing.T) {
	b, c := over(1, merge("cpu", samples(1, 5), samples(2, 5))), over(1, merge("cpu", samples(1, 6), samples(2, 9)))
	r := Compute("cpu", b, c, Options{MaxRows: 1})
	assert.True(t, r.Truncated)
	require.Len(t, r.Rows, 1)
	assert.EqualValues(t, 2, r.Rows[0].Frames[0].Address)
	assert.EqualValues(t, 10, r.Baseline.Measure, "totals are over everything")
	assert.Empty(t, Compute("cpu", b, c, Options{}).Rows)
}

// Types that differ are never held against each other.
func TestForeignTypes(t *testing.T) {
	space, objects := []profile.ValueType{{Type: "space", Unit: "bytes"}}, []profile.ValueType{{Type: "objects", Unit: "count"}}
	of := func(types []profile.ValueType, kind string, n int64) *profilestore.Merge {
		m := merge(kind, samples(1, n))
		m.Kinds[0].Types = types
		return m
	}
	r := Compute("heap", over(1, of(space, "heap", 10)), over(1, of(objects, "heap", 20)), Options{MaxRows: all})
	assert.Equal(t, space, r.Types)
	require.Len(t, r.Rows, 1)
	assert.Equal(t, Gone, r.Rows[0].Status)
	both := of(objects, "heap", 20)
	both.Kinds = append(both.Kinds, of(space, "heap", 30).Kinds...)
	r = Compute("heap", over(1, both), over(1, of(space, "heap", 10)), Options{MaxRows: all})
	assert.Equal(t, space, r.Types)
	assert.EqualValues(t, -20, r.Rows[0].Delta)
	r = Compute("heap", over(1, new(profilestore.Merge)), over(1, of(space, "heap", 10)), Options{MaxRows: all})
	assert.Equal(t, New, r.Rows[0].Status)
	// One that calls itself cpu does not take the place of CPU samples.
	r = Compute("cpu", over(1, of(space, "cpu", 10)), over(1, merge("cpu", samples(1, 5))), Options{MaxRows: all})
	assert.Equal(t, profile.Types("cpu"), r.Types)
	assert.Equal(t, New, r.Rows[0].Status)
}

func TestExtremesDoNotOverflow(t *testing.T) {
	b, c := merge("cpu", samples(1, math.MinInt64)), merge("cpu", samples(1, math.MaxInt64))
	r := cpu(t, over(1, b), over(1, c), None)
	assert.EqualValues(t, math.MaxInt64, r.Rows[0].Delta)
	assert.EqualValues(t, math.MinInt64, cpu(t, over(1, c), over(1, b), None).Rows[0].Delta)
	assert.EqualValues(t, -5, profile.Sub(-3, 2))
	assert.EqualValues(t, 5, profile.Sub(3, -2))
	for _, n := range []Normalize{None, Share, Rate} {
		for _, f := range []float64{cpu(t, over(1, b), over(1, c), n).Rows[0].DeltaPercent} {
			assert.False(t, math.IsNaN(f) || math.IsInf(f, 0))
		}
	}
}

func random(r *rand.Rand) Window {
	var rows []profilestore.Row
	for i := range int32(1 + r.IntN(40)) {
		if r.IntN(3) > 0 {
			rows = append(rows, samples(i, 1+r.Int64N(100)))
		}
	}
	return over(1+r.Int64N(100), merge("cpu", rows...))
}

func TestProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		a, b := random(r), random(r)
		for _, n := range []Normalize{None, Share, Rate} {
			for _, row := range cpu(t, a, a, n).Rows {
				require.Equal(t, Unchanged, row.Status)
				require.Zero(t, row.Delta)
				require.Zero(t, row.DeltaPercent)
				require.Zero(t, row.DeltaPerSecond)
				require.EqualValues(t, 1, row.PValue)
			}
			there, back := cpu(t, a, b, n), cpu(t, b, a, n)
			var baseline, comparison, delta int64
			require.Len(t, back.Rows, len(there.Rows))
			require.Equal(t, there.Baseline, back.Comparison)
			for i := range there.Rows {
				x, y := &there.Rows[i], &back.Rows[i]
				baseline += x.Baseline.Values[0]
				comparison += x.Comparison.Values[0]
				delta += x.Delta
				require.Equal(t, x.Stack, y.Stack, "the order is that of the change")
				require.Equal(t, x.Baseline, y.Comparison)
				require.Equal(t, x.Delta, -y.Delta)
				require.InDelta(t, x.DeltaPerSecond, -y.DeltaPerSecond, 1e-12)
				require.InEpsilon(t, x.PValue, y.PValue, 1e-9)
				require.Equal(t, x.BaselineShare, y.ComparisonShare)
				require.Equal(t, x.Status == New, y.Status == Gone)
			}
			require.Equal(t, there.Baseline.Measure, baseline)
			require.Equal(t, there.Comparison.Measure, comparison)
			require.Equal(t, comparison-baseline, delta)
		}
	}
}

func BenchmarkCompute(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	window := func(first int32) Window {
		rows := make([]profilestore.Row, 20_000)
		for i := range rows {
			rows[i] = samples(first+int32(i), 1+int64(1000/(1+r.ExpFloat64()*100)))
			rows[i].Count = uint64(rows[i].Values[0])
		}
		return over(3600, merge("cpu", rows...))
	}
	x, y := window(0), window(2000)
	for _, rows := range []struct {
		name string
		max  int
	}{{"2000", 2000}, {"all", all}} {
		b.Run(rows.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				result := Compute("cpu", x, y, Options{MaxRows: rows.max})
				if result.Baseline.Measure != x.Merge.Kinds[0].Totals[0] || len(result.Rows) != min(rows.max, 22_000) {
					b.Fatalf("wrong result: %d rows", len(result.Rows))
				}
			}
		})
	}
}
