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
	g := newGraph(w, p.Merge, p.Kind, 0, p.types(), o, nil)
	g.colour = func(n *graphNode) string { return frameColour(n.frame) }
	g.measures = func(n *graphNode) string {
		return fmt.Sprintf("%s, %.2f%%", formatValue(n.totals[0], g.unit), 100*float64(n.totals[0])/float64(g.total))
	}
	for _, c := range frameClasses {
		g.legend = append(g.legend, legendEntry{c.colour(0, 0), c.name})
	}
	g.document(o, g.notes(p), nil)
	return g.out.Flush()
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
		notes = append(notes, fmt.Sprintf("%s call paths narrower than %g px, and what they call, are not drawn", group(int64(g.cut)), svgMinWidth))
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
	unit  profile.ValueType
	width float64 // of the root in pixels
	total int64   // of the root
	value int     // that widths are
	// colour returns the colour of a node, measures what its title says behind its
	// name, without ` (` in it.
	colour, measures func(*graphNode) string
	legend           []legendEntry

	// nodes are those that are drawn, callers before what they call.
	nodes  []graphNode
	levels int // of nodes
	cut    int // call paths that are too narrow

	scratch bytes.Buffer
	number  []byte
}

// graphNode is a node that is drawn. There are no more of them than there is room
// for, however many stacks there are.
type graphNode struct {
	frame  *profile.Frame // nil for the root
	depth  int32
	start  int64 // in the unit of values
	totals flame.Values
	p      float64 // significance, of a graph that compares
}

// newGraph lays out the graph of rows of k, a kind of m. visit, if it is not nil,
// is told about every call path whose caller is drawn.
func newGraph(w io.Writer, m *profilestore.Merge, k *profilestore.KindMerge, value int, types []profile.ValueType, o SVGOptions, visit func(*flame.Step)) *graph {
	g := &graph{out: bufio.NewWriterSize(w, flushAt), value: value, width: float64(o.Width) - 2*svgMargin}
	if len(types) > 0 {
		g.unit = types[0]
	}
	// next is where the next callee of each node on the way begins.
	next := []int64{0}
	flame.Walk(m, k, flame.Options{SkipEmpty: true}, func(s *flame.Step) bool {
		if visit != nil {
			visit(s)
		}
		v := s.Total[value]
		if s.Depth == 0 {
			g.total = v
		}
		start := next[s.Depth]
		next[s.Depth] = profile.Add(next[s.Depth], max(v, 0))
		next = append(next[:s.Depth+1], start)
		if g.total <= 0 || g.pixels(v) < svgMinWidth {
			if s.Depth > 0 && v != 0 {
				g.cut++
			}
			// There is nothing to draw; who looks on may see what there is.
			return s.Depth == 0 && visit != nil
		}
		g.levels = max(g.levels, s.Depth+1)
		g.nodes = append(g.nodes, graphNode{frame: s.Symbol.Frame, depth: int32(s.Depth), start: start, totals: s.Total})
		return true
	})
	return g
}

func (g *graph) pixels(value int64) float64 { return float64(value) / float64(g.total) * g.width }

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
