package export

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/diff"
	"github.com/aperture-collector/aperture-collector/internal/flame"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// DiffSVGOptions say how a differential flame graph looks.
type DiffSVGOptions struct {
	SVGOptions
	// Baseline draws what was in the baseline, else what is in the comparison.
	Baseline bool
}

// Values of the nodes of a differential flame graph.
const (
	baselineValue = iota
	comparisonValue
	baselineCount
	comparisonCount
)

// WriteDiffSVG writes r as a flame graph like that of [WriteSVG]. Frames are as
// wide as their totals on the side that is drawn; red ones became more in terms of
// r.Normalize, blue ones less, as brightly as they did so. What is on the other
// side only is not in the graph: the largest of it are listed below.
//
// It stops at the first error of w and returns it.
func WriteDiffSVG(w io.Writer, r *diff.Result, o DiffSVGOptions) error {
	d := &diffGraph{r: r, drawn: comparisonValue, other: baselineValue}
	if o.Baseline {
		d.drawn, d.other = d.other, d.drawn
	}
	types := r.Types
	if r.Kind == profile.KindSyscall && len(types) > 1 {
		types = types[1:] // measured by calls
	}
	m := d.merge()
	d.graph = newGraph(w, m, &m.Kinds[0], d.drawn, types, o.SVGOptions, d.visit)
	d.graph.colour, d.graph.measures = d.colour, d.measures
	d.scale()
	d.graph.legend = []legendEntry{
		{changeColour(-1), "less than in the baseline"},
		{changeColour(0), "the same"},
		{changeColour(1), "more than in the baseline"},
	}
	if d.counts() {
		d.graph.legend = append(d.graph.legend, legendEntry{noiseColour, "chance explains it: p of 0.05 or more"})
	}
	d.graph.document(o.SVGOptions, d.notes(), d.missingLines())
	return d.graph.out.Flush()
}

type diffGraph struct {
	*graph
	r *diff.Result
	// drawn is the value that is, other that of the other side.
	drawn, other int
	// factors turn the values of both sides into what is compared; full is the
	// change that has the brightest colour.
	factors [2]float64
	full    float64
	// last is the change of changed.
	changed *graphNode
	last    diff.Change

	// path has the names on the way to the node that is visited.
	path []string
	// missing is the largest of what is on the other side only; there are so many
	// with this sum, of the total of the other side.
	missing                              []missingPath
	missingCount, missingSum, otherTotal int64
}

// missingPath is the first node of a call path that is on the other side only.
type missingPath struct {
	value int64
	text  string
}

// merge returns the rows of both sides as one kind.
func (d *diffGraph) merge() *profilestore.Merge {
	rows := d.r.Rows
	m := &profilestore.Merge{Stacks: make([]profilestore.Stack, len(rows))}
	k := profilestore.KindMerge{Kind: d.r.Kind, Rows: make([]profilestore.Row, len(rows))}
	for i := range rows {
		row := &rows[i]
		m.Stacks[i].Frames = row.Frames
		if d.r.Kind == profile.KindSyscall {
			m.Stacks[i].Frames = []*profile.Frame{syscallFrame(&profilestore.SyscallStats{Number: int64(row.Number), Name: row.Name})}
		}
		out := &k.Rows[i]
		out.Stack = int32(i)
		out.Values[baselineValue], out.Values[comparisonValue] = d.r.Measured(row)
		out.Values[baselineCount], out.Values[comparisonCount] = int64(row.Baseline.Count), int64(row.Comparison.Count)
	}
	m.Kinds = []profilestore.KindMerge{k}
	return m
}

// counts reports whether what is measured is what the significance is of.
func (d *diffGraph) counts() bool { return d.unit.Unit == "count" }

// change is asked for twice of each node that is drawn, and the significance in it
// takes time.
func (d *diffGraph) change(n *graphNode) *diff.Change {
	if n != d.changed {
		d.changed, d.last = n, d.r.Change(diff.Sums{
			Baseline: n.totals[baselineValue], Comparison: n.totals[comparisonValue],
			BaselineCount: uint64(max(n.totals[baselineCount], 0)), ComparisonCount: uint64(max(n.totals[comparisonCount], 0)),
		})
	}
	return &d.last
}

// delta returns the change in terms of what is compared.
func (d *diffGraph) delta(n *graphNode) float64 {
	return float64(n.totals[comparisonValue])*d.factors[comparisonValue] - float64(n.totals[baselineValue])*d.factors[baselineValue]
}

// scale finds the brightest colour: the largest change, but at least a hundredth
// of everything, lest noise shine where nothing changed.
func (d *diffGraph) scale() {
	sides := [2]*diff.Totals{baselineValue: &d.r.Baseline, comparisonValue: &d.r.Comparison}
	known := sides[0].Duration > 0 && sides[1].Duration > 0
	for i, t := range sides {
		switch {
		case d.r.Normalize == diff.Share:
			d.factors[i] = 1 / max(float64(t.Measure), 1)
		case d.r.Normalize == diff.Rate && known:
			d.factors[i] = 1 / t.Duration.Seconds()
		default:
			d.factors[i] = 1
		}
		d.full = max(d.full, float64(t.Measure)*d.factors[i]/100)
	}
	for i := range d.nodes {
		d.full = max(d.full, math.Abs(d.delta(&d.nodes[i])))
	}
}

const noiseColour = "hsl(60,8%,84%)"

func (d *diffGraph) colour(n *graphNode) string {
	if d.counts() && d.change(n).PValue >= 0.05 {
		return noiseColour
	}
	if d.full == 0 {
		return changeColour(0)
	}
	return changeColour(d.delta(n) / d.full)
}

// changeColour is blue at -1, white at 0 and red at 1.
func changeColour(change float64) string {
	darker := int(math.Round(30 * min(math.Abs(change), 1)))
	switch {
	case darker == 0:
		return "hsl(0,0%,94%)"
	case change < 0:
		return fmt.Sprintf("hsl(215,90%%,%d%%)", 94-darker)
	}
	return fmt.Sprintf("hsl(4,90%%,%d%%)", 94-darker)
}

// measures says both sides and how they differ.
func (d *diffGraph) measures(n *graphNode) string {
	c := d.change(n)
	side := func(value int64, share float64) string {
		return fmt.Sprintf("%s, %.2f%%", formatValue(value, d.unit), 100*share)
	}
	text := side(n.totals[comparisonValue], c.ComparisonShare) + "; baseline " +
		side(n.totals[baselineValue], c.BaselineShare) + "; "
	switch c.Status {
	case diff.New:
		text += "new"
	case diff.Gone:
		text += "gone"
	default:
		text += d.formatDelta(c) + fmt.Sprintf(", %+.1f%%", c.DeltaPercent)
	}
	if math.IsNaN(c.PValue) {
		return text
	}
	return text + fmt.Sprintf(", p = %.3g", c.PValue)
}

func (d *diffGraph) formatDelta(c *diff.Change) string {
	switch {
	case d.r.Normalize == diff.Share:
		return fmt.Sprintf("%+.2f points", 100*(c.ComparisonShare-c.BaselineShare))
	case d.r.Normalize == diff.Rate && !math.IsNaN(c.DeltaPerSecond):
		unit := d.unit.Unit
		if d.counts() {
			unit = d.unit.Type
		}
		return fmt.Sprintf("%+.4g %s/s", c.DeltaPerSecond, unit)
	case c.Delta > 0:
		return "+" + formatValue(c.Delta, d.unit)
	}
	return formatValue(c.Delta, d.unit)
}

func (d *diffGraph) notes() []string {
	widths, what := "comparison", "what is compared: "
	if d.drawn == baselineValue {
		widths = "baseline"
	}
	switch d.r.Normalize {
	case diff.Share:
		what += "shares of the totals"
	case diff.Rate:
		what += d.unit.Type + " per second"
	default:
		what += d.unit.Type
	}
	total := func(t *diff.Totals) string {
		text := formatValue(t.Measure, d.unit)
		if t.Duration > 0 {
			text += " in " + t.Duration.Round(time.Millisecond).String()
		}
		return text
	}
	notes := []string{
		fmt.Sprintf("%s %s: %s; baseline: %s", d.r.Kind, d.unit.Type, total(&d.r.Comparison), total(&d.r.Baseline)),
		"widths: " + widths + "; " + what,
	}
	if d.r.Truncated {
		notes = append(notes, "there are more stacks than the limit allows: smaller ones are not drawn")
	}
	return d.cutNote(notes)
}

// Bounds of the list of what is on the other side only: its length, and how many
// frames and about how many bytes a line says.
const (
	maxMissing       = 12
	maxMissingFrames = 6
	maxMissingText   = 2000
)

// visit notes what is on the other side only.
func (d *diffGraph) visit(s *flame.Step) {
	v := s.Total[d.other]
	if s.Depth == 0 {
		d.otherTotal = v
	}
	d.path = append(d.path[:s.Depth], s.Symbol.Name)
	if s.Total[d.drawn] != 0 || v == 0 || s.Depth == 0 {
		return
	}
	d.missingCount++
	d.missingSum = profile.Add(d.missingSum, v)
	if n := len(d.missing); n == maxMissing {
		if v <= d.missing[n-1].value {
			return
		}
		d.missing = d.missing[:n-1]
	}
	at, _ := slices.BinarySearchFunc(d.missing, v, func(p missingPath, v int64) int {
		if p.value >= v {
			return -1
		}
		return 1
	})
	d.missing = slices.Insert(d.missing, at, missingPath{v, d.callers()})
}

// callers names the node that is visited and its callers, the nearest first.
func (d *diffGraph) callers() string {
	var b strings.Builder
	frames := 0
	for _, name := range slices.Backward(d.path[1:]) {
		if frames > 0 {
			b.WriteString(" ← ")
		}
		if frames++; frames > maxMissingFrames || b.Len() > maxMissingText {
			b.WriteString("…")
			break
		}
		b.WriteString(name)
	}
	return b.String()
}

// missingLines lists the largest call paths that are on the other side only, each
// by the first of its frames that is.
func (d *diffGraph) missingLines() []string {
	if d.missingCount == 0 {
		return nil
	}
	what, side := "gone", "baseline"
	if d.drawn == baselineValue {
		what, side = "new", "comparison"
	}
	percent := func(v int64) float64 { return 100 * float64(v) / float64(max(d.otherTotal, 1)) }
	paths := "call paths"
	if d.missingCount == 1 {
		paths = "call path"
	}
	lines := []string{fmt.Sprintf("%s: %s %s, %.2f%% of the %s", what, group(d.missingCount), paths, percent(d.missingSum), side)}
	for _, p := range d.missing {
		lines = append(lines, fmt.Sprintf("%s: %s, %.2f%%: %s", what, formatValue(p.value, d.unit), percent(p.value), p.text))
	}
	return lines
}
