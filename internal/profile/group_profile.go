package profile

import (
	"slices"

	"go.opentelemetry.io/collector/pdata/pprofile"
)

// profileHead is what a Profile says of itself, resolved.
type profileHead struct {
	key        groupKey
	types      []ValueType
	slot       int // index of this profile's type in types
	primary    bool
	minRestMax bool
	counts     bool // of [ObservationsType]
	exemplars  bool // of [ExemplarsType]
	profileID  pprofile.ProfileID
	start, end int64
	room       int         // entries to make room for in the first new group
	own        []ValueType // see [Types]

	// summed is the group of aggregated samples, of which a profile has one. raw is
	// that of the last observation, and rawBucket when it was.
	summed, raw *Group
	rawBucket   int64
}

// Room for a few entries is made in advance in the first groups only: raw samples
// of a profile may fall into many groups. Those of aggregated ones go into one.
const (
	fewEntries = 16
	maxRoomy   = 64
)

func (s *splitter) profile(p pprofile.Profile, base *Series) error {
	h, err := s.head(p, base)
	if err != nil {
		return err
	}
	samples := p.Samples()
	if n := samples.Len(); n > 0 && samples.At(0).TimestampsUnixNano().Len() == 0 {
		h.room = n
	}
	stacks := int32(len(s.out.Dict.Stacks))
	for i := range samples.Len() {
		sample := samples.At(i)
		if st := sample.StackIndex(); st < 0 || st >= stacks {
			return invalid("sample[%d].stack_index is %d; stack_table has %d entries", i, st, stacks)
		}
		if l := sample.LinkIndex(); l < 0 || int(l) >= max(s.out.Dict.links, 1) {
			return invalid("sample[%d].link_index is %d; link_table has %d entries", i, l, s.out.Dict.links)
		}
		attrs, err := s.out.Dict.AttributeSet(sample.AttributeIndices(), "sample")
		if err != nil {
			return err
		}
		switch {
		case h.counts:
			err = s.counts(&h, sample, attrs, i)
		case h.exemplars:
			err = s.exemplars(&h, sample, attrs, i)
		case sample.TimestampsUnixNano().Len() > 0:
			err = s.raw(&h, sample, attrs, i)
		default:
			err = s.aggregated(&h, sample, attrs, i)
		}
		if err != nil {
			return err
		}
	}
	if h.summed != nil {
		s.summed = h.summed
	}
	return nil
}

func (s *splitter) head(p pprofile.Profile, base *Series) (profileHead, error) {
	d := s.out.Dict
	sample, period, err := s.types(p)
	if err != nil {
		return profileHead{}, err
	}
	h := profileHead{start: int64(p.Time()), end: int64(p.Time()) + int64(p.DurationNano()), profileID: p.ProfileID()}
	if start := uint64(p.Time()); start >= uint64(MaxTime) || p.DurationNano() >= uint64(MaxTime)-start {
		return h, invalid("profile.time_unix_nano is %d and duration_nano %d; the end must be less than %d", uint64(p.Time()), p.DurationNano(), MaxTime)
	}
	h.key = groupKey{series: base, period: period, value: p.Period()}
	var extra []Label
	if n := p.AttributeIndices().Len(); n > d.limits.MaxLabels {
		return h, invalid("profile has %d attributes; the limit is %d", n, d.limits.MaxLabels)
	}
	for _, a := range p.AttributeIndices().All() {
		at, err := d.attr(a, "profile")
		if err != nil {
			return h, err
		}
		switch at.key {
		case AttrKind:
			h.key.kind = at.value.AsString()
		case AttrValues:
			h.minRestMax = at.value.AsString() == ValuesMinRestMax
		case "":
		default:
			extra = append(extra, Label{at.key, at.value.AsString()})
		}
	}
	if h.key.kind == "" {
		h.key.kind = KindOf(sample, period)
	}
	if len(extra) > 0 {
		h.key.series = s.extendSeries(base, extra)
	}
	if h.own = Types(h.key.kind); h.own == nil || h.key.kind == KindCPU {
		h.key.scope = s.scope // whose profiles say whether there is CPU time
	}
	switch sample {
	case ObservationsType:
		h.counts = true
		return h, nil
	case ExemplarsType:
		h.exemplars = true
		return h, nil
	}
	if h.types, h.slot, h.key.part, err = s.slot(h.key.kind, h.own, sample); err != nil {
		return h, err
	}
	if h.key.part == foreign {
		h.key.other = sample
	}
	h.primary = h.slot == 0
	return h, nil
}

// extendSeries returns the series of base with further labels.
func (s *splitter) extendSeries(base *Series, extra []Label) *Series {
	return s.series(base.Tenant, sortLabels(append(slices.Clone(base.Labels), extra...)))
}

// foreign is the part of profiles that have the name of one of our kinds but
// another type.
const foreign = -1

// slot says where a sample type belongs among the types of its kind. CPU time belongs
// to the CPU samples of the same scope.
func (s *splitter) slot(kind string, own []ValueType, sample ValueType) (types []ValueType, slot, part int, err error) {
	if own != nil {
		if i := slices.Index(own, sample); i >= 0 {
			s.kinds[kind] = own
			return own, i, 0, nil
		}
		if kind == KindCPU && sample == CPUTime {
			if ok, err := s.hasCPUSamples(); err != nil || ok {
				return cpuWithTime, 1, 0, err
			}
		}
		// Another type under one of our own names: keep it apart.
		return []ValueType{sample}, 0, foreign, nil
	}
	known := s.kinds[kind]
	i := slices.Index(known, sample)
	if i < 0 {
		i = len(known)
		known = append(known, sample)
		s.kinds[kind] = known
	}
	part = i / MaxTypes
	return known[part*MaxTypes:], i % MaxTypes, part, nil
}

func (s *splitter) group(h *profileHead, key groupKey, start, end int64) (*Group, error) {
	g := s.groups[key]
	if g == nil {
		if n := s.out.Dict.limits.MaxGroups; len(s.out.Groups) >= n {
			return nil, invalid("observations fall into more than %d groups of series, kind and time", n)
		}
		room := h.room
		if h.room = 0; room == 0 && len(s.out.Groups) < maxRoomy {
			room = fewEntries
		}
		g = &Group{
			Series: key.series, Kind: key.kind, PeriodType: key.period, Period: key.value,
			Start: start, End: end, Entries: s.out.Dict.newEntries(room), number: int32(len(s.out.Groups)),
		}
		s.groups[key] = g
		s.out.Groups = append(s.out.Groups, g)
	}
	g.Start, g.End = min(g.Start, start), max(g.End, end)
	if len(h.types) > len(g.Types) {
		g.Types = h.types[:min(len(h.types), MaxTypes)]
	}
	return g, nil
}

// raw adds a sample that holds single observations.
func (s *splitter) raw(h *profileHead, sample pprofile.Sample, attrs int32, index int) error {
	if len(h.own) == 2 && h.slot == 1 {
		// The number of raw observations is that of the primary type's.
		return nil
	}
	ts, values := sample.TimestampsUnixNano(), sample.Values()
	if values.Len() != 0 && values.Len() != ts.Len() {
		return invalid("sample[%d] has %d values and %d timestamps; their numbers must be equal", index, values.Len(), ts.Len())
	}
	var g *Group
	var e *Entry
	var last int64
	var number int32
	of, linked := s.span(h, sample)
	for i := range ts.Len() {
		if ts.At(i) >= uint64(MaxTime) {
			return invalid("sample[%d].timestamps_unix_nano[%d] is %d; it must be less than %d", index, i, ts.At(i), MaxTime)
		}
		t := int64(ts.At(i))
		bucket := Bucket(t, s.bucket)
		if g == nil || bucket != last {
			if h.raw == nil || bucket != h.rawBucket {
				key := h.key
				key.bucket = bucket
				var err error
				if h.raw, err = s.group(h, key, t, t); err != nil {
					return err
				}
				h.rawBucket = bucket
			}
			g, last = h.raw, bucket
			number = s.number(g, sample.StackIndex(), attrs)
			e = &g.Entries[number]
		}
		g.Start, g.End = min(g.Start, t), max(g.End, t)
		v := int64(1)
		if values.Len() > 0 {
			if v = values.At(i); v != Bounded(v) {
				return invalidValue(index, i, v)
			}
		}
		e.add(h.slot, v)
		if linked && h.primary {
			s.exemplar(g, number, of, v, t)
		}
		switch {
		case !h.primary:
		case h.types[0].Unit == "count":
			e.count(uint64(max(v, 0)))
		default:
			e.count(1)
			e.extremes(v, v)
			if len(h.own) == 2 {
				e.add(1, 1)
			}
		}
	}
	return nil
}

// invalidValue is the error of a value that is beyond [MaxValue].
func invalidValue(sample, i int, v int64) error {
	return invalid("sample[%d].values[%d] is %d; its magnitude must be at most %d", sample, i, v, int64(MaxValue))
}

// extremes widens Min and Max of e.
func (e *Entry) extremes(lo, hi int64) {
	if !e.bounded {
		e.Min, e.Max, e.bounded = lo, hi, true
		return
	}
	e.Min, e.Max = min(e.Min, lo), max(e.Max, hi)
}

// aggregated adds a sample that holds the sum of observations.
func (s *splitter) aggregated(h *profileHead, sample pprofile.Sample, attrs int32, index int) error {
	values := sample.Values()
	n := values.Len()
	if n == 0 {
		return nil
	}
	if h.summed == nil {
		key := h.key
		key.bucket, key.start = Bucket(h.start, s.bucket), h.start
		g, err := s.group(h, key, h.start, h.end)
		if err != nil {
			return err
		}
		h.summed = g
	}
	number := s.number(h.summed, sample.StackIndex(), attrs)
	e := &h.summed.Entries[number]
	var sum int64
	for i := range n {
		v := values.At(i)
		if v != Bounded(v) {
			return invalidValue(index, i, v)
		}
		sum = Add(sum, v)
	}
	e.add(h.slot, sum)
	if of, ok := s.span(h, sample); ok && h.primary {
		s.exemplar(h.summed, number, of, Bounded(sum), h.start)
	}
	switch {
	case len(h.own) == 2 && h.slot == 1:
		e.Count = uint64(max(e.Values[1], 0))
	case !h.primary:
	case h.types[0].Unit == "count":
		e.count(uint64(max(sum, 0)))
	case h.minRestMax:
		e.extremes(values.At(0), values.At(n-1))
		if len(h.own) != 2 {
			e.count(uint64(n))
		}
	case len(h.own) == 2:
		// The sibling profile says how many there were.
	default:
		e.count(1)
	}
	return nil
}

// counts takes over the number of observations of an aggregated sample.
func (s *splitter) counts(h *profileHead, sample pprofile.Sample, attrs int32, index int) error {
	if sample.Values().Len() == 0 {
		return nil
	}
	v := sample.Values().At(0)
	if v != Bounded(v) {
		return invalidValue(index, 0, v)
	}
	if h.summed == nil {
		key := h.key
		key.bucket, key.start = Bucket(h.start, s.bucket), h.start
		h.summed = s.groups[key]
	}
	if h.summed != nil {
		s.entry(h.summed, sample.StackIndex(), attrs).Count = uint64(max(v, 0))
	}
	return nil
}

// Bucket numbers the buckets of time of a length, both in nanoseconds: it is
// t/length, rounded down also before 1970.
func Bucket(t, length int64) int64 {
	q := t / length
	if t%length < 0 {
		q--
	}
	return q
}
