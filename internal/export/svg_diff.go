package export

import (
	"cmp"
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
	d := &diffGraph{r: r, value: comparisonValue}
	if o.Baseline {
		d.value = baselineValue
	}
	m := d.merge()
	d.tree = flame.Build(m, &m.Kinds[0], flame.Options{SkipEmpty: true})
	types := r.Types
	if r.Kind == profile.KindSyscall && len(types) > 1 {
		types = types[1:] // measured by calls
	}
	d.graph = newGraph(w, d.tree, d.value, types, o.SVGOptions)
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
	d.graph.document(o.SVGOptions, d.notes(), d.missing())
	return d.graph.out.Flush()
}

type diffGraph struct {
	*graph
	r    *diff.Result
	tree *flame.Tree
	// value is what is drawn.
	value int
	// full is the change that has the brightest colour.
	full float64
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

func (d *diffGraph) change(n int32) diff.Change {
	t := d.tree
	return d.r.Change(diff.Sums{
		Baseline: t.Total(n, baselineValue), Comparison: t.Total(n, comparisonValue),
		BaselineCount: uint64(max(t.Total(n, baselineCount), 0)), ComparisonCount: uint64(max(t.Total(n, comparisonCount), 0)),
	})
}

// delta returns the change in terms of what is compared.
func (d *diffGraph) delta(c diff.Change) float64 {
	switch {
	case d.r.Normalize == diff.Share:
		return c.ComparisonShare - c.BaselineShare
	case d.r.Normalize == diff.Rate && !math.IsNaN(c.DeltaPerSecond):
		return c.DeltaPerSecond
	}
	return float64(c.Delta)
}

// scale finds the brightest colour: the largest change, but at least a hundredth
// of everything, lest noise shine where nothing changed.
func (d *diffGraph) scale() {
	b, c := &d.r.Baseline, &d.r.Comparison
	switch {
	case d.r.Normalize == diff.Share:
		d.full = 1
	case d.r.Normalize == diff.Rate && b.Duration > 0 && c.Duration > 0:
		d.full = max(float64(b.Measure)/b.Duration.Seconds(), float64(c.Measure)/c.Duration.Seconds())
	default:
		d.full = float64(max(b.Measure, c.Measure))
	}
	d.full /= 100
	for n := range d.tree.Nodes {
		if d.drawn(int32(n)) {
			d.full = max(d.full, math.Abs(d.delta(d.change(int32(n)))))
		}
	}
}

const noiseColour = "hsl(60,8%,88%)"

func (d *diffGraph) colour(n int32) string {
	c := d.change(n)
	if d.counts() && c.PValue >= 0.05 {
		return noiseColour
	}
	if d.full == 0 {
		return changeColour(0)
	}
	return changeColour(d.delta(c) / d.full)
}

// changeColour is blue at -1, white at 0 and red at 1.
func changeColour(change float64) string {
	hue := 4
	if change < 0 {
		hue = 215
	}
	return fmt.Sprintf("hsl(%d,90%%,%d%%)", hue, 94-int(math.Round(30*min(math.Abs(change), 1))))
}

// measures says both sides and how they differ.
func (d *diffGraph) measures(n int32) string {
	c := d.change(n)
	side := func(value int64, share float64) string {
		return fmt.Sprintf("%s, %.2f%%", formatValue(value, d.unit), 100*share)
	}
	text := side(d.tree.Total(n, comparisonValue), c.ComparisonShare) + "; baseline " +
		side(d.tree.Total(n, baselineValue), c.BaselineShare) + "; "
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

func (d *diffGraph) formatDelta(c diff.Change) string {
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
	drawn, what := "comparison", "what is compared: "
	if d.value == baselineValue {
		drawn = "baseline"
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
		"widths: " + drawn + "; " + what,
	}
	if d.r.Truncated {
		notes = append(notes, "there are more stacks than the limit allows: smaller ones are not drawn")
	}
	return d.cutNote(notes)
}

// maxMissing bounds the list of what is on the other side only.
const maxMissing = 12

// missing lists the largest call paths that are on the other side only, each by
// the first of its frames that is.
func (d *diffGraph) missing() []string {
	other, what, side := baselineValue, "gone", "baseline"
	if d.value == baselineValue {
		other, what, side = comparisonValue, "new", "comparison"
	}
	t := d.tree
	var nodes []int32
	sum := int64(0)
	for i := range t.Nodes {
		n, parent := int32(i), t.Nodes[i].Parent
		if i == 0 || t.Total(n, d.value) != 0 || t.Total(n, other) == 0 || parent != 0 && t.Total(parent, d.value) == 0 {
			continue
		}
		nodes = append(nodes, n)
		sum += t.Total(n, other)
	}
	if len(nodes) == 0 {
		return nil
	}
	slices.SortStableFunc(nodes, func(a, b int32) int { return cmp.Compare(t.Total(b, other), t.Total(a, other)) })
	percent := func(v int64) float64 {
		return 100 * float64(v) / float64(max(t.Total(0, other), 1))
	}
	lines := []string{fmt.Sprintf("%s: %s call paths, %.2f%% of the %s", what, group(int64(len(nodes))), percent(sum), side)}
	for _, n := range nodes[:min(len(nodes), maxMissing)] {
		line := fmt.Sprintf("%s: %s, %.2f%%: ", what, formatValue(t.Total(n, other), d.unit), percent(t.Total(n, other)))
		lines = append(lines, line+d.path(n))
	}
	return lines
}

// path names a node and its callers, the nearest first.
func (d *diffGraph) path(n int32) string {
	const few, long = 6, 2000
	var names []string
	size := 0
	for ; n != 0 && len(names) < few && size < long; n = d.tree.Nodes[n].Parent {
		name := d.tree.Symbols[d.tree.Nodes[n].Symbol].Name
		names = append(names, name)
		size += len(name)
	}
	if n != 0 {
		names = append(names, "…")
	}
	return strings.Join(names, " ← ")
}
