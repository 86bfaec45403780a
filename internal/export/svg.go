package export

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/flame"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// Widths of flame graphs in pixels.
const (
	DefaultSVGWidth = 1200
	MinSVGWidth     = 300
	MaxSVGWidth     = 10_000
)

// The script and the style are part of every flame graph: it works offline.
var (
	//go:embed svg.js
	svgScript string
	//go:embed svg.css
	svgStyle string
)

// SVGPolicy is the Content-Security-Policy that flame graphs should be served
// with: names come from others, so nothing but the script that we wrote may run,
// and it may reach nothing.
var SVGPolicy = func() string {
	hash := sha256.Sum256([]byte(svgScript))
	return "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-" +
		base64.StdEncoding.EncodeToString(hash[:]) + "'; sandbox allow-scripts allow-modals"
}()

// SVGOptions say how a flame graph looks.
type SVGOptions struct {
	Title string
	// Width in pixels, from MinSVGWidth to MaxSVGWidth.
	Width int
}

// WriteSVG writes the first type of p as an interactive flame graph in one file,
// in the idiom of flamegraph.pl: callers below what they call, as wide as their
// totals, in order of name. Colours tell kinds of frames apart. What is narrower
// than a tenth of a pixel is not drawn, and a note says how much that is. Frames
// have their exact start and total as data-s and data-v.
//
// It stops at the first error of w and returns it.
func WriteSVG(w io.Writer, p *Profile, o SVGOptions) error {
	k := *p.Kind
	k.Rows = withStack(p)
	tree := flame.Build(p.Merge, &k, flame.Options{})
	g := newGraph(w, tree, 0, p.types(), o)
	g.colour = func(n int32) string { return frameColour(&tree.Symbols[tree.Nodes[n].Symbol]) }
	g.measures = func(n int32) string {
		value := tree.Total(n, 0)
		return fmt.Sprintf("%s, %.2f%%", formatValue(value, g.unit), 100*float64(value)/float64(g.total))
	}
	for _, c := range frameClasses {
		g.legend = append(g.legend, legendEntry{c.colour(0, 0), c.name})
	}
	g.document(o, g.notes(p), nil)
	return g.out.Flush()
}

// newGraph lays out the graph of a tree whose widths are those of a value.
func newGraph(w io.Writer, tree *flame.Tree, value int, types []profile.ValueType, o SVGOptions) *graph {
	g := &graph{
		out: bufio.NewWriterSize(w, flushAt), tree: tree, value: value,
		width: float64(o.Width) - 2*svgMargin, total: tree.Total(0, value),
	}
	if len(types) > 0 {
		g.unit = types[0]
	}
	g.layout()
	return g
}

// withStack returns the rows that have a stack.
func withStack(p *Profile) []profilestore.Row {
	rows := make([]profilestore.Row, 0, len(p.Kind.Rows))
	for i := range p.Kind.Rows {
		if len(p.frames(&p.Kind.Rows[i])) > 0 {
			rows = append(rows, p.Kind.Rows[i])
		}
	}
	return rows
}

// notes are the lines below the title.
func (g *graph) notes(p *Profile) []string {
	k := p.Kind
	notes := []string{fmt.Sprintf("%s %s, %s to %s: %s", k.Kind, g.unit.Type, svgTime(k.Start), svgTime(k.End), formatValue(g.total, g.unit))}
	if k.StacklessValue != 0 && !p.BySyscall {
		notes = append(notes, formatValue(k.StacklessValue, g.unit)+" came without a stack and are not drawn")
	}
	if n := k.TotalRows - len(k.Rows); n > 0 {
		notes = append(notes, fmt.Sprintf("%s smaller stacks are beyond the limit and are not drawn", group(int64(n))))
	}
	return g.cutNote(notes)
}

func svgTime(ns int64) string { return time.Unix(0, ns).UTC().Format("2006-01-02 15:04:05.000 UTC") }

// cutNote adds how much is not drawn.
func (g *graph) cutNote(notes []string) []string {
	if g.cut > 0 {
		notes = append(notes, fmt.Sprintf("%s call paths narrower than %g px are not drawn", group(int64(g.cut)), svgMinWidth))
	}
	return notes
}

// text writes s escaped for XML; what XML cannot have becomes U+FFFD.
func (g *graph) text(s string) {
	g.scratch.Reset()
	// A buffer takes all.
	_ = xml.EscapeText(&g.scratch, []byte(s))
	_, _ = g.out.Write(g.scratch.Bytes())
}

// graph is a flame graph that is being drawn. Errors of out stay in it.
type graph struct {
	out   *bufio.Writer
	tree  *flame.Tree
	unit  profile.ValueType
	width float64 // of the root in pixels
	total int64
	value int // of the tree's, that widths are
	// colour returns the colour of a node, measures what its title says behind its
	// name, without ` (` in it.
	colour, measures func(node int32) string
	legend           []legendEntry

	start  []int64 // of each node, in the unit of values
	depth  []int32 // of each node, the root's is 0
	levels int     // that are drawn
	cut    int     // nodes not drawn

	scratch bytes.Buffer
	number  []byte
}

// layout finds out where the nodes are. Parents come before their children.
func (g *graph) layout() {
	nodes := g.tree.Nodes
	g.start, g.depth = make([]int64, len(nodes)), make([]int32, len(nodes))
	for n := range nodes {
		if !g.drawn(int32(n)) {
			if n > 0 && g.tree.Total(int32(n), g.value) != 0 {
				g.cut++
			}
			continue
		}
		g.levels = max(g.levels, int(g.depth[n])+1)
		at := g.start[n]
		for c := nodes[n].Child; c != 0; c = nodes[c].Sibling {
			g.start[c], g.depth[c] = at, g.depth[n]+1
			at += max(g.tree.Total(c, g.value), 0)
		}
	}
}

func (g *graph) pixels(value int64) float64 { return float64(value) / float64(g.total) * g.width }

func (g *graph) drawn(n int32) bool {
	return g.total > 0 && g.pixels(g.tree.Total(n, g.value)) >= svgMinWidth
}

// attribute writes an attribute with a number of at most two decimals.
func (g *graph) attribute(name string, v float64) {
	_, _ = g.out.WriteString(" " + name + `="`)
	g.number = strconv.AppendFloat(g.number[:0], v, 'f', 2, 64)
	g.number = bytes.TrimRight(g.number, "0")
	g.number = bytes.TrimSuffix(g.number, []byte("."))
	_, _ = g.out.Write(g.number)
	_ = g.out.WriteByte('"')
}

func (g *graph) intAttribute(name string, v int64) {
	_, _ = g.out.WriteString(" " + name + `="`)
	g.number = strconv.AppendInt(g.number[:0], v, 10)
	_, _ = g.out.Write(g.number)
	_ = g.out.WriteByte('"')
}
