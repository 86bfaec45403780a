package export

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aperture-collector/aperture-collector/internal/flame"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// missingPath is the first node of a call path that is on the other side only.
type missingPath struct {
	value int64
	text  string
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
