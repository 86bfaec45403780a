package corpus

import (
	pprof "github.com/google/pprof/profile"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// Made is a profile that a Generator has made: what it drew, apart from how it was
// encoded.
type Made struct {
	// Service and Pod are numbers from 0.
	Service, Pod int
	Kind         string
	Types        []profile.ValueType
	// Start is the begin of the profile in Unix nanoseconds.
	Start int64

	g *Generator
	s *service
}

// Observe has f called with every profile that is made from now on. What f gets is
// valid until it returns.
func (g *Generator) Observe(f func(*Made)) { g.observe = f }

func (g *Generator) made(m Made, kind string, types []profile.ValueType) {
	if g.observe == nil {
		return
	}
	m.Kind, m.Types = kind, types
	g.observe(&m)
}

// Len is the number of samples.
func (m *Made) Len() int { return len(m.g.order) }

// Key identifies the stack of sample i, see [StackKey].
func (m *Made) Key(i int) uint64 { return m.s.pool(m.Kind).stacks[m.g.order[i]].key }

// Value is that of sample i and one of Types.
func (m *Made) Value(i, t int) int64 { return m.g.values[t][i] }

// Pprof returns the profile as Go programs and others write it: CPU profiles have
// the time, too. It must not be changed.
func (m *Made) Pprof() *pprof.Profile {
	f := &fileMaker{m: m, locations: make(map[int32]*pprof.Location), functions: make(map[profile.Function]*pprof.Function)}
	config := m.g.corpus.config
	p := &f.file
	p.TimeNanos, p.DurationNanos = m.Start, config.Interval.Nanoseconds()
	bin := &m.s.bin.mapping
	p.Mapping = []*pprof.Mapping{{ID: 1, Start: bin.Start, Limit: bin.Limit, File: bin.Filename, BuildID: bin.BuildID, HasFunctions: true, HasFilenames: true, HasLineNumbers: true}}
	valueType := func(t profile.ValueType) *pprof.ValueType { return &pprof.ValueType{Type: t.Type, Unit: t.Unit} }
	for _, t := range m.Types {
		p.SampleType = append(p.SampleType, valueType(t))
	}
	p.PeriodType, p.Period = valueType(memoryPeriod), memoryPeriodValue
	if m.Kind == KindCPU {
		p.SampleType = append(p.SampleType, valueType(cpuPeriod))
		p.PeriodType, p.Period = valueType(cpuPeriod), cpuPeriodValue
	}
	for i, s := range m.g.order {
		sample := &pprof.Sample{}
		for t := range m.Types {
			sample.Value = append(sample.Value, m.g.values[t][i])
		}
		if m.Kind == KindCPU {
			sample.Value = append(sample.Value, m.g.values[0][i]*cpuPeriodValue)
		}
		for _, l := range m.s.pool(m.Kind).stacks[s].locations {
			sample.Location = append(sample.Location, f.location(l))
		}
		p.Sample = append(p.Sample, sample)
	}
	return p
}

// fileMaker makes one pprof file.
type fileMaker struct {
	m         *Made
	file      pprof.Profile
	locations map[int32]*pprof.Location
	functions map[profile.Function]*pprof.Function
}

func (f *fileMaker) location(l int32) *pprof.Location {
	out := f.locations[l]
	if out == nil {
		from := &f.m.s.bin.locations[l]
		out = &pprof.Location{ID: uint64(len(f.locations) + 1), Mapping: f.file.Mapping[0], Address: from.address}
		for _, ln := range from.lines {
			out.Line = append(out.Line, pprof.Line{Function: f.function(ln.function), Line: ln.number})
		}
		f.locations[l] = out
		f.file.Location = append(f.file.Location, out)
	}
	return out
}

func (f *fileMaker) function(fn profile.Function) *pprof.Function {
	out := f.functions[fn]
	if out == nil {
		out = &pprof.Function{ID: uint64(len(f.functions) + 1), Name: fn.Name, SystemName: fn.SystemName, Filename: fn.Filename, StartLine: fn.StartLine}
		f.functions[fn] = out
		f.file.Function = append(f.file.Function, out)
	}
	return out
}
