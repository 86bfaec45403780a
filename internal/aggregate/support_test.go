package aggregate

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// observation is one raw observation of a test.
type observation struct {
	kind   string
	at     int64 // ns
	value  int64
	stack  []string // function names, leaf first
	attrs  map[string]any
	period int64
}

// push builds the OTLP message of a push with the given resource attributes.
func push(t testing.TB, resource map[string]any, obs ...observation) pprofile.Profiles {
	t.Helper()
	b := profile.NewBuilder()
	rp := b.Profiles().ResourceProfiles().AppendEmpty()
	require.NoError(t, rp.Resource().Attributes().FromRaw(resource))
	scope := rp.ScopeProfiles().AppendEmpty()
	profiles := map[string]pprofile.Profile{}
	for _, o := range obs {
		key := fmt.Sprint(o.kind, o.period)
		p, ok := profiles[key]
		if !ok {
			types := profile.Types(o.kind)
			if types == nil {
				types = []profile.ValueType{{Type: o.kind, Unit: "bytes"}}
			}
			var period profile.ValueType
			if o.kind == profile.KindCPU {
				period = profile.ValueType{Type: "cpu", Unit: "nanoseconds"}
			}
			p = b.AddProfile(scope, o.kind, types[0], period, o.period)
			profiles[key] = p
		}
		s := p.Samples().AppendEmpty()
		s.TimestampsUnixNano().Append(uint64(o.at))
		if o.kind != profile.KindCPU {
			s.Values().Append(o.value)
		}
		var locs []int32
		for i, name := range o.stack {
			m := b.Mapping(profile.Mapping{Filename: "/bin/" + name[:1], BuildID: "0" + name[:1]})
			locs = append(locs, b.Location(m, uint64(i), profile.FrameNative, profile.Line{Function: b.Function(profile.Function{Name: name}), Line: int64(i)}))
		}
		s.SetStackIndex(b.Stack(locs))
		for _, k := range slices.Sorted(maps.Keys(o.attrs)) {
			switch v := o.attrs[k].(type) {
			case string:
				s.AttributeIndices().Append(b.StringAttribute(k, v))
			case int:
				s.AttributeIndices().Append(b.IntAttribute(k, int64(v)))
			case bool:
				s.AttributeIndices().Append(b.BoolAttribute(k, v))
			}
		}
	}
	return b.Profiles()
}

func split(t testing.TB, pd pprofile.Profiles) *profile.Groups {
	t.Helper()
	g, err := profile.Split(pd, time.Second, profile.Limits{})
	require.NoError(t, err)
	return g
}

// roundTrip aggregates pushes and takes the outcome apart again, as the next
// component does, by way of the wire.
func roundTrip(t testing.TB, table *Table, pushes ...pprofile.Profiles) *profile.Groups {
	t.Helper()
	w := table.NewWindow(time.Second)
	for _, pd := range pushes {
		w.Add(split(t, pd))
	}
	b, err := (&pprofile.ProtoMarshaler{}).MarshalProfiles(w.Profiles("w1"))
	require.NoError(t, err)
	pd, err := (&pprofile.ProtoUnmarshaler{}).UnmarshalProfiles(b)
	require.NoError(t, err)
	return split(t, pd)
}
