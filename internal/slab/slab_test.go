package slab

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"
)

type (
	samples = Elements[pprofile.Sample, pprofile.SampleSlice]
	lines   = Elements[pprofile.Line, pprofile.LineSlice]
)

// both makes the same Profiles with pdata alone and with blocks.
func both(counts []int) (want, got pprofile.Profiles) {
	want, got = pprofile.NewProfiles(), pprofile.NewProfiles()
	var s samples
	var v Numbers[int64, pcommon.Int64Slice]
	var a Numbers[int32, pcommon.Int32Slice]
	var l lines
	profiles := func(pd pprofile.Profiles) pprofile.ProfilesSlice {
		return pd.ResourceProfiles().AppendEmpty().ScopeProfiles().AppendEmpty().Profiles()
	}
	wantProfiles, gotProfiles := profiles(want), profiles(got)
	for i, n := range counts {
		w, g := wantProfiles.AppendEmpty().Samples(), gotProfiles.AppendEmpty().Samples()
		if i%2 == 1 {
			w.AppendEmpty()
			g.AppendEmpty()
		}
		if i%3 == 1 {
			s.Reserve(n)
			v.Reserve(2 * n)
		}
		if i%5 == 4 {
			s.Forget()
			v.Forget()
		}
		first := g.Len()
		s.Append(g, n)
		for j := range n {
			x, y := w.AppendEmpty(), g.At(first+j)
			x.SetStackIndex(int32(j))
			y.SetStackIndex(int32(j))
			values := []int64{int64(i), int64(j)}[:j%3]
			x.Values().FromRaw(values)
			v.Set(y.Values(), values)
			x.AttributeIndices().FromRaw([]int32{int32(n)})
			a.One(y.AttributeIndices(), int32(n))
			x.Values().Append(int64(-j))
			y.Values().Append(int64(-j))
		}
		location, location2 := want.Dictionary().LocationTable().AppendEmpty(), got.Dictionary().LocationTable().AppendEmpty()
		for j := range i % 4 {
			location.Lines().AppendEmpty().SetLine(int64(j))
		}
		l.Append(location2.Lines(), i%4)
		for j := range i % 4 {
			location2.Lines().At(j).SetLine(int64(j))
		}
	}
	return want, got
}

// What is made here is what pdata makes, whatever the numbers are.
func TestSameAsPdata(t *testing.T) {
	want, got := both([]int{0, 1, 2, 127, 128, 129, 3, 1000, 5, 0, 300})
	runtime.GC()
	m := pprofile.ProtoMarshaler{}
	w, err := m.MarshalProfiles(want)
	require.NoError(t, err)
	g, err := m.MarshalProfiles(got)
	require.NoError(t, err)
	assert.Equal(t, w, g)
	assert.Equal(t, want, got, "an element that pdata makes is more than zeros")
}

// If these change, everything is as it was, but slow.
func TestLayoutIsKnown(t *testing.T) {
	want, got := both([]int{1})
	require.Equal(t, want, got)
	pd := pprofile.NewProfiles()
	to := pd.ResourceProfiles().AppendEmpty().ScopeProfiles().AppendEmpty().Profiles().AppendEmpty().Samples()
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		var s samples
		s.Append(to, 0)
	}))
	var s samples
	s.Append(to, 1)
	assert.NotNil(t, s.kind)
	var v Numbers[int64, pcommon.Int64Slice]
	v.One(to.At(0).Values(), 1)
	assert.True(t, v.isSame)
	var a Numbers[int32, pcommon.Int32Slice]
	a.One(to.At(0).AttributeIndices(), 1)
	assert.True(t, a.isSame)
}

// other is a slice as pdata does not have it.
type other struct {
	_    int
	list *[]int64
}

func (o other) Len() int             { return len(*o.list) }
func (o other) At(i int) int         { return int((*o.list)[i]) }
func (o other) AppendEmpty() int     { *o.list = append(*o.list, 0); return 0 }
func (o other) FromRaw(from []int64) { *o.list = append((*o.list)[:0], from...) }

func TestOtherLayout(t *testing.T) {
	o := other{list: new([]int64)}
	var e Elements[int, other]
	e.Append(o, 3)
	assert.Zero(t, e.One(o))
	assert.Equal(t, 4, o.Len())
	var n Numbers[int64, other]
	n.Set(o, []int64{1, 2})
	assert.Equal(t, []int64{1, 2}, *o.list)
	n.One(o, 3)
	assert.Equal(t, []int64{3}, *o.list)
}

func BenchmarkSamples(b *testing.B) {
	const n = 1000
	profile := func() pprofile.SampleSlice {
		return pprofile.NewProfiles().ResourceProfiles().AppendEmpty().ScopeProfiles().AppendEmpty().Profiles().AppendEmpty().Samples()
	}
	b.Run("pdata", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			to := profile()
			for i := range n {
				s := to.AppendEmpty()
				s.SetStackIndex(int32(i))
				s.Values().Append(int64(i))
			}
			require.Equal(b, int64(n-1), to.At(n-1).Values().At(0))
		}
	})
	b.Run("slab", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			to := profile()
			var all samples
			var values Numbers[int64, pcommon.Int64Slice]
			all.Reserve(n)
			values.Reserve(n)
			all.Append(to, n)
			for i := range n {
				s := to.At(i)
				s.SetStackIndex(int32(i))
				values.One(s.Values(), int64(i))
			}
			require.Equal(b, int64(n-1), to.At(n-1).Values().At(0))
		}
	})
}
