package export

import (
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/aperture-collector/aperture-collector/internal/flame"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// Lengths in pixels.
const (
	svgMargin   = 10
	svgRow      = 16 // from level to level
	svgBar      = 15 // height of a frame
	svgMinWidth = 0.1
	// svgChar is how wide a character is, at most, in the fonts of the style.
	svgChar = 7.3
	svgLine = 16 // of text
)

// document writes everything: notes are lines below the title, below those under
// the graph.
func (g *graph) document(o SVGOptions, notes, below []string) {
	top := 34 + svgLine*len(notes)
	bottom := top + svgRow*g.levels
	height := bottom + svgLine*(3+len(below))
	printf := func(format string, args ...any) { _, _ = fmt.Fprintf(g.out, format, args...) }
	printf(`<?xml version="1.0" encoding="UTF-8"?>
<svg version="1.1" xmlns="http://www.w3.org/2000/svg" width="%[1]d" height="%[2]d" viewBox="0 0 %[1]d %[2]d">
<style>%[3]s</style>
<rect id="back" width="100%%" height="100%%" fill="#fbfbf5"/>
<text id="title" x="%[4]d" y="24">`, o.Width, height, svgStyle, o.Width/2)
	g.text(o.Title)
	printf("</text>\n")
	for i, note := range notes {
		printf(`<text class="note" x="%d" y="%d">`, o.Width/2, 24+svgLine*(i+1))
		g.text(note)
		printf("</text>\n")
	}
	printf(`<text id="reset" class="button hidden" x="%d" y="24">Reset Zoom</text>
<text id="search" class="button end" x="%d" y="24">Search</text>
<text id="details" x="%[1]d" y="%[3]d"></text>
<text id="matched" class="end" x="%[2]d" y="%[3]d"></text>
`, svgMargin, o.Width-svgMargin, height-svgLine/2)
	for i, line := range below {
		printf(`<text class="below" x="%d" y="%d">`, svgMargin, bottom+svgLine*(i+1))
		g.text(fitting(line, float64(o.Width-2*svgMargin)))
		printf("</text>\n")
	}
	g.drawLegend(height - svgLine*3/2 - 2)
	printf(`<g id="plot" data-x="%d" data-width="%g" data-char="%g">`+"\n", svgMargin, g.width, svgChar)
	for i := range g.nodes {
		n := &g.nodes[i]
		g.frame(n, top+svgRow*(g.levels-1-int(n.depth)))
	}
	printf("</g>\n<script><![CDATA[%s]]></script>\n</svg>\n", svgScript)
}

func (g *graph) frame(n *graphNode, y int) {
	value := n.totals[g.value]
	name := "all"
	fill := "#d8d8d8"
	if n.depth > 0 {
		name, fill = flame.Name(n.frame), g.colour(n)
	}
	x, w := svgMargin+g.pixels(n.start), g.pixels(value)
	_, _ = g.out.WriteString("<g")
	g.intAttribute("data-s", n.start)
	g.intAttribute("data-v", value)
	g.intAttribute("data-d", int64(n.depth))
	_, _ = g.out.WriteString("><title>")
	g.text(name)
	_, _ = fmt.Fprintf(g.out, " (%s)</title><rect", g.measures(n))
	g.attribute("x", x)
	g.intAttribute("y", int64(y))
	g.attribute("width", w)
	_, _ = fmt.Fprintf(g.out, ` height="%d" rx="2" fill="%s"/>`, svgBar, fill)
	if label := fitting(name, w); label != "" {
		_, _ = g.out.WriteString("<text")
		g.attribute("x", x+3)
		g.attribute("y", float64(y)+11.5)
		_ = g.out.WriteByte('>')
		g.text(label)
		_, _ = g.out.WriteString("</text>")
	}
	_, _ = g.out.WriteString("</g>\n")
}

// fitting returns as much of a name as fits into a width; the script does the same.
func fitting(name string, width float64) string {
	fit := int((width - 6) / svgChar)
	if fit < 3 {
		return ""
	}
	n := 0
	end := 0 // of what fits with dots behind it
	for i := range name {
		if n == fit-2 {
			end = i
		}
		if n++; n > fit {
			return name[:end] + ".."
		}
	}
	return name
}

// A frameClass is a group of values of profile.frame.type that have one colour.
type frameClass struct {
	name string
	// hue in degrees, saturation in percent.
	hue, saturation int
}

// Colours follow flamegraph.pl where it tells kinds of frames apart: orange for the
// kernel, yellow for native code, green for managed languages.
var (
	kernelClass  = frameClass{"kernel", 28, 90}
	nativeClass  = frameClass{"native", 50, 85}
	goClass      = frameClass{"Go", 190, 60}
	managedClass = frameClass{"JVM, Node.js, Python and others", 115, 50}
	unknownClass = frameClass{"not known", 5, 55}
)

var frameClasses = []frameClass{kernelClass, nativeClass, goClass, managedClass, unknownClass}

func classOf(frameType string) frameClass {
	switch frameType {
	case profile.FrameKernel:
		return kernelClass
	case profile.FrameNative, "rust":
		return nativeClass
	case profile.FrameGo:
		return goClass
	case "":
		return unknownClass
	}
	return managedClass
}

// frameColour is the colour of a frame's class in a shade that depends on the
// name, so that it is the same in every graph.
func frameColour(f *profile.Frame) string {
	c := classOf(f.Type)
	h := fnv.New32a()
	_, _ = h.Write([]byte(flame.Name(f)))
	shade := h.Sum32()
	return c.colour(int(shade%13)-6, int((shade>>8)%14)-7)
}

func (c frameClass) colour(hue, light int) string {
	return fmt.Sprintf("hsl(%d,%d%%,%d%%)", (c.hue+hue+360)%360, c.saturation, 68+light)
}

// legendEntry says what a colour means.
type legendEntry struct{ colour, text string }

func (g *graph) drawLegend(y int) {
	x := svgMargin
	for _, e := range g.legend {
		_, _ = fmt.Fprintf(g.out, `<rect x="%d" y="%d" width="11" height="11" rx="2" fill="%s"/><text class="legend" x="%d" y="%d">`,
			x, y-10, e.colour, x+15, y)
		g.text(e.text)
		_, _ = g.out.WriteString("</text>\n")
		x += 15 + int(float64(len(e.text)+2)*svgChar)
	}
}

// formatValue writes a value with its unit, exact for counts.
func formatValue(v int64, t profile.ValueType) string {
	scale := func(units ...string) string {
		f, i := float64(v), 0
		step := 1000.0
		if units[0] == "B" {
			step = 1024
		}
		for i < len(units)-1 && (f >= step || f <= -step) {
			f /= step
			i++
		}
		return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", f), "0"), ".") + " " + units[i]
	}
	switch t.Unit {
	case "nanoseconds":
		return scale("ns", "µs", "ms", "s")
	case "bytes":
		return scale("B", "KiB", "MiB", "GiB", "TiB")
	case "count":
		return group(v) + " " + t.Type
	}
	return group(v) + " " + t.Unit
}

// group writes a number with a comma between groups of three digits.
func group(v int64) string {
	s := fmt.Sprint(v)
	first := len(s)
	for first > 3 {
		first -= 3
		if s[first-1] != '-' {
			s = s[:first] + "," + s[first:]
		}
	}
	return s
}
