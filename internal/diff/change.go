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
	m := newMeasure(r.Normalize, &r.Baseline, &r.Comparison)
	c := m.change(&r.Baseline, &r.Comparison, s)
	if r.Truncated {
		// Rows that are not there may have been part of it.
		c.PValue = math.NaN()
	}
	return c
}

// Measured returns what a row of r is measured by.
func (r *Result) Measured(row *Row) (baseline, comparison int64) {
	return measured(r.Kind, row.Baseline.Count, row.Baseline.Values[0]), measured(r.Kind, row.Comparison.Count, row.Comparison.Values[0])
}

func (m *measure) change(b, c *Totals, s Sums) Change {
	x, y := s.Baseline, s.Comparison
	out := Change{
		Delta:         profile.Sub(y, x),
		BaselineShare: share(x, b.Measure), ComparisonShare: share(y, c.Measure),
		DeltaPerSecond: perSecond(y, c.Duration) - perSecond(x, b.Duration),
		PValue:         PValue(s.BaselineCount, s.ComparisonCount, m.a, m.b),
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
