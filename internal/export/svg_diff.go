package export

import (
	"fmt"
	"io"
	"math"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/diff"
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
	d.test()
	d.graph.legend = []legendEntry{
		{changeColour(-1), "less than in the baseline"},
		{changeColour(0), "the same"},
		{changeColour(1), "more than in the baseline"},
	}
	if d.counts() {
		d.graph.legend = append(d.graph.legend, legendEntry{noiseColour, "chance explains it"})
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
	// noise is the p-value above which chance explains a change.
	noise float64

	// path has the names on the way to the node that is visited.
	path []string
	// missing is the largest of what is on the other side only; there are so many
	// with this sum, of the total of the other side.
	missing                              []missingPath
	missingCount, missingSum, otherTotal int64
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

// sums are what a node has of both sides.
func (n *graphNode) sums() diff.Sums {
	return diff.Sums{
		Baseline: n.totals[baselineValue], Comparison: n.totals[comparisonValue],
		BaselineCount: uint64(max(n.totals[baselineCount], 0)), ComparisonCount: uint64(max(n.totals[comparisonCount], 0)),
	}
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

// noiseRate is the share of the coloured frames whose change is expected to be
// chance, at most.
const noiseRate = 0.05

// test finds the significance of all frames that are drawn, and what of it is noise:
// of hundreds in which nothing changed, some have a p-value that would mean something
// of a single one.
func (d *diffGraph) test() {
	p := make([]float64, 0, len(d.nodes))
	for i := range d.nodes {
		n := &d.nodes[i]
		n.p = d.r.PValue(n.sums())
		if n.depth > 0 {
			p = append(p, n.p)
		}
	}
	d.noise = diff.Discoveries(p, noiseRate)
}

func (d *diffGraph) colour(n *graphNode) string {
	if d.counts() && n.p > d.noise {
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
	c := d.r.Size(n.sums())
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
		text += d.formatDelta(&c) + fmt.Sprintf(", %+.1f%%", c.DeltaPercent)
	}
	if math.IsNaN(n.p) {
		return text
	}
	return text + fmt.Sprintf(", p = %.3g", n.p)
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
	if d.counts() {
		notes = append(notes, fmt.Sprintf("grey: changes that chance explains; %g%% of the coloured ones at most are expected to be chance, too", 100*noiseRate))
	}
	if d.r.Truncated {
		notes = append(notes, "there are more stacks than the limit allows: smaller ones are not drawn")
	}
	return d.cutNote(notes)
}
