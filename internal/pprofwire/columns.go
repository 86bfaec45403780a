package pprofwire

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// Column says what the values of a sample type become.
type Column struct {
	// Index is that of the sample type.
	Index int
	// Kind and Type are those of the OTLP profile that has the values.
	Kind string
	Type profile.ValueType
	// Divide is what values are divided by, and then rounded; 0 and 1 leave them.
	Divide int64
}

// pairs are our own kinds that two sample types tell.
var pairs = []string{profile.KindLock, profile.KindLockIdle, profile.KindOffCPU, profile.KindSyscall, profile.KindGPU}

// Types returns the sample types as text.
func (p *Profile) Types() []profile.ValueType {
	types := make([]profile.ValueType, len(p.SampleTypes))
	for i, t := range p.SampleTypes {
		types[i] = p.valueType(t)
	}
	return types
}

func (p *Profile) valueType(t ValueType) profile.ValueType {
	return profile.ValueType{Type: strings.Clone(p.Text(t.Type)), Unit: strings.Clone(p.Text(t.Unit))}
}

// Columns says what becomes of each sample type of p, by the conventions of package
// profile. An empty kind is what the sample types say: our own kind if they have
// its types, otherwise each type is a kind of its own. Types beside those of one of
// our own kinds become kinds of their own too, but for CPU time beside CPU samples,
// which is their number times the period.
//
// It is an error if kind is one of our own and its first type is not there.
func (p *Profile) Columns(kind string) ([]Column, error) {
	types, period := p.Types(), p.valueType(p.PeriodType)
	if kind == "" {
		kind = kindOf(types, period, p.Period)
	}
	own := profile.Types(kind)
	if own == nil {
		return p.rest(nil, types, kind), nil
	}
	var columns []Column
	for _, t := range own {
		if i := slices.Index(types, t); i >= 0 {
			columns = append(columns, Column{Index: i, Kind: kind, Type: t})
		}
	}
	if i := slices.Index(types, profile.CPUTime); kind == profile.KindCPU && len(columns) == 0 && i >= 0 && p.Period > 0 {
		columns = []Column{{Index: i, Kind: kind, Type: own[0], Divide: p.Period}}
	}
	if len(columns) == 0 || columns[0].Type != own[0] {
		return nil, fmt.Errorf("convert pprof: %w: kind %q needs sample type %s/%s; there are %q", ErrInvalid, kind, own[0].Type, own[0].Unit, types[:min(len(types), 8)])
	}
	return p.rest(columns, types, ""), nil
}

// rest appends columns for the types that have none.
func (p *Profile) rest(columns []Column, types []profile.ValueType, kind string) []Column {
	ofCPU := len(columns) > 0 && columns[0].Kind == profile.KindCPU
	for i, t := range types {
		if ofCPU && t == profile.CPUTime || slices.ContainsFunc(columns, func(c Column) bool { return c.Index == i }) {
			continue
		}
		k := kind
		if k == "" {
			k = profile.KindOf(t, profile.ValueType{})
		}
		columns = append(columns, Column{Index: i, Kind: k, Type: t})
	}
	return columns
}

// kindOf returns which of our own kinds a profile is, empty if none.
func kindOf(types []profile.ValueType, period profile.ValueType, periodValue int64) string {
	has := func(t profile.ValueType) bool { return slices.Contains(types, t) }
	for _, kind := range pairs {
		if own := profile.Types(kind); has(own[0]) && has(own[1]) {
			return kind
		}
	}
	ofCPU := period.Type == "cpu"
	switch samples := has(profile.Types(profile.KindCPU)[0]); {
	case samples && (ofCPU || has(profile.CPUTime)), ofCPU && has(profile.CPUTime) && periodValue > 0:
		return profile.KindCPU
	}
	return ""
}
