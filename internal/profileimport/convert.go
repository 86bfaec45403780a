package profileimport

import (
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	pprof "github.com/google/pprof/profile"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// samplesPerMessage keeps messages below the 4 MiB that servers take by default.
const samplesPerMessage = 5_000

// Options say what a file does not.
type Options struct {
	// Kind is the kind of profile, empty for what its sample types say.
	Kind string
	// Time is that of profiles that have none.
	Time time.Time
	// Attributes are those of the resource. Without service.name, it is the name of
	// the first mapping's file.
	Attributes map[string]string
}

// ErrTime is the cause of errors about profiles that have no time where that of the
// options is none that OTLP can have.
var ErrTime = errors.New("the profile has no time of its own")

// Convert turns p, which must be valid, into OTLP profiles, in parts of a size that
// servers take. Sums over all parts are those of p.
func Convert(p *pprof.Profile, o Options) ([]pprofile.Profiles, error) {
	columns, err := columnsOf(p, o.Kind)
	if err != nil {
		return nil, err
	}
	if p.TimeNanos <= 0 && (!o.Time.After(time.Unix(0, 0)) || o.Time.After(time.Unix(0, math.MaxInt64))) {
		return nil, fmt.Errorf("%w, and %s is not between 1970 and 2262", ErrTime, o.Time.UTC().Format(time.RFC3339))
	}
	var parts []pprofile.Profiles
	for first := 0; first < len(p.Sample); first += samplesPerMessage {
		samples := p.Sample[first:min(first+samplesPerMessage, len(p.Sample))]
		c := &converter{b: profile.NewBuilder(), p: p, o: o, locations: make(map[*pprof.Location]int32)}
		parts = append(parts, c.convert(samples, columns))
	}
	return parts, nil
}

// column is a sample type that is converted.
type column struct {
	kind   string
	typ    profile.ValueType
	index  int   // of the value
	divide int64 // what the value is divided by
}

// columnsOf says what becomes of each sample type.
func columnsOf(p *pprof.Profile, kind string) ([]column, error) {
	types := make([]profile.ValueType, len(p.SampleType))
	for i, t := range p.SampleType {
		types[i] = profile.ValueType{Type: t.Type, Unit: t.Unit}
	}
	if kind == "" {
		kind = kindOf(p, types)
	}
	var columns []column
	own := profile.Types(kind)
	for _, t := range own {
		if i := slices.Index(types, t); i >= 0 {
			columns = append(columns, column{kind, t, i, 1})
		}
	}
	cpuTime := slices.Index(types, profile.ValueType{Type: "cpu", Unit: "nanoseconds"})
	switch {
	case own == nil:
		for i, t := range types {
			k := kind
			if k == "" {
				k = profile.KindOf(t, profile.ValueType{})
			}
			columns = append(columns, column{k, t, i, 1})
		}
	case kind == profile.KindCPU && len(columns) == 0 && cpuTime >= 0 && p.Period > 0:
		columns = []column{{kind, own[0], cpuTime, p.Period}}
	case len(columns) == 0 || columns[0].typ != own[0]:
		return nil, fmt.Errorf("the profile has the sample types %s; one of kind %s must have %s in %s", typeNames(types), kind, own[0].Type, own[0].Unit)
	}
	return columns, nil
}

// kindOf returns which of our own kinds a profile is, empty if none.
func kindOf(p *pprof.Profile, types []profile.ValueType) string {
	for _, kind := range []string{profile.KindLock, profile.KindLockIdle, profile.KindOffCPU, profile.KindSyscall, profile.KindGPU} {
		own := profile.Types(kind)
		if slices.Contains(types, own[0]) && slices.Contains(types, own[1]) {
			return kind
		}
	}
	cpuTime := slices.Contains(types, profile.ValueType{Type: "cpu", Unit: "nanoseconds"})
	ofCPU := p.PeriodType != nil && p.PeriodType.Type == "cpu"
	if slices.Contains(types, profile.Types(profile.KindCPU)[0]) && (ofCPU || cpuTime) || cpuTime && ofCPU && p.Period > 0 {
		return profile.KindCPU
	}
	return ""
}

func typeNames(types []profile.ValueType) string {
	var names []string
	for _, t := range types[:min(len(types), 8)] {
		names = append(names, shorten(t.Type)+" in "+shorten(t.Unit))
	}
	return strings.Join(names, ", ")
}

type converter struct {
	b         *profile.Builder
	p         *pprof.Profile
	o         Options
	locations map[*pprof.Location]int32
	stack     []int32
	lines     []profile.Line
}

func (c *converter) convert(samples []*pprof.Sample, columns []column) pprofile.Profiles {
	rp := c.b.Profiles().ResourceProfiles().AppendEmpty()
	c.resource(rp.Resource().Attributes())
	scope := rp.ScopeProfiles().AppendEmpty()
	scope.Scope().SetName("github.com/aperture-collector/aperture-collector/internal/profileimport")
	stacks := make([]int32, len(samples))
	attributes := make([][]int32, len(samples))
	for i, s := range samples {
		stacks[i], attributes[i] = c.stackOf(s), c.attributes(s)
	}
	for _, column := range columns {
		to := c.profile(scope, column)
		to.EnsureCapacity(len(samples))
		for i, s := range samples {
			sample := to.AppendEmpty()
			sample.SetStackIndex(stacks[i])
			sample.AttributeIndices().FromRaw(attributes[i])
			v := s.Value[column.index]
			if column.divide > 1 {
				v = divide(v, column.divide)
			}
			sample.Values().Append(v)
		}
	}
	return c.b.Profiles()
}

// divide returns v/by, rounded, whatever v is.
func divide(v, by int64) int64 {
	q, r := v/by, v%by
	if r >= by-by/2 {
		q++
	}
	return q
}

func (c *converter) resource(to pcommon.Map) {
	for name, value := range c.o.Attributes {
		to.PutStr(name, valid(value))
	}
	if _, ok := c.o.Attributes["service.name"]; !ok && len(c.p.Mapping) > 0 && c.p.Mapping[0].File != "" {
		if name := path.Base(c.p.Mapping[0].File); !isKernel(name) {
			to.PutStr("service.name", valid(name))
		}
	}
}

func (c *converter) profile(scope pprofile.ScopeProfiles, of column) pprofile.SampleSlice {
	var period profile.ValueType
	if t := c.p.PeriodType; t != nil {
		period = profile.ValueType{Type: valid(t.Type), Unit: valid(t.Unit)}
	}
	if of.kind == profile.KindCPU {
		period = profile.ValueType{Type: "cpu", Unit: "nanoseconds"}
	}
	t := profile.ValueType{Type: valid(of.typ.Type), Unit: valid(of.typ.Unit)}
	p := c.b.AddProfile(scope, valid(of.kind), t, period, c.p.Period)
	start := c.p.TimeNanos
	if start <= 0 {
		start = c.o.Time.UnixNano()
	}
	p.SetTime(pcommon.Timestamp(start))
	p.SetDurationNano(uint64(max(c.p.DurationNanos, 0)))
	return p.Samples()
}

func (c *converter) stackOf(s *pprof.Sample) int32 {
	c.stack = c.stack[:0]
	for _, l := range s.Location {
		i, ok := c.locations[l]
		if !ok {
			i = c.location(l)
			c.locations[l] = i
		}
		c.stack = append(c.stack, i)
	}
	return c.b.Stack(c.stack)
}

func (c *converter) location(l *pprof.Location) int32 {
	var mapping int32
	frameType := ""
	if m := l.Mapping; m != nil && (m.File != "" || m.BuildID != "") {
		mapping = c.b.Mapping(profile.Mapping{
			Start: m.Start, Limit: m.Limit, Offset: m.Offset, Filename: valid(m.File), BuildID: valid(m.BuildID),
		})
		if isKernel(m.File) {
			frameType = profile.FrameKernel
		}
	}
	c.lines = c.lines[:0]
	for _, line := range l.Line {
		f := line.Function
		c.lines = append(c.lines, profile.Line{Line: line.Line, Column: line.Column, Function: c.b.Function(profile.Function{
			Name: valid(f.Name), SystemName: valid(f.SystemName), Filename: valid(f.Filename), StartLine: f.StartLine,
		})})
	}
	return c.b.Location(mapping, l.Address, frameType, c.lines...)
}

// isKernel tells by the name that mappings of the kernel have in profiles of perf
// and of ours.
func isKernel(file string) bool { return strings.HasPrefix(file, "[kernel") }

// attributes returns the labels of a sample. Those that our own exports write as
// text become numbers again.
func (c *converter) attributes(s *pprof.Sample) []int32 {
	var all []int32
	for name, values := range s.Label {
		text := valid(strings.Join(values, ","))
		switch name {
		case profile.AttrLockAddress:
			if address, err := strconv.ParseUint(text, 0, 64); err == nil {
				all = append(all, c.b.IntAttribute(name, int64(address)))
				continue
			}
		case profile.AttrSyscallNumber:
			if n, err := strconv.ParseInt(text, 10, 64); err == nil {
				all = append(all, c.b.IntAttribute(name, n))
				continue
			}
		}
		all = append(all, c.b.StringAttribute(valid(name), text))
	}
	for name, values := range s.NumLabel {
		if len(values) > 0 {
			all = append(all, c.b.IntAttribute(valid(name), values[0]))
		}
	}
	slices.Sort(all) // maps have no order
	return all
}

// valid returns s with what is not UTF-8 replaced, which OTLP cannot have.
func valid(s string) string { return strings.ToValidUTF8(s, "\ufffd") }
