package aggregate

import (
	"math"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// Profiles returns the content of w by the conventions of package profile: one
// resource per series, one Profile per kind, time and sample type, and one
// resource without profiles per ingest batch. Every resource carries windowID.
//
// w must not be added to any more. Of the Windows of one Table only one may be
// encoded at a time.
func (w *Window) Profiles(windowID string) pprofile.Profiles {
	w.table.encodings++
	e := encoder{
		w: w, number: w.table.encodings, b: profile.NewBuilder(), id: windowID,
		scopes:   make(map[*profile.Series]pprofile.ScopeProfilesSlice),
		ownScope: make(map[*profile.Series]pprofile.ScopeProfiles),
		stacks:   make([]int32, len(w.stacks)),
		attrs:    make([][]int32, len(w.attrs)),
	}
	for i, s := range w.stacks {
		e.stacks[i] = e.stack(s)
	}
	for i := range w.attrs {
		e.attrs[i] = e.attributes(&w.attrs[i])
	}
	e.b.Profiles().ResourceProfiles().EnsureCapacity(len(w.series) + len(w.batches))
	for _, g := range w.groups {
		e.group(g)
	}
	for i := range w.batches {
		e.batch(&w.batches[i])
	}
	return e.b.Profiles()
}

type encoder struct {
	w *Window
	// number tells the marks of this encoder from those of others.
	number uint64
	b      *profile.Builder
	id     string
	// scopes has the scopes of the resource of a series. Groups of our own kinds
	// share one; every other group has one of its own, because the order of
	// sample types within a scope is the order of the values of a kind.
	scopes    map[*profile.Series]pprofile.ScopeProfilesSlice
	ownScope  map[*profile.Series]pprofile.ScopeProfiles
	stacks    []int32   // index in the stack table by slot
	attrs     [][]int32 // indices in the attribute table by set
	locations []int32
	lines     []profile.Line
	runs      []run
}

// run is a location with inlined frames.
type run struct {
	frames   []*frame
	location int32
}

// stack encodes a stack. Every frame, with those inlined into it, is looked up by its
// content once.
func (e *encoder) stack(s *Stack) int32 {
	locs := e.locations[:0]
	for i := 0; i < len(s.frames); i++ {
		f, first := s.frames[i], i
		if f.Inlined {
			for i < len(s.frames)-1 && s.frames[i].Inlined {
				i++
			}
			locs = append(locs, e.run(s.frames[first:i+1]))
			continue
		}
		if f.encoded != e.number {
			f.encoded, f.location = e.number, e.location(s.frames[i:i+1], true)
		}
		locs = append(locs, f.location)
	}
	e.locations = locs
	return e.b.NewStack(locs)
}

// run returns the location of frames of which all but the last were inlined. The first
// tells the others, as a rule.
func (e *encoder) run(frames []*frame) int32 {
	f := frames[0]
	if f.encoded != e.number {
		f.encoded, f.location = e.number, int32(len(e.runs))
		e.runs = append(e.runs, run{frames, e.location(frames, false)})
	}
	last := &e.runs[f.location]
	if !slices.Equal(last.frames, frames) {
		*last = run{frames, e.location(frames, false)}
	}
	return last.location
}

// location encodes a frame, after the frames that were inlined into it. Others may be
// equal to it, unless it is the only one.
func (e *encoder) location(frames []*frame, only bool) int32 {
	f := frames[len(frames)-1]
	e.lines = e.lines[:0]
	if len(frames) > 1 || !f.Function.IsZero() || f.Line != 0 {
		for _, f := range frames {
			e.lines = append(e.lines, profile.Line{Function: e.function(f.fn), Line: f.Line})
		}
	}
	m := e.mapping(f.mapping)
	if only {
		return e.b.NewLocation(m, f.Address, f.Type, e.lines...)
	}
	return e.b.Location(m, f.Address, f.Type, e.lines...)
}

func (e *encoder) mapping(m *mapping) int32 {
	if m.encoded != e.number {
		m.encoded, m.index = e.number, 0
		if m.file != "" || m.buildID != "" {
			m.index = e.b.Mapping(profile.Mapping{Filename: m.file, BuildID: m.buildID})
		}
	}
	return m.index
}

func (e *encoder) function(f *function) int32 {
	if f.encoded != e.number {
		f.encoded, f.index = e.number, 0
		if !f.IsZero() {
			f.index = e.b.NewFunction(f.Function)
		}
	}
	return f.index
}

func (e *encoder) attributes(a *profile.SampleAttributes) []int32 {
	var out []int32
	for _, l := range a.Labels {
		out = append(out, e.b.StringAttribute(l.Name, l.Value))
	}
	if a.LockAddress != 0 {
		out = append(out, e.b.IntAttribute(profile.AttrLockAddress, int64(a.LockAddress)))
	}
	if a.Syscall != -1 {
		out = append(out, e.b.IntAttribute(profile.AttrSyscallNumber, a.Syscall))
	}
	if a.Bucket != 0 {
		out = append(out, e.b.IntAttribute(profile.AttrLatencyBucket, int64(a.Bucket)))
	}
	if a.Error {
		out = append(out, e.b.BoolAttribute(profile.AttrError, true))
	}
	return out
}

func (e *encoder) batch(b *profile.Batch) {
	a := e.b.Profiles().ResourceProfiles().AppendEmpty().Resource().Attributes()
	a.EnsureCapacity(6)
	e.identify(a, b.Tenant)
	a.PutStr(profile.AttrAgentID, b.AgentID)
	a.PutInt(profile.AttrBatchSequence, int64(b.Sequence))
	a.PutInt(profile.AttrBatchEventCount, int64(min(b.EventCount, math.MaxInt64)))
	a.PutInt(profile.AttrBatchReceivedAt, b.ReceivedAt)
}

func (e *encoder) identify(a pcommon.Map, tenant string) {
	a.PutStr(profile.AttrTenant, tenant)
	a.PutStr(profile.AttrWindowID, e.id)
}

func (e *encoder) scope(g *group, own bool) pprofile.ScopeProfiles {
	if own {
		if s, ok := e.ownScope[g.series]; ok {
			return s
		}
	}
	scopes, ok := e.scopes[g.series]
	if !ok {
		rp := e.b.Profiles().ResourceProfiles().AppendEmpty()
		a := rp.Resource().Attributes()
		a.EnsureCapacity(len(g.series.Labels) + 2)
		e.identify(a, g.series.Tenant)
		for _, l := range g.series.Labels {
			a.PutStr(l.Name, l.Value)
		}
		scopes = rp.ScopeProfiles()
		e.scopes[g.series] = scopes
	}
	s := scopes.AppendEmpty()
	if own {
		e.ownScope[g.series] = s
	}
	return s
}

func (e *encoder) group(g *group) {
	sh := &e.w.shapes[g.shape]
	types := profile.Types(sh.kind)
	own := len(types) > 0
	// CPU time belongs to the samples of its scope.
	scope := e.scope(g, own && len(sh.types) <= len(types) && (len(sh.types) == 0 || sh.types[0] == types[0]))
	if len(sh.types) == 0 {
		return
	}
	if sh.types[0].Unit == "count" {
		e.profile(g, sh, scope, 0, all, func(s pprofile.Sample, en *entry) { e.b.SetValue(s, en.values[0]) })
	} else {
		e.extremes(g, sh, scope)
	}
	for i := 1; i < len(sh.types); i++ {
		e.profile(g, sh, scope, i, all, func(s pprofile.Sample, en *entry) {
			if i < len(types) {
				e.b.SetValue(s, int64(en.count))
			} else {
				e.b.SetValue(s, en.values[i])
			}
		})
	}
	if !own {
		e.observations(g, sh, scope)
	}
	if len(g.exemplars) > 0 {
		e.b.AddExemplars(scope, sh.kind, pcommon.Timestamp(g.start), uint64(g.end-g.start), g.exemplars, func(entry int32) (int32, []int32) {
			en := &g.entries[entry]
			return e.stacks[en.stack], e.attrs[en.attrs]
		})
	}
}

// observations encodes the numbers of observations of a kind that is not our
// own, unless the values of the first type tell them.
func (e *encoder) observations(g *group, sh *shape, scope pprofile.ScopeProfiles) {
	counts := sh.types[0].Unit == "count"
	for i := range g.entries {
		en := &g.entries[i]
		told := uint64(1)
		switch {
		case counts:
			told = uint64(max(en.values[0], 0))
		case en.bounded:
			told = uint64(valueCount(en))
		}
		if told != en.count {
			e.encode(g, sh, profile.ObservationsType, scope, all, func(s pprofile.Sample, en *entry) { e.b.SetValue(s, int64(en.count)) })
			return
		}
	}
}

func all(*entry) bool       { return true }
func bounded(e *entry) bool { return e.bounded }
func open(e *entry) bool    { return !e.bounded }

// extremes encodes the first type of a group that keeps the smallest and the
// largest observation. Sums without them go to a Profile that does not claim to
// have any.
func (e *encoder) extremes(g *group, sh *shape, scope pprofile.ScopeProfiles) {
	known := 0
	for i := range g.entries {
		if g.entries[i].bounded {
			known++
		}
	}
	if known > 0 {
		p := e.profile(g, sh, scope, 0, bounded, e.minRestMax)
		p.AttributeIndices().Append(e.b.StringAttribute(profile.AttrValues, profile.ValuesMinRestMax))
	}
	if known < len(g.entries) {
		e.profile(g, sh, scope, 0, open, func(s pprofile.Sample, en *entry) { e.b.SetValue(s, en.values[0]) })
	}
}

// valueCount returns how many numbers describe the sum and the extremes of en.
func valueCount(en *entry) int {
	sum := en.values[0]
	switch {
	case en.count == 1 && en.min == sum && en.max == sum:
		return 1
	case en.count == 2 && en.min+en.max == sum:
		return 2
	}
	return 3
}

func (e *encoder) minRestMax(s pprofile.Sample, en *entry) {
	switch valueCount(en) {
	case 1:
		e.b.SetValue(s, en.min)
	case 2:
		s.Values().Append(en.min, en.max)
	default:
		// Each is a value by itself for the next hop.
		s.Values().Append(en.min, profile.Bounded(en.values[0]-en.min-en.max), en.max)
	}
}

// profile adds a Profile of one of the sample types of the group.
func (e *encoder) profile(g *group, sh *shape, scope pprofile.ScopeProfiles, typ int, keep func(*entry) bool, values func(pprofile.Sample, *entry)) pprofile.Profile {
	return e.encode(g, sh, sh.types[typ], scope, keep, values)
}

// encode adds a Profile with the entries to be kept.
func (e *encoder) encode(g *group, sh *shape, typ profile.ValueType, scope pprofile.ScopeProfiles, keep func(*entry) bool, values func(pprofile.Sample, *entry)) pprofile.Profile {
	p := e.b.AddProfile(scope, sh.kind, typ, sh.periodType, sh.period)
	p.SetTime(pcommon.Timestamp(g.start))
	p.SetDurationNano(uint64(g.end - g.start))
	samples := p.Samples()
	samples.EnsureCapacity(len(g.entries))
	for i := range g.entries {
		en := &g.entries[i]
		if !keep(en) {
			continue
		}
		values(e.b.AddSample(samples, e.stacks[en.stack], e.attrs[en.attrs]), en)
	}
	return p
}
