package profile

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"
)

// Exemplar is what an entry has of one span: a part of its sum, which stays in that.
type Exemplar struct {
	// Entry is an index into the entries of the group.
	Entry int32
	// Time is that of the first observation, Unix nanoseconds; of aggregated profiles
	// their begin.
	Time int64
	// Value is the sum of the first type, within [MaxValue].
	Value int64
	Link
	// ProfileID is that of the profile, zero if it has none.
	ProfileID pprofile.ProfileID
}

// Add adds a value at a time.
func (x *Exemplar) Add(value, at int64) {
	x.Value = Bounded(Add(x.Value, value))
	x.Time = min(x.Time, at)
}

// ExemplarsType is the sample type of a sibling profile that has the parts of samples
// that belong to spans, as samples with links. They are parts of the sums and add
// nothing to them. It follows the profiles it belongs to in the same scope, and has
// their kind and time.
var ExemplarsType = ValueType{Type: "aperture.exemplars", Unit: "count"}

// spanKey is what values of spans are summed up by.
type spanKey struct {
	group, entry int32
	link         Link
	profile      pprofile.ProfileID
}

// span is what a sample says of its span.
type span struct {
	link    Link
	profile pprofile.ProfileID
}

// span returns that of a sample; ok is false if it has none.
func (s *splitter) span(h *profileHead, sample pprofile.Sample) (out span, ok bool) {
	i := sample.LinkIndex()
	if i == 0 {
		return out, false
	}
	l := s.links.At(int(i))
	out = span{Link{TraceID: l.TraceID(), SpanID: l.SpanID()}, h.profileID}
	return out, out.link != Link{}
}

// exemplar adds a value of a span to an entry of g.
func (s *splitter) exemplar(g *Group, entry int32, of span, value, at int64) {
	key := spanKey{g.number, entry, of.link, of.profile}
	if i, ok := s.spans[key]; ok {
		g.Exemplars[i].Add(value, at)
		return
	}
	if len(g.Exemplars) >= s.out.Dict.limits.MaxExemplars {
		s.out.ExemplarsDropped++
		return
	}
	if s.spans == nil {
		s.spans = make(map[spanKey]int32)
	}
	s.spans[key] = int32(len(g.Exemplars))
	g.Exemplars = append(g.Exemplars, Exemplar{Entry: entry, Time: at, Value: value, Link: of.link, ProfileID: of.profile})
}

// exemplars takes over what a sample of [ExemplarsType] says.
func (s *splitter) exemplars(h *profileHead, sample pprofile.Sample, attrs int32, index int) error {
	g := s.summed
	if g == nil || g.Kind != h.key.kind {
		return invalid("profile of type %q: there is no profile of kind %q before it in its scope", ExemplarsType.Type, h.key.kind)
	}
	of, ok := s.span(h, sample)
	if !ok {
		return invalid("sample[%d].link_index is %d, of no span; profiles of type %q have nothing else", index, sample.LinkIndex(), ExemplarsType.Type)
	}
	if sample.Values().Len() != 1 || sample.TimestampsUnixNano().Len() != 1 {
		return invalid("sample[%d] has %d values and %d timestamps; those of profiles of type %q have one of each",
			index, sample.Values().Len(), sample.TimestampsUnixNano().Len(), ExemplarsType.Type)
	}
	v, at := sample.Values().At(0), sample.TimestampsUnixNano().At(0)
	if v != Bounded(v) {
		return invalidValue(index, 0, v)
	}
	if at >= uint64(MaxTime) {
		return invalid("sample[%d].timestamps_unix_nano[0] is %d; it must be less than %d", index, at, MaxTime)
	}
	s.exemplar(g, s.number(g, sample.StackIndex(), attrs), of, v, int64(at))
	return nil
}

// AddExemplars appends profiles of [ExemplarsType] to scope, one for each profile id.
// at is the time of the profiles that they belong to. samples says what stack and which
// attributes an entry has.
func (b *Builder) AddExemplars(scope pprofile.ScopeProfiles, kind string, at pcommon.Timestamp, duration uint64, list []Exemplar,
	sample func(entry int32) (stack int32, attributes []int32),
) {
	profiles := make(map[pprofile.ProfileID]pprofile.Profile)
	for i := range list {
		x := &list[i]
		p, ok := profiles[x.ProfileID]
		if !ok {
			p = b.AddProfile(scope, kind, ExemplarsType, ValueType{}, 0)
			p.SetTime(at)
			p.SetDurationNano(duration)
			p.SetProfileID(x.ProfileID)
			profiles[x.ProfileID] = p
		}
		stack, attributes := sample(x.Entry)
		s := b.AddSample(p.Samples(), stack, attributes)
		s.SetLinkIndex(b.Link(x.Link))
		s.TimestampsUnixNano().Append(uint64(x.Time))
		b.SetValue(s, x.Value)
	}
}
