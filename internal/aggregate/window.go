package aggregate

import (
	"strings"
	"time"
	"unsafe"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// Estimated sizes in bytes of what a Window holds, with the slack of growing
// slices and maps.
const (
	entryBytes  = 3*int64(unsafe.Sizeof(entry{}))/2 + 24
	groupBytes  = int64(unsafe.Sizeof(group{})) + 240
	seriesBytes = int64(unsafe.Sizeof(profile.Series{})) + 80
	labelBytes  = int64(unsafe.Sizeof(profile.Label{}))
	attrsBytes  = int64(unsafe.Sizeof(profile.SampleAttributes{})) + 64
	batchBytes  = int64(unsafe.Sizeof(profile.Batch{}))
)

// Window sums the observations of all pushes of a short time.
type Window struct {
	table  *Table
	number uint64
	bucket int64 // ns

	groups   []*group
	groupIdx map[groupKey]*group
	shapes   []shape
	shapeIdx map[string]int32
	series   map[seriesKey]*profile.Series
	attrs    []profile.SampleAttributes
	attrsIdx map[profile.ID]int32
	stacks   []*Stack
	batches  []profile.Batch
	bytes    int64
	// stackBytes is the part of bytes that stacks and frames need.
	stackBytes int64
	samples    int
	events     uint64
	weeks      map[int64]struct{}
	scratch    []byte
	spans      map[spanKey]int32
	dropped    uint64  // exemplars beyond the limit
	stackSlot  []int32 // by index of the Dictionary being added, -1 where not known
	attrsSlot  []int32
}

// shape is what all samples of a group have in common but the series and time.
type shape struct {
	kind       string
	types      []profile.ValueType
	periodType profile.ValueType
	period     int64
}

type seriesKey struct {
	tenant string
	id     profile.ID
}

type groupKey struct {
	series *profile.Series
	shape  int32
	bucket int64
	// start and end are those of profiles that span more than one bucket: they
	// are not summed with profiles of another time.
	start, end int64
}

type group struct {
	series     *profile.Series
	shape      int32
	start, end int64
	entries    []entry
	exemplars  []profile.Exemplar
	number     int32 // among the groups of the Window
}

type entry struct {
	stack, attrs int32 // indices of the Window
	values       [profile.MaxTypes]int64
	count        uint64
	min, max     int64
	bounded      bool // min and max are known
}

// NewWindow returns an empty Window that aggregates over buckets of time of the
// given length and becomes the current one of t. The Window before it must not
// be added to any more.
func (t *Table) NewWindow(bucket time.Duration) *Window {
	t.windows++
	t.index.Reset()
	return &Window{
		table:    t,
		number:   t.windows,
		bucket:   max(bucket.Nanoseconds(), 1),
		groupIdx: make(map[groupKey]*group),
		shapeIdx: make(map[string]int32),
		series:   make(map[seriesKey]*profile.Series),
		attrsIdx: make(map[profile.ID]int32),
		weeks:    make(map[int64]struct{}),
	}
}

// Bytes is the estimated size of w with all the stacks it refers to.
func (w *Window) Bytes() int64 { return w.bytes }

// Samples is the number of sums: distinct series, kinds, times, stacks and
// attributes.
func (w *Window) Samples() int { return w.samples }

// Events is the number of observations added.
func (w *Window) Events() uint64 { return w.events }

// Batches are the ingest batches added.
func (w *Window) Batches() []profile.Batch { return w.batches }

// Add sums g into w. It keeps nothing of g and its strings.
func (w *Window) Add(g *profile.Groups) {
	w.stackSlot = unknown(w.stackSlot, len(g.Dict.Stacks))
	w.attrsSlot = unknown(w.attrsSlot, len(g.Dict.Attributes))
	for _, src := range g.Groups {
		w.addGroup(g.Dict, src)
	}
	for _, b := range g.Batches {
		b.Tenant, b.AgentID = strings.Clone(b.Tenant), strings.Clone(b.AgentID)
		w.batches = append(w.batches, b)
		w.bytes += batchBytes + int64(len(b.Tenant)+len(b.AgentID))
	}
	w.events = profile.AddCount(w.events, g.Events)
	w.table.trim()
}

func unknown(s []int32, n int) []int32 {
	if cap(s) < n {
		s = make([]int32, n)
	}
	s = s[:n]
	for i := range s {
		s[i] = -1
	}
	return s
}

func (w *Window) addGroup(d *profile.Dictionary, src *profile.Group) {
	dst := w.group(src)
	dst.start, dst.end = min(dst.start, src.Start), max(dst.end, src.End)
	if dst.entries == nil {
		dst.entries = make([]entry, 0, len(src.Entries)) // often all there will be
	}
	for i := range src.Entries {
		e := &src.Entries[i]
		stack := w.stackSlot[e.Stack]
		if stack < 0 {
			stack = w.stack(d, e.Stack)
			w.stackSlot[e.Stack] = stack
		}
		attrs := w.attrsSlot[e.Attrs]
		if attrs < 0 {
			attrs = w.attributes(&d.Attributes[e.Attrs])
			w.attrsSlot[e.Attrs] = attrs
		}
		w.entry(dst, stack, attrs).add(e)
	}
	w.addExemplars(src, dst)
}

// stack returns the slot of a stack and counts what the Window had not yet.
func (w *Window) stack(d *profile.Dictionary, i int32) int32 {
	s := w.table.stacks[d.StackIDs[i]]
	if s != nil && s.window == w.number {
		return s.slot
	}
	s = w.table.intern(d, i)
	s.window, s.slot = w.number, int32(len(w.stacks))
	w.stacks = append(w.stacks, s)
	n := s.bytes()
	for _, f := range s.frames {
		if f.window != w.number {
			f.window = w.number
			n += frameBytes + f.fn.bytes()
		}
	}
	w.stackBytes += n
	w.bytes += n + 8
	return s.slot
}

func (w *Window) attributes(src *profile.SampleAttributes) int32 {
	if i, ok := w.attrsIdx[src.ID]; ok {
		return i
	}
	a := *src
	a.Labels = w.cloneLabels(src.Labels)
	i := int32(len(w.attrs))
	w.attrs = append(w.attrs, a)
	w.attrsIdx[a.ID] = i
	w.bytes += attrsBytes
	return i
}

func (w *Window) cloneLabels(src []profile.Label) []profile.Label {
	out := make([]profile.Label, len(src))
	for i, l := range src {
		out[i] = profile.Label{Name: strings.Clone(l.Name), Value: strings.Clone(l.Value)}
		w.bytes += labelBytes + int64(len(l.Name)+len(l.Value))
	}
	return out
}

func (w *Window) entry(g *group, stack, attrs int32) *entry {
	i, isNew := w.table.index.Find(g.number, stack, attrs, int32(len(g.entries)))
	if isNew {
		g.entries = append(g.entries, entry{stack: stack, attrs: attrs})
		w.samples++
		w.bytes += entryBytes
	}
	return &g.entries[i]
}

// add sums the observations of src. Extremes of 0 stand for unknown ones unless
// the sum says that they are true.
func (e *entry) add(src *profile.Entry) {
	e.sumValues(&src.Values, src.Count)
	// The next hop takes the sums of a window for values.
	for i, v := range e.values {
		e.values[i] = profile.Bounded(v)
	}
	e.count = min(e.count, profile.MaxValue)
	if src.Min != 0 || src.Max != 0 || src.Values[0] == 0 && src.Count > 0 {
		if !e.bounded {
			e.min, e.max, e.bounded = src.Min, src.Max, true
		}
		e.min, e.max = min(e.min, src.Min), max(e.max, src.Max)
	}
}

func (w *Window) group(src *profile.Group) *group {
	key := groupKey{series: w.seriesOf(src.Series), shape: w.shape(src), bucket: profile.Bucket(src.Start, w.bucket)}
	if profile.Bucket(src.End, w.bucket) != key.bucket {
		key.start, key.end = src.Start, src.End
	}
	g := w.groupIdx[key]
	if g == nil {
		g = &group{series: key.series, shape: key.shape, start: src.Start, end: src.End, number: int32(len(w.groups))}
		w.groupIdx[key] = g
		w.groups = append(w.groups, g)
		w.weeks[week(src.Start)] = struct{}{}
		w.bytes += groupBytes
	}
	return g
}

func (w *Window) seriesOf(src *profile.Series) *profile.Series {
	key := seriesKey{src.Tenant, src.ID}
	if s := w.series[key]; s != nil {
		return s
	}
	s := &profile.Series{
		Tenant: strings.Clone(src.Tenant), Service: strings.Clone(src.Service),
		Labels: w.cloneLabels(src.Labels), ID: src.ID,
	}
	w.series[seriesKey{s.Tenant, s.ID}] = s
	w.bytes += seriesBytes + int64(len(s.Tenant)+len(s.Service))
	return s
}

func (w *Window) shape(src *profile.Group) int32 {
	k := profile.AppendString(append(w.scratch[:0], byte(len(src.Types))), src.Kind)
	for _, t := range src.Types {
		k = profile.AppendString(profile.AppendString(k, t.Type), t.Unit)
	}
	k = profile.AppendString(profile.AppendString(k, src.PeriodType.Type), src.PeriodType.Unit)
	k = profile.AppendID(k, profile.ID{Lo: uint64(src.Period)})
	w.scratch = k
	if i, ok := w.shapeIdx[string(k)]; ok {
		return i
	}
	s := shape{
		kind:       strings.Clone(src.Kind),
		types:      make([]profile.ValueType, len(src.Types)),
		periodType: cloneType(src.PeriodType),
		period:     src.Period,
	}
	for i, t := range src.Types {
		s.types[i] = cloneType(t)
	}
	i := int32(len(w.shapes))
	w.shapes = append(w.shapes, s)
	w.shapeIdx[string(k)] = i
	w.bytes += 2*int64(len(k)) + int64(unsafe.Sizeof(s))
	return i
}

func cloneType(t profile.ValueType) profile.ValueType {
	return profile.ValueType{Type: strings.Clone(t.Type), Unit: strings.Clone(t.Unit)}
}
