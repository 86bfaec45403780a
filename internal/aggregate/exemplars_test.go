package aggregate

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// TestExemplars: values of spans go through a window, and sums stay what they are.
func TestExemplars(t *testing.T) {
	span := func(i byte) profile.Link { return profile.Link{SpanID: [8]byte{i}, TraceID: [16]byte{9}} }
	observe := func(kind, unit string, links ...profile.Link) *profile.Groups {
		b := profile.NewBuilder()
		rp := b.Profiles().ResourceProfiles().AppendEmpty()
		rp.Resource().Attributes().PutStr("service.name", "api")
		typ := profile.ValueType{Type: kind, Unit: unit}
		if own := profile.Types(kind); own != nil {
			typ = own[0]
		}
		p := b.AddProfile(rp.ScopeProfiles().AppendEmpty(), kind, typ, profile.ValueType{}, 0)
		p.SetProfileID(pprofile.ProfileID{5})
		stack := b.Stack([]int32{b.Location(0, 7, "")})
		for i, l := range links {
			s := b.AddSample(p.Samples(), stack, []int32{b.StringAttribute("thread.name", "main")})
			s.SetLinkIndex(b.Link(l))
			s.TimestampsUnixNano().Append(uint64(1_000_000_000 + i))
			s.Values().Append(int64(1 + i))
		}
		g, err := profile.Split(b.Profiles(), time.Second, profile.Limits{})
		require.NoError(t, err)
		return g
	}
	// A kind of our own with extremes, one with counts, and one that needs a sibling
	// with its numbers of observations.
	for kind, unit := range map[string]string{profile.KindLock: "", "allocs": "count", "heap": "bytes"} {
		w := NewTable(1 << 20).NewWindow(time.Second)
		w.Add(observe(kind, unit, profile.Link{}, span(1), span(2)))
		w.Add(observe(kind, unit, span(2), profile.Link{}, span(1), span(1)))
		before := w.Bytes()
		w.Add(observe(kind, unit, span(3)))
		assert.GreaterOrEqual(t, w.Bytes()-before, exemplarBytes, kind)
		assert.Zero(t, w.ExemplarsDropped())
		want := *w.groups[0]

		g, err := profile.Split(w.Profiles("id"), time.Second, profile.Limits{})
		require.NoError(t, err)
		require.Len(t, g.Groups, 1)
		got := g.Groups[0]
		require.Len(t, got.Entries, 1, kind)
		e := got.Entries[0]
		assert.EqualValues(t, want.entries[0].values[0], e.Values[0], kind)
		assert.EqualValues(t, 6+10+1, e.Values[0], kind)
		assert.Equal(t, want.entries[0].count, e.Count, kind)
		if kind == profile.KindLock {
			assert.EqualValues(t, []int64{1, 4}, []int64{e.Min, e.Max}, kind)
			assert.EqualValues(t, 8, e.Count)
		}
		x := func(link profile.Link, value, at int64) profile.Exemplar {
			return profile.Exemplar{Time: at, Value: value, Link: link, ProfileID: pprofile.ProfileID{5}}
		}
		assert.ElementsMatch(t, []profile.Exemplar{
			x(span(1), 2+3+4, 1_000_000_001), x(span(2), 3+1, 1_000_000_000), x(span(3), 1, 1_000_000_000),
		}, got.Exemplars, kind)
	}
}

// TestExemplarsLimit: a group has no more than it may.
func TestExemplarsLimit(t *testing.T) {
	w := NewTable(1 << 20).NewWindow(time.Second)
	for i := range 2 {
		b := profile.NewBuilder()
		p := b.AddProfile(b.Profiles().ResourceProfiles().AppendEmpty().ScopeProfiles().AppendEmpty(), "things", profile.ValueType{Type: "things", Unit: "count"}, profile.ValueType{}, 0)
		for j := range 3000 {
			s := b.AddSample(p.Samples(), 0, nil)
			s.SetLinkIndex(b.Link(profile.Link{SpanID: [8]byte{byte(i + 1), byte(j), byte(j >> 8)}}))
			s.Values().Append(1)
		}
		g, err := profile.Split(b.Profiles(), time.Second, profile.Limits{})
		require.NoError(t, err)
		w.Add(g)
	}
	assert.Len(t, w.groups[0].exemplars, profile.DefaultMaxExemplars)
	assert.EqualValues(t, 6000-profile.DefaultMaxExemplars, w.ExemplarsDropped())
	g, err := profile.Split(w.Profiles("id"), time.Second, profile.Limits{})
	require.NoError(t, err)
	assert.Len(t, g.Groups[0].Exemplars, profile.DefaultMaxExemplars)
	assert.EqualValues(t, 6000, g.Groups[0].Entries[0].Values[0])
	assert.Zero(t, g.ExemplarsDropped)
}
