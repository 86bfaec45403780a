package profile

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pprofile"
)

// linked has CPU samples of one stack: two raw ones of a span, one of another, and one
// of none.
func linked(raw bool) pprofile.Profiles {
	b := NewBuilder()
	scope := b.Profiles().ResourceProfiles().AppendEmpty().ScopeProfiles().AppendEmpty()
	p := b.AddProfile(scope, KindLock, Types(KindLock)[0], ValueType{}, 0)
	p.SetTime(1_000_000_000)
	p.SetProfileID(pprofile.ProfileID{9})
	for i, l := range []Link{{SpanID: [8]byte{1}, TraceID: [16]byte{7}}, {SpanID: [8]byte{2}}, {}, {SpanID: [8]byte{1}, TraceID: [16]byte{7}}} {
		s := b.AddSample(p.Samples(), 0, nil)
		s.SetLinkIndex(b.Link(l))
		s.Values().Append(int64(10 * (i + 1)))
		if raw {
			s.TimestampsUnixNano().Append(uint64(1_000_000_100 - i))
		}
	}
	return b.Profiles()
}

// TestExemplars: values of spans are summed up by stack, and stay in the sum of it.
func TestExemplars(t *testing.T) {
	for _, raw := range []bool{true, false} {
		g, err := Split(linked(raw), time.Second, Limits{})
		require.NoError(t, err)
		require.Len(t, g.Groups, 1)
		require.Len(t, g.Groups[0].Entries, 1)
		assert.EqualValues(t, 100, g.Groups[0].Entries[0].Values[0])
		first, second := int64(1_000_000_000), int64(1_000_000_000)
		if raw {
			first, second = 1_000_000_097, 1_000_000_099
		}
		assert.Equal(t, []Exemplar{
			{Time: first, Value: 50, Link: Link{SpanID: [8]byte{1}, TraceID: [16]byte{7}}, ProfileID: pprofile.ProfileID{9}},
			{Time: second, Value: 20, Link: Link{SpanID: [8]byte{2}}, ProfileID: pprofile.ProfileID{9}},
		}, g.Groups[0].Exemplars)
		assert.Zero(t, g.ExemplarsDropped)

		g, err = Split(linked(raw), time.Second, Limits{MaxExemplars: 1})
		require.NoError(t, err)
		require.Len(t, g.Groups[0].Exemplars, 1)
		assert.EqualValues(t, 50, g.Groups[0].Exemplars[0].Value)
		assert.EqualValues(t, 100, g.Groups[0].Entries[0].Values[0])
		assert.EqualValues(t, 1, g.ExemplarsDropped)
	}
}

// TestExemplarsProfile: profiles of their own add exemplars, and nothing to sums.
func TestExemplarsProfile(t *testing.T) {
	build := func(change func(b *Builder, sums, spans pprofile.Profile)) pprofile.Profiles {
		b := NewBuilder()
		scope := b.Profiles().ResourceProfiles().AppendEmpty().ScopeProfiles().AppendEmpty()
		sums := b.AddProfile(scope, "heap", ValueType{"inuse_space", "bytes"}, ValueType{}, 0)
		sums.SetTime(5)
		b.SetValue(b.AddSample(sums.Samples(), 0, nil), 70)
		b.AddExemplars(scope, "heap", 5, 0, []Exemplar{
			{Time: 6, Value: 40, Link: Link{SpanID: [8]byte{1}}},
			{Time: 7, Value: -3, Link: Link{SpanID: [8]byte{1}}, ProfileID: pprofile.ProfileID{2}},
		}, func(int32) (int32, []int32) { return 0, nil })
		if change != nil {
			profiles := scope.Profiles()
			change(b, profiles.At(0), profiles.At(1))
		}
		return b.Profiles()
	}
	g, err := Split(build(nil), time.Second, Limits{})
	require.NoError(t, err)
	require.Len(t, g.Groups, 1)
	assert.EqualValues(t, 70, g.Groups[0].Entries[0].Values[0])
	assert.EqualValues(t, 1, g.Groups[0].Entries[0].Count)
	assert.Equal(t, []Exemplar{
		{Time: 6, Value: 40, Link: Link{SpanID: [8]byte{1}}},
		{Time: 7, Value: -3, Link: Link{SpanID: [8]byte{1}}, ProfileID: pprofile.ProfileID{2}},
	}, g.Groups[0].Exemplars)

	for want, change := range map[string]func(b *Builder, sums, spans pprofile.Profile){
		"there is no profile of kind": func(b *Builder, sums, _ pprofile.Profile) {
			sums.AttributeIndices().FromRaw([]int32{b.StringAttribute(AttrKind, "other")})
		},
		"link_index is 0, of no span": func(_ *Builder, _, spans pprofile.Profile) { spans.Samples().At(0).SetLinkIndex(0) },
		"link_index is 9":             func(_ *Builder, _, spans pprofile.Profile) { spans.Samples().At(0).SetLinkIndex(9) },
		"2 values and 1 timestamps":   func(_ *Builder, _, spans pprofile.Profile) { spans.Samples().At(0).Values().Append(1) },
		"0 timestamps": func(_ *Builder, _, spans pprofile.Profile) {
			spans.Samples().At(0).TimestampsUnixNano().FromRaw(nil)
		},
		"its magnitude must be": func(_ *Builder, _, spans pprofile.Profile) { spans.Samples().At(0).Values().SetAt(0, MaxValue+1) },
		"must be less than": func(_ *Builder, _, spans pprofile.Profile) {
			spans.Samples().At(0).TimestampsUnixNano().SetAt(0, uint64(MaxTime))
		},
	} {
		_, err := Split(build(change), time.Second, Limits{})
		require.ErrorIs(t, err, ErrInvalid)
		require.ErrorContains(t, err, want)
	}
}
