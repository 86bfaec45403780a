package pprofwire

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
	"unsafe"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// Options say what a profile does not.
type Options struct {
	// Kind is the kind of profile, empty for what its sample types say, see
	// [Profile.Columns].
	Kind string
	// Time is the start of profiles that have none.
	Time time.Time
}

// ToProfiles returns p as OTLP profiles, one for each column, in one resource
// without attributes. Sums by sample type, stack and labels are those of p; samples
// whose value is 0 are left out. Comments, drop_frames, keep_frames, doc_url and
// units of labels have no place in OTLP profiles. Nothing of the result aliases p.
func ToProfiles(p *Profile, o Options) (pprofile.Profiles, error) {
	columns, err := p.Columns(o.Kind)
	if err != nil {
		return pprofile.Profiles{}, err
	}
	b := profile.NewBuilder()
	scope := b.Profiles().ResourceProfiles().AppendEmpty().ScopeProfiles().AppendEmpty()
	NewConverter(b, p).Append(scope, columns, o.Time)
	return b.Profiles(), nil
}

// Converter puts the stacks and labels of one profile into a builder. It is not
// safe for concurrent use. What it returns does not alias the profile.
type Converter struct {
	b *profile.Builder
	p *Profile

	// Indices in the builder plus 1, by index in the profile.
	mappings, functions, locations []int32
	attributes                     map[Label]int32
	texts                          []string
	arena                          []byte // where texts are

	stack, set []int32
	lines      []profile.Line
	same       []string
}

// NewConverter returns a Converter of p into b.
func NewConverter(b *profile.Builder, p *Profile) *Converter {
	indices := make([]int32, len(p.Mappings)+len(p.Functions)+len(p.Locations))
	m, f := len(p.Mappings), len(p.Mappings)+len(p.Functions)
	var size int
	for _, s := range p.strings {
		size += int(s.end - s.start)
	}
	return &Converter{
		b: b, p: p, mappings: indices[:m], functions: indices[m:f], locations: indices[f:],
		texts: make([]string, len(p.strings)), arena: make([]byte, 0, size),
	}
}

// Text returns a string of the profile, with what is not UTF-8 replaced.
func (c *Converter) Text(i uint32) string {
	if c.texts[i] != "" {
		return c.texts[i]
	}
	s := c.p.String(i)
	if s == "" {
		return ""
	}
	if utf8.ValidString(s) {
		n := len(c.arena)
		c.arena = append(c.arena, s...)
		s = unsafe.String(&c.arena[n], len(s))
	} else {
		s = strings.ToValidUTF8(s, "\ufffd")
	}
	c.texts[i] = s
	return s
}

// Stack returns the index of the stack of a sample.
func (c *Converter) Stack(locations []uint32) int32 {
	c.stack = c.stack[:0]
	for _, l := range locations {
		i := c.locations[l]
		if i == 0 {
			i = c.location(l)
		}
		c.stack = append(c.stack, i-1)
	}
	return c.b.Stack(c.stack)
}

func (c *Converter) location(l uint32) int32 {
	at := &c.p.Locations[l]
	var mapping int32
	frameType := ""
	if at.Mapping >= 0 {
		m := &c.p.Mappings[at.Mapping]
		mapping = c.mapping(at.Mapping)
		// The name that mappings of the kernel have in profiles of perf and of ours.
		if strings.HasPrefix(c.p.String(m.Filename), "[kernel") {
			frameType = profile.FrameKernel
		}
	}
	c.lines = c.lines[:0]
	for _, line := range c.p.Lines(l) {
		c.lines = append(c.lines, profile.Line{Function: c.function(line.Function), Line: line.Line, Column: line.Column})
	}
	i := c.b.Location(mapping, at.Address, frameType, c.lines...) + 1
	c.locations[l] = i
	return i
}

// mapping returns 0, that of nothing, for mappings of which only addresses are
// known.
func (c *Converter) mapping(i int) int32 {
	if c.mappings[i] == 0 {
		m := &c.p.Mappings[i]
		to := profile.Mapping{Start: m.Start, Limit: m.Limit, Offset: m.Offset, Filename: c.Text(m.Filename), BuildID: c.Text(m.BuildID)}
		if to.Filename == "" && to.BuildID == "" {
			to = profile.Mapping{}
		}
		c.mappings[i] = c.b.Mapping(to) + 1
	}
	return c.mappings[i] - 1
}

func (c *Converter) function(i int) int32 {
	if c.functions[i] == 0 {
		f := &c.p.Functions[i]
		c.functions[i] = 1 + c.b.Function(profile.Function{
			Name: c.Text(f.Name), SystemName: c.Text(f.SystemName), Filename: c.Text(f.Filename), StartLine: f.StartLine,
		})
	}
	return c.functions[i] - 1
}

// Attributes returns the attributes that labels become, sorted. The slice is valid
// until the next call. A key with one number becomes a number, one with several
// values a text of them with commas in between.
func (c *Converter) Attributes(labels []Label) []int32 {
	c.set = c.set[:0]
	for i, l := range labels {
		key := c.Text(l.Key)
		isKey := func(other Label) bool { return other.Key == l.Key || c.Text(other.Key) == key }
		switch {
		case slices.ContainsFunc(labels[:i], isKey):
			// With the first one.
		case slices.ContainsFunc(labels[i+1:], isKey):
			c.same = c.same[:0]
			for _, other := range labels[i:] {
				if isKey(other) {
					c.same = append(c.same, c.value(other))
				}
			}
			c.set = append(c.set, c.b.StringAttribute(key, strings.Join(c.same, ",")))
		default:
			c.set = append(c.set, c.attribute(l))
		}
	}
	slices.Sort(c.set)
	return c.set
}

func (c *Converter) value(l Label) string {
	if l.Str != 0 {
		return c.Text(l.Str)
	}
	return strconv.FormatInt(l.Num, 10)
}

func (c *Converter) attribute(l Label) int32 {
	if i, ok := c.attributes[l]; ok {
		return i
	}
	if c.attributes == nil {
		c.attributes = make(map[Label]int32)
	}
	i := c.newAttribute(c.Text(l.Key), l)
	c.attributes[l] = i
	return i
}

// newAttribute makes numbers of those that our own exports write as text.
func (c *Converter) newAttribute(key string, l Label) int32 {
	if l.Str == 0 {
		return c.b.IntAttribute(key, l.Num)
	}
	text := c.Text(l.Str)
	switch key {
	case profile.AttrLockAddress:
		if address, err := strconv.ParseUint(text, 0, 64); err == nil {
			return c.b.IntAttribute(key, int64(address))
		}
	case profile.AttrSyscallNumber:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return c.b.IntAttribute(key, n)
		}
	}
	return c.b.StringAttribute(key, text)
}

// Append adds a profile for each of the columns to scope, with all samples whose
// value is not 0. start is the time of a profile that has none.
func (c *Converter) Append(scope pprofile.ScopeProfiles, columns []Column, start time.Time) {
	to := make([]pprofile.SampleSlice, len(columns))
	for i := range columns {
		to[i] = c.head(scope, &columns[i], start)
	}
	for i := range c.p.NumSamples() {
		s := c.p.Sample(i)
		// What no column has need not be in the dictionary.
		stack, attributes := int32(-1), []int32(nil)
		for n := range columns {
			v := columns[n].of(s.Values)
			if v == 0 {
				continue
			}
			if stack < 0 {
				stack, attributes = c.Stack(s.Locations), c.Attributes(s.Labels)
			}
			sample := to[n].AppendEmpty()
			sample.SetStackIndex(stack)
			if len(attributes) > 0 {
				sample.AttributeIndices().FromRaw(attributes)
			}
			sample.Values().Append(v)
		}
	}
}

// of returns the column's value of a sample.
func (c *Column) of(values []int64) int64 {
	v := values[c.Index]
	if c.Divide <= 1 {
		return v
	}
	q, r := v/c.Divide, v%c.Divide
	switch {
	case r > 0 && r >= c.Divide-r:
		q++
	case r < 0 && -r >= c.Divide+r:
		q--
	}
	return q
}

func (c *Converter) head(scope pprofile.ScopeProfiles, of *Column, start time.Time) pprofile.SampleSlice {
	period := c.p.valueType(c.p.PeriodType)
	if of.Kind == profile.KindCPU {
		period = cpuTime
	}
	to := c.b.AddProfile(scope, of.Kind, of.Type, period, c.p.Period)
	nanos := max(c.p.TimeNanos, 0)
	if nanos == 0 && !start.IsZero() {
		nanos = start.UnixNano()
	}
	to.SetTime(pcommon.Timestamp(nanos))
	to.SetDurationNano(uint64(max(c.p.DurationNanos, 0)))
	return to.Samples()
}
