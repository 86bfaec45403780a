package ingest

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	jfrpprof "github.com/grafana/jfr-parser/pprof"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"google.golang.org/protobuf/proto"

	"github.com/aperture-collector/aperture-collector/internal/jfr"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/typemap"
)

// Classes of events.
const (
	jfrExecution = "jdk.ExecutionSample"
	jfrWall      = "profiler.WallClockSample"
	jfrSetting   = "jdk.ActiveSetting"
)

// jfrProfile is a profile that events make: its name, its types and its period's.
type jfrProfile struct {
	name   string
	types  []profile.ValueType
	period profile.ValueType
	// valueColumn is that of the types which has the value, -1 for none.
	valueColumn int
}

func value(t, unit string) profile.ValueType { return profile.ValueType{Type: t, Unit: unit} }

func countAndValue(name string, period profile.ValueType, count, of profile.ValueType) *jfrProfile {
	return &jfrProfile{name, []profile.ValueType{count, of}, period, 1}
}

var (
	space     = value("space", "bytes")
	jfrCPU    = &jfrProfile{typemap.NameCPU, []profile.ValueType{profile.Types(profile.KindCPU)[0], profile.CPUTime}, profile.CPUTime, -1}
	jfrWallOf = &jfrProfile{"wall", []profile.ValueType{value("wall", "nanoseconds")}, value("wall", "nanoseconds"), -1}
)

// jfrEvents are the other events: the profile that they make and the field with the
// value.
var jfrEvents = map[string]struct {
	of    *jfrProfile
	field string
	ticks bool
}{
	"jdk.ObjectAllocationInNewTLAB":   {countAndValue("memory", space, value("alloc_in_new_tlab_objects", "count"), value("alloc_in_new_tlab_bytes", "bytes")), "tlabSize", false},
	"jdk.ObjectAllocationOutsideTLAB": {countAndValue("memory", space, value("alloc_outside_tlab_objects", "count"), value("alloc_outside_tlab_bytes", "bytes")), "allocationSize", false},
	"jdk.ObjectAllocationSample":      {countAndValue("memory", space, value("alloc_sample_objects", "count"), value("alloc_sample_bytes", "bytes")), "weight", false},
	"jdk.JavaMonitorEnter":            {countAndValue("mutex", value("mutex", "count"), value("contentions", "count"), value("delay", "nanoseconds")), "duration", true},
	"jdk.ThreadPark":                  {countAndValue("block", value("block", "count"), value("contentions", "count"), value("delay", "nanoseconds")), "duration", true},
	"profiler.LiveObject":             {&jfrProfile{"memory", []profile.ValueType{value("live", "count")}, value("objects", "count"), -1}, "", false},
	"profiler.Malloc":                 {countAndValue("memory", profile.ValueType{}, value("malloc_objects", "count"), value("malloc_bytes", "bytes")), "size", false},
}

// JFR adds a recording of Java Flight Recorder, inflated. snapshot is the message
// LabelsSnapshot that names what contexts of events stand for, nil if there is none.
func (b *Batch) JFR(p *Params, data, snapshot []byte) error {
	series, err := p.series(p.Application)
	if err != nil {
		return err
	}
	if most := b.limits.RecordingSize(); int64(len(data)) > most {
		return tooLarge("recording with labels '%s' has %d bytes; the limit is %d", series, len(data), most)
	}
	b.Bytes += int64(len(data) + len(snapshot))
	if err := b.checkTime(series, p.From); err != nil {
		return err
	}
	d := &jfrDecoder{stacks: b.newStacks(), at: make(map[jfrKey]int), samples: make(map[*jfrProfile]int), spans: make(map[uint64]uint64)}
	if err := proto.Unmarshal(snapshot, &d.snapshot); err != nil {
		return badBody("failed to parse labels: %v", err)
	}
	if err := jfr.Read(data, d); err != nil {
		var refusal *Error
		if errors.As(err, &refusal) {
			return refusal
		}
		return badBody("failed to parse jfr: %v", err)
	}
	return d.write(b, series, p.rate())
}

// jfrKey is what samples are told apart by.
type jfrKey struct {
	of        *jfrProfile
	stack     int32
	context   uint64
	spanName  uint64
	link      int32
	hasLabels bool
}

type jfrSum struct {
	jfrKey
	count, value int64
}

type jfrDecoder struct {
	*stacks
	snapshot jfrpprof.LabelsSnapshot
	event    string // what async-profiler sampled
	at       map[jfrKey]int
	sums     []jfrSum
	samples  map[*jfrProfile]int
	spans    map[uint64]uint64 // by context
	names    int               // bytes of the names of methods

	// Of the chunk.
	methods map[uint64]string
	symbols map[string]string // what they are merged to
	traces  map[uint64]int32
	path    []int32
}

// Wants implements [jfr.Handler].
func (d *jfrDecoder) Wants(class string) bool {
	_, ok := jfrEvents[class]
	return ok || class == jfrExecution || class == jfrWall || class == jfrSetting
}

// Chunk implements [jfr.Handler].
func (d *jfrDecoder) Chunk(*jfr.Chunk) {
	d.methods, d.symbols, d.traces = make(map[uint64]string), make(map[string]string), make(map[uint64]int32)
}

// Event implements [jfr.Handler].
func (d *jfrDecoder) Event(c *jfr.Chunk, e *jfr.Event) error {
	state := c.State(e.Number("state"))
	switch e.Class {
	case jfrSetting:
		if e.Text("name") == "event" {
			d.event = e.Text("value")
		}
		return nil
	case jfrExecution:
		if state != "STATE_SLEEPING" {
			if err := d.add(c, e, jfrCPU, 1, 0); err != nil {
				return err
			}
		}
		if d.event == "wall" {
			return d.add(c, e, jfrWallOf, 1, 0)
		}
		return nil
	case jfrWall:
		n := clamp(e.Number("samples"))
		if state == "STATE_RUNNABLE" && d.event == "wall" {
			if err := d.add(c, e, jfrCPU, n, 0); err != nil {
				return err
			}
		}
		return d.add(c, e, jfrWallOf, n, 0)
	}
	what := jfrEvents[e.Class]
	v := clamp(e.Number(what.field))
	if what.ticks {
		v = c.Nanoseconds(uint64(v))
	}
	return d.add(c, e, what.of, 1, v)
}

// add adds an event.
func (d *jfrDecoder) add(c *jfr.Chunk, e *jfr.Event, of *jfrProfile, count, value int64) error {
	stack, err := d.trace(c, e.Number("stackTrace"))
	if err != nil || stack < 0 {
		return err
	}
	key := jfrKey{of: of, stack: stack, link: d.link(e)}
	if d.snapshot.Contexts[int64(e.Number("contextId"))] != nil {
		key.context, key.hasLabels = e.Number("contextId"), true
	}
	if name := e.Number("spanName"); d.snapshot.Strings[int64(name)] != "" {
		key.spanName = name
	}
	i, ok := d.at[key]
	if !ok {
		if most := bound(d.limits.MaxSamples, mostSamples); d.samples[of] >= most {
			return tooLarge("profile %s:%s has more than %d samples", of.name, of.types[0].Type, most)
		}
		d.samples[of]++
		i = len(d.sums)
		d.at[key], d.sums = i, append(d.sums, jfrSum{jfrKey: key})
	}
	s := &d.sums[i]
	s.count = profile.Bounded(profile.Add(s.count, count))
	s.value = profile.Bounded(profile.Add(s.value, value))
	return nil
}

// link returns the link of an event to its span, which its fields or the labels of its
// context name.
func (d *jfrDecoder) link(e *jfr.Event) int32 {
	var l profile.Link
	context := e.Number("contextId")
	span, ok := d.spans[context]
	if !ok {
		labels := d.snapshot.Contexts[int64(context)].GetLabels()
		for _, k := range slices.Sorted(maps.Keys(labels)) { // of several, always the same
			if name := d.snapshot.Strings[k]; name == labelProfile || name == labelSpan {
				span, _ = strconv.ParseUint(d.snapshot.Strings[labels[k]], 16, 64)
			}
		}
		d.spans[context] = span
	}
	if id := e.Number("spanId"); id != 0 {
		span = id
	}
	binary.BigEndian.PutUint64(l.SpanID[:], span)
	binary.BigEndian.PutUint64(l.TraceID[:8], e.Number("traceIdHi"))
	binary.BigEndian.PutUint64(l.TraceID[8:], e.Number("traceIdLo"))
	return d.b.Link(l)
}

// trace returns the index of a stack trace of a chunk, -1 if it is not there.
func (d *jfrDecoder) trace(c *jfr.Chunk, id uint64) (int32, error) {
	if i, ok := d.traces[id]; ok {
		return i, nil
	}
	frames, ok := c.Stack(id)
	if !ok {
		d.traces[id] = -1
		return -1, nil
	}
	d.path = d.path[:0]
	for i := len(frames) - 1; i >= 0; i-- {
		name, err := d.method(c, frames[i].Method)
		if err != nil {
			return 0, err
		}
		if name != "" {
			d.path = append(d.path, d.location(frame{name: name, line: int64(frames[i].Line)}))
		}
	}
	i, err := d.stacks.add(d.path)
	d.traces[id] = i
	return i, err
}

// maxSets bounds the sets of labels of a recording: each makes profiles of its own,
// which take much more memory than the labels do.
const maxSets = 4096

// write adds the sums to a batch.
func (d *jfrDecoder) write(b *Batch, series *Series, r *rate) error {
	type target struct {
		of       *jfrProfile
		context  uint64
		spanName uint64
		labelled bool
	}
	targets := make(map[target][]pprofile.SampleSlice)
	for i := range d.sums {
		s := &d.sums[i]
		key := target{s.of, s.context, s.spanName, s.hasLabels}
		to, ok := targets[key]
		if !ok {
			if len(targets) == maxSets {
				return tooLarge("profile has more than %d different sets of labels", maxSets)
			}
			labels := append(d.labels(series, s), Label{labelEvent, d.event})
			scope := b.scope(series.with(s.of.name, labels...))
			to = d.profiles(scope, s.of, r)
			targets[key] = to
		}
		for column, samples := range to {
			if v := s.of.column(column, s, r); v > 0 {
				sample := d.b.AddSample(samples, s.stack, nil)
				sample.SetLinkIndex(s.link)
				d.b.SetValue(sample, v)
			}
		}
	}
	return nil
}

// labels returns the labels of the context of a sum. Those that the series has win.
func (d *jfrDecoder) labels(series *Series, s *jfrSum) []Label {
	var labels []Label
	if s.hasLabels {
		for k, v := range d.snapshot.Contexts[int64(s.context)].Labels {
			name := typemap.Attribute(toText(d.snapshot.Strings[k]))
			if name != "" && name != labelProfile && name != labelSpan && name != labelTrace && name != typemap.AttrService && !series.has(name) && !strings.HasPrefix(name, private) {
				labels = append(labels, Label{name, toText(d.snapshot.Strings[v])})
			}
		}
	}
	if s.spanName != 0 {
		labels = append(labels, Label{"span_name", toText(d.snapshot.Strings[int64(s.spanName)])})
	}
	slices.SortFunc(labels, func(a, b Label) int { return strings.Compare(a.Name+a.Value, b.Name+b.Value) })
	return labels
}

// profiles adds the profiles of one scope.
func (d *jfrDecoder) profiles(scope pprofile.ScopeProfiles, of *jfrProfile, r *rate) []pprofile.SampleSlice {
	kind, every := typemap.Kind(of.name), int64(0)
	if of.isTime() && r.hz > 0 {
		every = r.period()
	}
	out := make([]pprofile.SampleSlice, len(of.types))
	for i, t := range of.types {
		out[i] = d.profile(scope, kind, t, of.period, every, r)
	}
	return out
}

// isTime reports whether events stand for the time between two samples.
func (p *jfrProfile) isTime() bool { return p == jfrCPU || p == jfrWallOf }

// column returns the value of one of the types.
func (p *jfrProfile) column(i int, s *jfrSum, r *rate) int64 {
	switch {
	case i == p.valueColumn:
		return s.value
	case !p.isTime() || p.types[i].Unit == "count":
		return s.count
	case r.hz == 0:
		return 0
	}
	return r.nanoseconds(s.count)
}

// toText returns a text of a snapshot, which protobuf takes for UTF-8.
func toText(s string) string { return strings.ToValidUTF8(s, "\ufffd") }
