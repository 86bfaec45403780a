package ingest

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/aperture-collector/aperture-collector/internal/pprofwire"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/typemap"
)

// Profilers whose profiles are not as others.
const (
	spyPython    = "pyspy"
	spyRuby      = "rbspy"
	spyScripting = "scripting"
	spyDotnet    = "dotnetspy"
)

// SampleTypeConfig is what a client says of sample types: the field
// `sample_type_config` of forms. Of that, only names matter.
type SampleTypeConfig map[string]struct {
	DisplayName string `json:"display-name"`
}

// ParseSampleTypeConfig reads the field.
func ParseSampleTypeConfig(data []byte) (SampleTypeConfig, error) {
	var c SampleTypeConfig
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, badBody("failed to parse sample_type_config: %v", err)
	}
	return c, nil
}

// isDotnet reports whether the profile is one of the profiler of .NET.
func (o *PprofOptions) isDotnet() bool {
	_, has := o.Config["inuse-space"]
	return o.Spy == spyDotnet || has && (o.Spy == "" || o.Spy == unknownSpy)
}

// nameOf returns the label `__name__` by the sample types of p.
func (o *PprofOptions) nameOf(p *pprofwire.Profile, types []profile.ValueType) string {
	if len(o.Config) == 0 && countsOther(p, types) {
		return o.clean(types[len(types)-1].Type)
	}
	display := make(map[string]string, len(o.Config))
	for t, c := range o.Config {
		if c.DisplayName != "" {
			display[o.clean(t)] = c.DisplayName
		}
	}
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = o.clean(t.Type)
	}
	if name := typemap.NameOf(names, display); name != "" {
		return name
	}
	return unknownSpy
}

// countsOther reports whether samples are of something else than CPU time, by what the
// profile says is between two of them: page faults, for example.
func countsOther(p *pprofwire.Profile, types []profile.ValueType) bool {
	if len(types) < 2 || types[0] != profile.Types(profile.KindCPU)[0] {
		return false
	}
	isCPU := func(t profile.ValueType) bool { return strings.Contains(t.Type, "cpu") }
	between := p.Text(p.PeriodType.Type)
	return between != "" && p.Text(p.PeriodType.Unit) != "nanoseconds" && !strings.Contains(between, "cpu") && !slices.ContainsFunc(types, isCPU)
}

// clean returns the name of a sample type without what .NET writes otherwise.
func (o *PprofOptions) clean(t string) string {
	if o.isDotnet() {
		return strings.ReplaceAll(t, "-", "_")
	}
	return t
}

// function returns what makes names of functions of p, nil if they stay.
func (o *PprofOptions) function(p *pprofwire.Profile) func(name, file string) string {
	switch o.Spy {
	case spyPython:
		return func(name, file string) string {
			if strings.HasPrefix(file, "/") {
				return name
			}
			return file + " " + name
		}
	case spyRuby, spyScripting:
		return func(name, file string) string { return file + " " + name }
	}
	if p.Contains(shape) {
		return func(name, _ string) string { return withoutShape(name) }
	}
	return nil
}

// shape begins what names of functions of Go say of the shape of types.
const shape = "[go.shape."

// withoutShape removes from the name of a function of Go which shape of types it was
// compiled for: there are as many as types that it is called with.
func withoutShape(name string) string {
	first := strings.Index(name, shape)
	if first < 0 {
		return name
	}
	last := strings.LastIndexByte(name, ']')
	if last < first {
		return name
	}
	return name[:first] + name[last+1:]
}
