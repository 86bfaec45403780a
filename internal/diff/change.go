package diff

import (
	"math"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// Sums are of some rows of a [Result], e.g. of all that have a function.
type Sums struct {
	// Baseline and Comparison are what rows are measured by, see [Totals].
	Baseline, Comparison int64
	// BaselineCount and ComparisonCount are observations.
	BaselineCount, ComparisonCount uint64
}

// Change says how the sums of some rows changed, as [Row] does for one.
func (r *Result) Change(s Sums) Change {
	c := r.Size(s)
	c.PValue = r.PValue(s)
	return c
}

// Size is [Result.Change] without the PValue, which takes most of the time.
func (r *Result) Size(s Sums) Change {
	m := newMeasure(r.Normalize, &r.Baseline, &r.Comparison)
	return m.size(&r.Baseline, &r.Comparison, s)
}

// PValue is that of [Result.Change].
func (r *Result) PValue(s Sums) float64 {
	if r.Truncated {
		// Rows that are not there may have been part of it.
		return math.NaN()
	}
	m := newMeasure(r.Normalize, &r.Baseline, &r.Comparison)
	return m.pValue(s)
}

// Measured returns what a row of r is measured by.
func (r *Result) Measured(row *Row) (baseline, comparison int64) {
	return measured(r.Kind, row.Baseline.Count, row.Baseline.Values[0]), measured(r.Kind, row.Comparison.Count, row.Comparison.Values[0])
}

func (m *measure) pValue(s Sums) float64 {
	return PValue(s.BaselineCount, s.ComparisonCount, m.a, m.b)
}

// size leaves out the PValue.
func (m *measure) size(b, c *Totals, s Sums) Change {
	x, y := s.Baseline, s.Comparison
	out := Change{
		Delta:         profile.Sub(y, x),
		BaselineShare: share(x, b.Measure), ComparisonShare: share(y, c.Measure),
		DeltaPerSecond: perSecond(y, c.Duration) - perSecond(x, b.Duration),
	}
	_, out.DeltaPercent = m.compare(x, y)
	switch {
	case x == y && s.BaselineCount == s.ComparisonCount:
	case x == 0 && s.BaselineCount == 0:
		out.Status = New
	case y == 0 && s.ComparisonCount == 0:
		out.Status = Gone
	default:
		out.Status = Changed
	}
	return out
}
