package export

import (
	"maps"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// OTLP returns m as OTLP profiles that [profile.Split] takes apart into the same
// sums: kinds, types, stacks, locks, numbers of observations, least and largest
// ones and times. attributes are those of the resource, what is known to hold for
// everything in m.
//
// A merge does not say which system calls were made from which stacks. If it
// tells all of them apart, the system calls are exported by number, without
// stacks; else their stacks are.
//
// What is returned takes memory for every row: pprofile has no streaming encoder.
func OTLP(m *profilestore.Merge, attributes map[string]string) pprofile.Profiles {
	e := otlpEncoder{b: profile.NewBuilder(), m: m, locations: newLocations(), indices: []int32{0}}
	rp := e.b.Profiles().ResourceProfiles().AppendEmpty()
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		rp.Resource().Attributes().PutStr(valid(name), valid(attributes[name]))
	}
	for i := range m.Kinds {
		// Each in a scope of its own: profiles of one kind in one scope are one.
		e.kind(rp.ScopeProfiles().AppendEmpty(), &m.Kinds[i])
	}
	return e.b.Profiles()
}

type otlpEncoder struct {
	b         *profile.Builder
	m         *profilestore.Merge
	locations *locations
	indices   []int32 // in the location table, by number of locations
	lines     []profile.Line
}

// otlpSample is a row, or part of the observations of a system call.
type otlpSample struct {
	stack, attributes []int32
	values            [profile.MaxTypes]int64
	count             uint64
	min, max          int64
	bounded           bool
}

func (e *otlpEncoder) kind(scope pprofile.ScopeProfiles, k *profilestore.KindMerge) {
	scope.Scope().SetName("github.com/aperture-collector/aperture-collector/internal/export")
	var samples []otlpSample
	if bySyscall(k) {
		samples = e.syscalls(k)
	} else {
		samples = e.rows(k)
	}
	types := (&Profile{Kind: k}).types()
	own := len(profile.Types(k.Kind)) > 0
	for i, t := range types {
		switch {
		case i == 0 && t.Unit != "count":
			e.extremes(scope, k, t, samples)
		case i > 0 && own:
			e.profile(scope, k, t, samples, func(to pcommon.Int64Slice, s *otlpSample) { to.Append(int64(s.count)) })
		default:
			e.profile(scope, k, t, samples, func(to pcommon.Int64Slice, s *otlpSample) { to.Append(s.values[i]) })
		}
	}
	if !own {
		e.profile(scope, k, profile.ObservationsType, samples, func(to pcommon.Int64Slice, s *otlpSample) { to.Append(int64(s.count)) })
	}
}

// extremes adds the first type of a kind whose least and largest observations are
// kept; sums of which they are not known go to a profile that does not claim any.
func (e *otlpEncoder) extremes(scope pprofile.ScopeProfiles, k *profilestore.KindMerge, t profile.ValueType, samples []otlpSample) {
	var bounded, open []otlpSample
	for _, s := range samples {
		if s.bounded {
			bounded = append(bounded, s)
		} else {
			open = append(open, s)
		}
	}
	if len(bounded) > 0 {
		p := e.profile(scope, k, t, bounded, appendMinRestMax)
		p.AttributeIndices().Append(e.b.StringAttribute(profile.AttrValues, profile.ValuesMinRestMax))
	}
	if len(open) > 0 {
		e.profile(scope, k, t, open, func(to pcommon.Int64Slice, s *otlpSample) { to.Append(s.values[0]) })
	}
}

// appendMinRestMax writes the layout [profile.ValuesMinRestMax].
func appendMinRestMax(to pcommon.Int64Slice, s *otlpSample) {
	switch sum := s.values[0]; {
	case s.count == 1 && s.min == sum && s.max == sum:
		to.Append(sum)
	case s.count == 2 && s.min+s.max == sum:
		to.Append(s.min, s.max)
	default:
		to.Append(s.min, sum-s.min-s.max, s.max)
	}
}

func (e *otlpEncoder) profile(
	scope pprofile.ScopeProfiles, k *profilestore.KindMerge, t profile.ValueType, samples []otlpSample,
	values func(pcommon.Int64Slice, *otlpSample),
) pprofile.Profile {
	var period profile.ValueType
	if k.Kind == profile.KindCPU {
		period = profile.ValueType{Type: "cpu", Unit: "nanoseconds"}
	}
	t.Type, t.Unit = valid(t.Type), valid(t.Unit)
	p := e.b.AddProfile(scope, valid(k.Kind), t, period, k.Period)
	p.SetTime(pcommon.Timestamp(k.Start))
	p.SetDurationNano(uint64(max(k.End-k.Start, 0)))
	p.Samples().EnsureCapacity(len(samples))
	for i := range samples {
		s := p.Samples().AppendEmpty()
		s.SetStackIndex(e.b.Stack(samples[i].stack))
		s.AttributeIndices().FromRaw(samples[i].attributes)
		values(s.Values(), &samples[i])
	}
	return p
}

func (e *otlpEncoder) rows(k *profilestore.KindMerge) []otlpSample {
	samples := make([]otlpSample, len(k.Rows))
	for i := range k.Rows {
		row := &k.Rows[i]
		s := otlpSample{values: row.Values, count: row.Count, min: row.Min, max: row.Max, bounded: row.Min != 0 || row.Max != 0}
		for rest := e.m.Stacks[row.Stack].Frames; len(rest) > 0; {
			var at []*profile.Frame
			at, rest = cutLocation(rest)
			n, isNew := e.locations.number(at)
			if isNew {
				e.indices = append(e.indices, e.location(at))
			}
			s.stack = append(s.stack, e.indices[n])
		}
		if row.LockAddress != 0 {
			s.attributes = []int32{e.b.IntAttribute(profile.AttrLockAddress, int64(row.LockAddress))}
		}
		samples[i] = s
	}
	return samples
}

// location encodes a frame, after the frames that were inlined into it.
func (e *otlpEncoder) location(frames []*profile.Frame) int32 {
	f := frames[len(frames)-1]
	var mapping int32
	if f.Mapping != "" || f.BuildID != "" {
		mapping = e.b.Mapping(profile.Mapping{Filename: valid(f.Mapping), BuildID: valid(f.BuildID)})
	}
	e.lines = e.lines[:0]
	for _, f := range frames {
		if len(frames) == 1 && f.Function.IsZero() && f.Line == 0 {
			break
		}
		function := profile.Function{
			Name: valid(f.Function.Name), SystemName: valid(f.Function.SystemName),
			Filename: valid(f.Function.Filename), StartLine: f.Function.StartLine,
		}
		e.lines = append(e.lines, profile.Line{Function: e.b.Function(function), Line: f.Line})
	}
	return e.b.Location(mapping, f.Address, valid(f.Type), e.lines...)
}
