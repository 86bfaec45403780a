package diff

import (
	"math"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// join finds the rows of both sides that belong together.
type join struct {
	kind                 string
	baseline, comparison *side
	measure              measure
}

// pair is a row of both sides; one of them may be nil. Sorting moves these, so
// they are small.
type pair struct {
	baseline, comparison *entry
	change               float64 // absolute
}

func (p *pair) any() *entry {
	if p.baseline != nil {
		return p.baseline
	}
	return p.comparison
}

// pairs returns all rows, in the order of the sides, and whether none had to be
// left out.
func (j *join) pairs() (list []pair, complete bool) {
	b, c := j.baseline.entries, j.comparison.entries
	complete = !j.baseline.cut && !j.comparison.cut
	list = make([]pair, 0, len(b)+len(c))
	for i := range b {
		list = append(list, pair{baseline: &b[i]})
	}
	for i := range c {
		if at, ok := j.baseline.index[c[i].key]; ok {
			list[at].comparison = &c[i]
		} else if !j.baseline.hides(&c[i]) {
			list = append(list, pair{comparison: &c[i]})
		}
	}
	kept := list[:0]
	for _, p := range list {
		if p.comparison == nil && j.comparison.hides(p.baseline) {
			continue
		}
		delta, _ := j.measure.compare(j.measured(p.baseline), j.measured(p.comparison))
		p.change = math.Abs(delta)
		kept = append(kept, p)
	}
	return kept, complete
}

// hides reports whether s may have left out a row like e, which it does not
// have: so it may be the same on both sides.
func (s *side) hides(e *entry) bool { return s.cut && e.values.Values[0] <= s.kept }

// lacks reports whether s may have left out a part of its own of a row like e.
func (s *side) lacks(own, e *entry) bool { return s.cut && (own == nil || e.named) }

// measured returns what a row is measured by.
func (j *join) measured(e *entry) int64 {
	if e == nil {
		return 0
	}
	return measured(j.kind, e.values.Count, e.values.Values[0])
}

func measured(kind string, count uint64, value int64) int64 {
	if kind == profile.KindSyscall {
		return saturate(count)
	}
	return value
}

func (j *join) fill(r *Row, p *pair) {
	e := p.any()
	r.Stack, r.Frames, r.Number, r.Name = e.stack, e.frames, e.key.number, e.name
	if r.Name == "" && p.comparison != nil {
		r.Name = p.comparison.name
	}
	r.Baseline, r.Comparison = j.values(p.baseline), j.values(p.comparison)
	sums := Sums{
		Baseline: j.measured(p.baseline), Comparison: j.measured(p.comparison),
		BaselineCount: r.Baseline.Count, ComparisonCount: r.Comparison.Count,
	}
	r.Change = j.measure.size(&j.baseline.totals, &j.comparison.totals, sums)
	r.Status = j.status(p)
	if j.baseline.lacks(p.baseline, e) || j.comparison.lacks(p.comparison, e) {
		r.PValue = math.NaN()
	} else {
		r.PValue = j.measure.pValue(sums)
	}
}

func (j *join) values(e *entry) Values {
	if e == nil {
		return Values{}
	}
	v := e.values
	if j.kind == profile.KindCPU {
		v.Count = countOf(v.Values[0])
	}
	return v
}

func (j *join) status(p *pair) Status {
	switch {
	case p.baseline == nil && !j.baseline.cut:
		return New
	case p.comparison == nil && !j.comparison.cut:
		return Gone
	case p.baseline != nil && p.comparison != nil && p.baseline.values == p.comparison.values:
		return Unchanged
	}
	return Changed
}
