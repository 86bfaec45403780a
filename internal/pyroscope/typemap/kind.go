package typemap

import (
	"slices"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// NameCPU is the name of profiles of CPU time, which are of our kind cpu.
const NameCPU = "process_cpu"

// Kind returns the kind of profiles with the label `__name__`. All names but
// [NameCPU] are kinds themselves.
func Kind(name string) string {
	if name == NameCPU {
		return profile.KindCPU
	}
	return name
}

// Name returns the label `__name__` of profiles of a kind.
func Name(kind string) string {
	if kind == profile.KindCPU {
		return NameCPU
	}
	return kind
}

// Column says where the values of a profile type are among those of a row.
type Column struct {
	ID ID
	// Index is that of the row's types.
	Index int
	// PerPeriod says that the value is that of the row multiplied by the row's
	// period: CPU time of rows that have CPU samples only.
	PerPeriod bool
}

// Columns returns the profile types of rows of a kind with these types. CPU samples
// without CPU time are CPU time as well, see [Column.PerPeriod].
func Columns(kind string, types []profile.ValueType, period profile.ValueType) []Column {
	name := Name(kind)
	if kind == profile.KindCPU {
		// Profilers that only count say it of the period in their own words.
		period = profile.CPUTime
	}
	columns := make([]Column, 0, len(types)+1)
	for i, t := range types {
		columns = append(columns, Column{ID: ID{Name: name, Sample: t, Period: period}, Index: i})
	}
	samples := profile.Types(profile.KindCPU)[0]
	if i := slices.Index(types, samples); kind == profile.KindCPU && i >= 0 && !slices.Contains(types, profile.CPUTime) {
		columns = append(columns, Column{ID: ID{Name: name, Sample: profile.CPUTime, Period: period}, Index: i, PerPeriod: true})
	}
	return columns
}
