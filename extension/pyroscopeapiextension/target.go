package pyroscopeapiextension

import (
	"fmt"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/typemap"
)

// defaultPeriod is that of profiles of the processor that have none, in nanoseconds:
// 100 samples a second, as Pyroscope takes those without a rate.
const defaultPeriod = 10_000_000

// target says which sums of the store are of a profile type.
type target struct{ id typemap.ID }

// restrict has sel select profiles that may be of the type. CPU profiles are of one
// period type, whatever they say.
func (t target) restrict(sel *profilestore.Selector) {
	kind := typemap.Kind(t.id.Name)
	sel.Kinds = []string{kind}
	if kind != profile.KindCPU {
		period := t.id.Period
		sel.PeriodType = &period
	}
}

// byPeriod reports whether sums of profiles with different periods must be kept apart.
func (t target) byPeriod() bool {
	return t.id.Name == typemap.NameCPU && t.id.Sample == profile.CPUTime
}

// observed is [target.column] of single observations, of which only the values of the
// first type are kept. Those of samples of the processor tell the time.
func (t target) observed(types []profile.ValueType, period int64) (scale int64, ok bool, err error) {
	column, scale, ok := t.column(types, period)
	if ok && t.byPeriod() && column > 0 {
		column, scale, ok = t.column(types[:1], period)
	}
	if ok && column > 0 {
		return 0, false, fmt.Errorf("%s of single spans, traces and profiles: %w: %s is kept of them", t.id, errUnsupported, types[0].Type)
	}
	return scale, ok, nil
}

// column returns which of the values of these types are of the type, and what they are
// multiplied by; ok is false if none is.
func (t target) column(types []profile.ValueType, period int64) (column int, scale int64, ok bool) {
	for _, c := range typemap.Columns(typemap.Kind(t.id.Name), types, t.id.Period) {
		switch {
		case c.ID != t.id || c.Index >= profile.MaxTypes:
		case !c.PerPeriod:
			return c.Index, 1, true
		case period > 0:
			return c.Index, period, true
		default:
			return c.Index, defaultPeriod, true
		}
	}
	return 0, 0, false
}
