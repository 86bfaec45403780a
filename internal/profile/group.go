package profile

import (
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"
)

// MaxTypes is the largest number of sample types that one [Group] carries.
// Further types of the same profile go to further groups.
const MaxTypes = 4

// MaxTime is the first time, in Unix nanoseconds, that no profile may have: the
// store keeps hours as seconds in 32 bits. A profile beyond it is refused when it
// arrives, because later it would take the others of its window with it.
const MaxTime = int64(1<<32) * 1_000_000_000

// MaxAhead is how far the times of what arrives may be ahead of the clock here. It
// is more than clocks differ that anyone looks after, and less than what would
// hide: with a time of next year, profiles are in no answer about now.
const MaxAhead = time.Hour

// Series is what a group of profiles was taken of.
type Series struct {
	Tenant string
	// Service is service.name, else the executable's name, else
	// `unknown_service`. Stacks are stored per tenant and service.
	Service string
	// Labels are the attributes of the resource and of the profile, sorted by
	// name, without the product's own bookkeeping; ID is their content hash.
	Labels []Label
	ID     ID
}

// Label returns the value of the label with that name, empty if there is none.
func (s *Series) Label(name string) string { return labelValue(s.Labels, name) }

// AgentID returns the agent that sent the data, empty if it is not known.
func (s *Series) AgentID() string { return s.Label(AttrAgentID) }

// Batch is the metadata of one ingest batch.
type Batch struct {
	Tenant, AgentID string
	Sequence        uint64
	EventCount      uint64
	ReceivedAt      int64 // Unix nanoseconds
}

// Group is the observations of one series, kind and time, summed by stack and
// sample attributes, with all sample types of the kind side by side.
type Group struct {
	Series *Series
	Kind   string
	// Types are the sample types, at most [MaxTypes].
	Types []ValueType
	// PeriodType and Period are as the profile says.
	PeriodType ValueType
	Period     int64
	// Start and End are the first and last observation for raw profiles, the
	// profile's start and start plus duration for aggregated ones (Unix ns).
	Start, End int64
	Entries    []Entry
	// Exemplars are the parts of entries that belong to spans, each entry, span and
	// profile once.
	Exemplars []Exemplar

	number int32 // among the groups of the Split
}

// Entry is what was observed for one stack and one set of sample attributes.
type Entry struct {
	// Stack and Attrs are indices into the Stacks and Attributes of the
	// [Dictionary].
	Stack, Attrs int32
	// Values has the sum for each of the group's Types, within [MaxValue].
	Values [MaxTypes]int64
	// Count, Min and Max describe the observations of the first type. Min and
	// Max are 0 where the producer did not say. Count is at most [MaxValue].
	Count    uint64
	Min, Max int64

	bounded bool // Min and Max have been set
}

// Events returns the number of observations in the group.
func (g *Group) Events() uint64 {
	var n uint64
	for i := range g.Entries {
		n = AddCount(n, g.Entries[i].Count)
	}
	return n
}

// finish fills in what no profile said: a sum of our own kinds that came
// without its number of observations counts as one.
func (g *Group) finish() {
	if len(Types(g.Kind)) != 2 || len(g.Types) != 2 {
		return
	}
	for i := range g.Entries {
		if e := &g.Entries[i]; e.Count == 0 && e.Values[0] != 0 {
			e.Count, e.Values[1] = 1, 1
		}
	}
}

// Groups is a [pprofile.Profiles] taken apart.
type Groups struct {
	Dict    *Dictionary
	Groups  []*Group
	Batches []Batch
	// WindowID is the value of [AttrWindowID], empty where there is none.
	WindowID string
	// Events is the number of observations of all groups.
	Events uint64
	// ExemplarsDropped counts what is missing in the exemplars of groups because of
	// [Limits].MaxExemplars. It is in their entries.
	ExemplarsDropped uint64
}

// Split validates pd and takes it apart into groups. Raw observations are
// assigned to buckets of the given length by their timestamps, so that no group
// spans more than one bucket; aggregated samples belong to the time of their
// profile. Sibling profiles of one kind are fused. Every resource that carries
// [AttrBatchSequence] names an ingest batch; each batch is listed once.
//
// The error wraps [ErrInvalid]; nothing of pd must be used then.
func Split(pd pprofile.Profiles, bucket time.Duration, limits Limits) (*Groups, error) {
	dict, err := NewDictionary(pd.Dictionary(), limits)
	if err != nil {
		return nil, err
	}
	index := indexes.Get().(*EntryIndex)
	index.Reset()
	defer indexes.Put(index)
	s := &splitter{
		out:    &Groups{Dict: dict},
		index:  index,
		bucket: max(bucket.Nanoseconds(), 1),
		links:  pd.Dictionary().LinkTable(),
		groups: make(map[groupKey]*Group),
		seen:   make(map[Batch]struct{}),
		kinds:  make(map[string][]ValueType),
		known:  make(map[seriesKey]*Series),
	}
	for i := range pd.ResourceProfiles().Len() {
		if err := s.resource(pd.ResourceProfiles().At(i)); err != nil {
			return nil, err
		}
	}
	for _, g := range s.out.Groups {
		g.finish()
		s.out.Events = AddCount(s.out.Events, g.Events())
	}
	return s.out, nil
}

type groupKey struct {
	series *Series
	kind   string
	part   int       // for kinds of more than MaxTypes types
	other  ValueType // of a profile that has the name of one of our kinds, but not its types
	scope  int       // for cpu and kinds that are not our own: their types are those of the scope
	bucket int64
	start  int64 // of aggregated profiles; 0 for raw observations
	period ValueType
	value  int64
}

// indexes holds those of earlier calls of Split.
var indexes = sync.Pool{New: func() any { return new(EntryIndex) }}

type splitter struct {
	out    *Groups
	index  *EntryIndex
	bucket int64
	groups map[groupKey]*Group
	seen   map[Batch]struct{}
	// kinds are the sample types met so far by kind within a scope: those of kinds
	// that are not our own, and our own types.
	kinds map[string][]ValueType
	// scope is the number of the scope, profiles are its profiles, and searched says that
	// those were searched for CPU samples.
	scope    int
	profiles pprofile.ProfilesSlice
	searched bool
	// known has one Series for equal tenant and labels.
	known   map[seriesKey]*Series
	scratch []byte
	// spans has the places of exemplars in their groups. summed is the group that the
	// last profile of the scope was summed in, links the table of those.
	spans  map[spanKey]int32
	summed *Group
	links  pprofile.LinkSlice
}

// entry returns the entry of g for a stack and a set of attributes, new if need be.
// The pointer is valid until the next call.
func (s *splitter) entry(g *Group, stack, attrs int32) *Entry {
	return &g.Entries[s.number(g, stack, attrs)]
}

// number returns the index of that entry.
func (s *splitter) number(g *Group, stack, attrs int32) int32 {
	i, isNew := s.index.Find(g.number, stack, attrs, int32(len(g.Entries)))
	if isNew {
		g.Entries = append(g.Entries, Entry{Stack: stack, Attrs: attrs})
	}
	return i
}

type seriesKey struct {
	tenant string
	id     ID
}

func (s *splitter) resource(rp pprofile.ResourceProfiles) error {
	labels, batch, hasBatch, err := s.labels(rp.Resource().Attributes())
	if err != nil {
		return err
	}
	if hasBatch {
		if _, dup := s.seen[batch]; !dup {
			s.seen[batch] = struct{}{}
			s.out.Batches = append(s.out.Batches, batch)
		}
	}
	base := s.series(batch.Tenant, labels)
	for i := range rp.ScopeProfiles().Len() {
		profiles := rp.ScopeProfiles().At(i).Profiles()
		s.profiles, s.searched = profiles, false
		clear(s.kinds)
		s.scope++
		s.summed = nil
		for j := range profiles.Len() {
			if err := s.profile(profiles.At(j), base); err != nil {
				return err
			}
		}
	}
	return nil
}

// bookkeeping is the number of attributes that our own components add to those of
// a resource; they must not push it over a limit that it has passed before.
const bookkeeping = 6

// labels takes the product's own attributes out of a resource.
func (s *splitter) labels(attrs pcommon.Map) (labels []Label, batch Batch, hasBatch bool, err error) {
	limits := s.out.Dict.limits
	if n := limits.MaxLabels + bookkeeping; attrs.Len() > n {
		return nil, batch, false, invalid("resource has %d attributes; the limit is %d", attrs.Len(), n)
	}
	batch.Tenant = DefaultTenant
	labels = make([]Label, 0, attrs.Len())
	for k, v := range attrs.All() {
		switch k {
		case AttrTenant:
			batch.Tenant = v.AsString()
		case AttrWindowID:
			s.out.WindowID = v.AsString()
		case AttrBatchSequence:
			batch.Sequence, hasBatch = uint64(intValue(v)), true
		case AttrBatchEventCount:
			batch.EventCount = uint64(max(intValue(v), 0))
		case AttrBatchReceivedAt:
			batch.ReceivedAt = intValue(v)
			if t := batch.ReceivedAt; t < 0 || t >= MaxTime {
				return nil, batch, false, invalid("resource attribute %q is %d; it must be at least 0 and less than %d", k, t, MaxTime)
			}
		default:
			if k == AttrAgentID {
				batch.AgentID = v.AsString()
			}
			text := v.AsString()
			if len(text) > limits.MaxStringLength {
				return nil, batch, false, invalid("resource attribute %q is %d bytes long; the limit is %d", k, len(text), limits.MaxStringLength)
			}
			labels = append(labels, Label{k, text})
		}
	}
	return sortLabels(labels), batch, hasBatch, nil
}

// series returns the series with these labels, which are sorted by name.
func (s *splitter) series(tenant string, labels []Label) *Series {
	key := seriesKey{tenant: tenant}
	key.id, s.scratch = LabelsID(labels, s.scratch)
	if known := s.known[key]; known != nil {
		return known
	}
	n := &Series{Tenant: tenant, Labels: labels, ID: key.id, Service: labelValue(labels, "service.name")}
	if n.Service == "" {
		n.Service = labelValue(labels, "process.executable.name")
	}
	if n.Service == "" {
		n.Service = "unknown_service"
	}
	s.known[key] = n
	return n
}
