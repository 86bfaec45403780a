package diff

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// Normalize says what of the two sides is held against each other.
type Normalize uint8

const (
	// None compares what was counted, as it is.
	None Normalize = iota
	// Share compares shares of the total of each side: how what was done changed,
	// whatever the load.
	Share
	// Rate compares what was counted per second of each window.
	Rate
)

// String returns the name that requests have for n.
func (n Normalize) String() string {
	return [...]string{None: "none", Share: "share", Rate: "rate"}[n]
}

// Window is one of the two profiles that are compared.
type Window struct {
	// Merge holds the observations. It is not changed, and its frames are shared
	// with the result.
	Merge *profilestore.Merge
	// Start and End are the bounds that were asked for in Unix nanoseconds,
	// Start <= t < End; 0 is unbounded.
	Start, End int64
}

// duration returns the length of the window. A bound that was not asked for is
// that of the observations; 0 is a length that nothing tells.
func (w Window) duration(k *profilestore.KindMerge) time.Duration {
	start, end := w.Start, w.End
	if k != nil {
		start = cmp.Or(start, k.Start)
		end = cmp.Or(end, k.End)
	}
	if start <= 0 || end <= start {
		return 0
	}
	return time.Duration(end - start)
}

// Options say how to compare.
type Options struct {
	Normalize Normalize
	// MaxRows bounds the rows of the result; those that changed most are kept.
	MaxRows int
}

// Result says how two profiles of one kind differ.
type Result struct {
	Kind string
	// Types are the sample types of the values, those of the kind if neither side
	// has observations.
	Types                []profile.ValueType
	Normalize            Normalize
	Baseline, Comparison Totals
	// Rows has what is on either side, sorted by how much it changed in terms of
	// Normalize, largest first, then by stack and number.
	Rows []Row
	// Truncated is true if rows are missing: because of MaxRows, or because the
	// merges had not all of them.
	Truncated bool
}

// Totals are of one side, over everything, whatever rows are left out.
type Totals struct {
	// Count is the number of observations; of cpu, the samples. cpu, lock and
	// off_cpu leave out what came without a stack.
	Count uint64
	// Values are the sums of each sample type.
	Values [profile.MaxTypes]int64
	// Measure is the sum of what rows are measured by: calls of syscall, the
	// first value of every other kind.
	Measure int64
	// Duration is the length of the window, 0 if it is not known: the window has
	// an open bound and no two observations.
	Duration time.Duration
}

// Row compares one stack, stack and lock, or system call.
type Row struct {
	// Stack and Frames are the stack, leaf first; system calls have none. Of the
	// stacks that the row is of, it is the largest one of the baseline, or of the
	// comparison if the baseline has none.
	Stack  profile.ID
	Frames []*profile.Frame
	// Number is the address of the lock (lock) or the number of the system call
	// (syscall).
	Number uint64
	// Name is the name of the system call as its producer gave it, empty if it
	// did not.
	Name                 string
	Baseline, Comparison Values
	Change
}

// Values are what was observed on one side, zero if nothing was.
type Values struct {
	// Count is the number of observations; of cpu, the samples.
	Count  uint64
	Values [profile.MaxTypes]int64
}

// Change says how what a row is measured by (see [Totals]) changed.
type Change struct {
	// Delta is comparison minus baseline.
	Delta int64
	// DeltaPercent is the change relative to the baseline in percent, of shares or
	// rates if they are compared. It is 0 if there is no baseline or the rates are
	// not known.
	DeltaPercent float64
	// BaselineShare and ComparisonShare are the parts of the totals, 0 to 1.
	BaselineShare, ComparisonShare float64
	// DeltaPerSecond is the difference of the rates, NaN if the length of a window
	// is not known.
	DeltaPerSecond float64
	// PValue is the significance of the difference of the counts of observations,
	// see [PValue]. The exposures are the totals of both sides if shares are
	// compared, else the lengths of the windows, or equal if these are not known.
	// It is NaN if there is no telling: an exposure is 0, or the merge of a side
	// did not have all rows.
	PValue float64
	Status Status
}

// Status says on which sides something is.
type Status uint8

const (
	// Unchanged has equal values and counts on both sides.
	Unchanged Status = iota
	// Changed is on both sides with different values.
	Changed
	// New is in the comparison only.
	New
	// Gone is in the baseline only.
	Gone
)

// String returns the name of s as it is written.
func (s Status) String() string {
	return [...]string{Unchanged: "unchanged", Changed: "changed", New: "new", Gone: "gone"}[s]
}

// Compute compares the observations of kind in two windows. Stacks are matched
// by their functions and modules, so that those of two builds of a program are the
// same, frames without a function by build and address; locks by address and
// stack, system calls by number. Stacks of one side that match are one row. The
// merges must tell locks apart for lock, and system calls for syscall; they should
// have all rows: one that a truncated side does not have is left out if it is no
// larger than what that side left out, else its missing count is taken for 0. The
// significance of what a truncated side may have more of is not known.
func Compute(kind string, baseline, comparison Window, o Options) *Result {
	bk, ck := kindsOf(kind, baseline.Merge, comparison.Merge)
	by := new(symbols)
	b, c := newSide(baseline, bk, kind, by), newSide(comparison, ck, kind, by)
	r := &Result{Kind: kind, Types: profile.Types(kind), Normalize: o.Normalize, Baseline: b.totals, Comparison: c.totals}
	switch {
	case bk != nil:
		r.Types = bk.Types
	case ck != nil:
		r.Types = ck.Types
	}
	j := join{kind: kind, baseline: b, comparison: c, measure: newMeasure(o.Normalize, &b.totals, &c.totals)}
	pairs, complete := j.pairs()
	slices.SortFunc(pairs, func(x, y pair) int {
		a, b := x.any(), y.any()
		return cmp.Or(cmp.Compare(y.change, x.change), a.stack.Compare(b.stack), cmp.Compare(a.key.number, b.key.number))
	})
	r.Truncated = !complete || len(pairs) > o.MaxRows
	pairs = pairs[:min(len(pairs), o.MaxRows)]
	r.Rows = make([]Row, len(pairs))
	for i := range pairs {
		j.fill(&r.Rows[i], &pairs[i])
	}
	return r
}

// measure turns what was measured on both sides into what is compared.
type measure struct {
	normalize            Normalize
	baseline, comparison float64 // factors
	// a and b are the exposures of the counts.
	a, b float64
	// unknown is true if rates are compared that are not known; what was counted
	// then stands in for them in the order of rows.
	unknown bool
}

func newMeasure(n Normalize, b, c *Totals) measure {
	m := measure{normalize: n, baseline: 1, comparison: 1, a: b.Duration.Seconds(), b: c.Duration.Seconds()}
	known := b.Duration > 0 && c.Duration > 0
	switch {
	case n == Share:
		m.baseline, m.comparison = inverse(float64(b.Measure)), inverse(float64(c.Measure))
		m.a, m.b = float64(b.Count), float64(c.Count)
	case n == Rate && known:
		m.baseline, m.comparison = 1/m.a, 1/m.b
	case n == Rate:
		m.unknown = true
	case !known:
		m.a, m.b = 1, 1
	}
	return m
}

// compare returns how much larger the comparison is, and in percent of the
// baseline.
func (m *measure) compare(baseline, comparison int64) (delta, percent float64) {
	x, y := float64(baseline)*m.baseline, float64(comparison)*m.comparison
	delta = y - x
	if m.normalize == None {
		// Two large numbers can differ by less than doubles do.
		delta = float64(profile.Sub(comparison, baseline))
	}
	if x == 0 || m.unknown {
		return delta, 0
	}
	return delta, delta / x * 100
}

func inverse(v float64) float64 {
	if v == 0 {
		return 0
	}
	return 1 / v
}

// share returns the part of a total; of nothing, every part is 0.
func share(v, total int64) float64 { return float64(v) * inverse(float64(total)) }

// perSecond returns a rate, NaN if the time is not known.
func perSecond(v int64, d time.Duration) float64 {
	if d <= 0 {
		return math.NaN()
	}
	return float64(v) / d.Seconds()
}
