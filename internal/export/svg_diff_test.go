package export

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/diff"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// sideOf is one side of a diff of CPU samples: folded stacks and their samples.
func sideOf(length time.Duration, folded map[string]int64) diff.Window {
	k := profilestore.KindMerge{Kind: profile.KindCPU, Types: profile.Types(profile.KindCPU)}
	m := &profilestore.Merge{}
	for _, line := range slices.Sorted(maps.Keys(folded)) {
		var s profilestore.Stack
		for name := range strings.SplitSeq(line, ";") {
			s.Frames = append([]*profile.Frame{{Function: profile.Function{Name: name}}}, s.Frames...)
		}
		s.ID = profile.HashBytes([]byte(line))
		v := folded[line]
		k.Rows = append(k.Rows, profilestore.Row{Stack: int32(len(m.Stacks)), Values: [profile.MaxTypes]int64{v}, Count: uint64(v)})
		m.Stacks = append(m.Stacks, s)
		k.Totals[0] += v
		k.Events += uint64(v)
	}
	k.TotalRows = len(k.Rows)
	m.Kinds = []profilestore.KindMerge{k}
	return diff.Window{Merge: m, Start: startTime, End: startTime + int64(length)}
}

func sampleDiff(n diff.Normalize) *diff.Result {
	return diff.Compute(profile.KindCPU,
		sideOf(10*time.Second, map[string]int64{"main;hot": 100, "main;cold": 800, "main;same": 100, "main;old;leaf": 900, "main;<gone>": 100}),
		sideOf(20*time.Second, map[string]int64{"main;hot": 2000, "main;cold": 800, "main;same": 201, "main;new": 999}),
		diff.Options{Normalize: n, MaxRows: 100})
}

func diffSVGOf(t testing.TB, r *diff.Result, o DiffSVGOptions) (*svgFile, map[string]*svgFrame) {
	t.Helper()
	var out bytes.Buffer
	o.Width = 1200
	require.NoError(t, WriteDiffSVG(&out, r, o))
	got := parseSVG(t, out.Bytes(), o.SVGOptions)
	byName := make(map[string]*svgFrame)
	for i := range got.Plot[0].Frames {
		f := &got.Plot[0].Frames[i]
		byName[f.name()] = f
	}
	return got, byName
}

func TestDiffSVG(t *testing.T) {
	got, frames := diffSVGOf(t, sampleDiff(diff.Share), DiffSVGOptions{SVGOptions: SVGOptions{Title: "T"}})
	require.Len(t, frames, 6)
	assert.Equal(t, "T", got.Text[0])
	assert.Equal(t, "cpu samples: 4,000 samples in 20s; baseline: 2,000 samples in 10s", got.Text[1])
	assert.Equal(t, "widths: comparison; what is compared: shares of the totals", got.Text[2])
	assert.Equal(t, fmt.Sprintf("hot (2,000 samples, 50.00%%; baseline 100 samples, 5.00%%; +45.00 points, +900.0%%, p = %.3g)",
		diff.PValue(100, 2000, 2000, 4000)), frames["hot"].Title)
	assert.Equal(t, fmt.Sprintf("cold (800 samples, 20.00%%; baseline 800 samples, 40.00%%; -20.00 points, -50.0%%, p = %.3g)",
		diff.PValue(800, 800, 2000, 4000)), frames["cold"].Title)
	assert.Regexp(t, `^new \(999 samples, 24\.98%; baseline 0 samples, 0\.00%; new, p = `, frames["new"].Title)
	assert.Equal(t, "hsl(4,90%,64%)", frames["hot"].Rect.Fill, "it changed most")
	assert.Equal(t, "hsl(215,90%,81%)", frames["cold"].Rect.Fill)
	assert.Equal(t, "hsl(4,90%,77%)", frames["new"].Rect.Fill)
	assert.Equal(t, noiseColour, frames["same"].Rect.Fill, "100 of 2000 and 201 of 4000 may be the same")
	text := strings.Join(got.Text, "\n")
	assert.Contains(t, text, "gone: 2 call paths, 50.00% of the baseline\ngone: 900 samples, 45.00%: old ← main\ngone: 100 samples, 5.00%: <gone> ← main\n")
	assert.Contains(t, text, "more than in the baseline")

	// The other view: widths of what was.
	got, frames = diffSVGOf(t, sampleDiff(diff.Share), DiffSVGOptions{Baseline: true})
	assert.Equal(t, int64(2000), frames["all"].Value)
	assert.Regexp(t, `^old \(0 samples, 0\.00%; baseline 900 samples, 45\.00%; gone, p = `, frames["old"].Title)
	assert.Equal(t, "hsl(215,90%,64%)", frames["leaf"].Rect.Fill)
	assert.Equal(t, int64(100), frames["hot"].Value)
	assert.NotContains(t, frames, "new")
	assert.Contains(t, strings.Join(got.Text, "\n"), "new: 1 call path, 24.98% of the comparison\nnew: 999 samples, 24.98%: new ← main\n")
}

func TestDiffSVGNormalizes(t *testing.T) {
	_, frames := diffSVGOf(t, sampleDiff(diff.None), DiffSVGOptions{})
	assert.Contains(t, frames["hot"].Title, "; +1,900 samples, +1900.0%, p = ")
	assert.Contains(t, frames["cold"].Title, "; 0 samples, +0.0%, p = ")
	assert.Equal(t, changeColour(0), frames["cold"].Rect.Fill)
	got, frames := diffSVGOf(t, sampleDiff(diff.Rate), DiffSVGOptions{})
	assert.Contains(t, frames["hot"].Title, "; +90 samples/s, +900.0%, p = ")
	assert.Contains(t, frames["cold"].Title, "; -40 samples/s, -50.0%, p = ")
	assert.Equal(t, "widths: comparison; what is compared: samples per second", got.Text[2])

	// Rates that are not known.
	r := diff.Compute(profile.KindCPU, diff.Window{Merge: sideOf(0, map[string]int64{"a": 1}).Merge},
		diff.Window{Merge: sideOf(0, map[string]int64{"a": 3}).Merge}, diff.Options{Normalize: diff.Rate, MaxRows: 9})
	_, frames = diffSVGOf(t, r, DiffSVGOptions{})
	assert.Equal(t, "a (3 samples, 100.00%; baseline 1 samples, 100.00%; +2 samples, +0.0%)", frames["a"].Title)
}

func TestDiffSVGOfOthers(t *testing.T) {
	calls := func(read, futex uint64) diff.Window {
		return diff.Window{Merge: &profilestore.Merge{Kinds: []profilestore.KindMerge{{
			Kind: profile.KindSyscall, Types: profile.Types(profile.KindSyscall), Events: read + futex,
			Syscalls: []profilestore.SyscallStats{{Number: 0, Count: read, Total: 9}, {Number: 202, Name: "my_futex", Count: futex}},
		}}}}
	}
	_, frames := diffSVGOf(t, diff.Compute(profile.KindSyscall, calls(10, 10), calls(30, 10), diff.Options{MaxRows: 9}), DiffSVGOptions{})
	assert.Equal(t, int64(40), frames["all"].Value)
	assert.Contains(t, frames["read"].Title, "30 calls, 75.00%; baseline 10 calls, 50.00%; +20 calls")
	assert.Contains(t, frames, "my_futex")

	p := sampleProfile()
	w := diff.Window{Merge: p.Merge}
	got, frames := diffSVGOf(t, diff.Compute(profile.KindLock, w, w, diff.Options{MaxRows: 9}), DiffSVGOptions{})
	assert.Len(t, got.Plot[0].Frames, 1+5+len(hostile))
	assert.Equal(t, changeColour(0), frames["outer"].Rect.Fill)
	assert.Contains(t, frames, "</title><script>alert(1)</script>")

	empty := diff.Window{Merge: &profilestore.Merge{}}
	got, frames = diffSVGOf(t, diff.Compute(profile.KindLock, w, empty, diff.Options{MaxRows: 9}), DiffSVGOptions{})
	assert.Empty(t, frames)
	assert.Contains(t, strings.Join(got.Text, "\n"), "gone: 2 call paths, 100.00% of the baseline")
	got, _ = diffSVGOf(t, diff.Compute(profile.KindLock, w, empty, diff.Options{MaxRows: 1}), DiffSVGOptions{Baseline: true})
	assert.Contains(t, got.Text[3], "there are more stacks than the limit allows")
	_, frames = diffSVGOf(t, diff.Compute("x", empty, empty, diff.Options{MaxRows: 1}), DiffSVGOptions{})
	assert.Empty(t, frames)
}

func TestDiffSVGInBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser")
	}
	var svg bytes.Buffer
	require.NoError(t, WriteDiffSVG(&svg, sampleDiff(diff.Share), DiffSVGOptions{SVGOptions: SVGOptions{Title: "Test", Width: 1200}}))
	got := outcome(t, dumpSVG(t, svg.String(), `<script><![CDATA[`+browserHelpers+`
note("fill", getComputedStyle(frame("cold").querySelector("rect")).fill);
click(frame("hot").querySelector("rect"));
note("zoomed", [frame("hot").querySelector("rect").getAttribute("width"), frame("cold").style.display]);
window.prompt = function () { return "^(hot|cold)$"; };
click(document.getElementById("search"));
note("matched", document.getElementById("matched").textContent);
frame("hot").querySelector("rect").dispatchEvent(new MouseEvent("mouseover", {bubbles: true}));
note("details", document.getElementById("details").textContent.slice(0, 30));
]]></script>`, ""))
	assert.Equal(t, map[string]string{
		"zoomed": "1180,none", "matched": "Matched: 70.00%", "details": "hot (2,000 samples, 50.00%; ba",
		// Blue.
		"fill": got["fill"],
	}, got)
	var r, g, b int
	_, err := fmt.Sscanf(got["fill"], "rgb(%d, %d, %d)", &r, &g, &b)
	require.NoError(t, err, got["fill"])
	assert.Greater(t, b, r)
}

func TestDiffSVGStopsWhereTheWriterFails(t *testing.T) {
	r := bigDiff(3000, 20)
	for _, room := range []int{0, 1, 50_000, 200_000} {
		require.ErrorIs(t, WriteDiffSVG(&fullWriter{room}, r, DiffSVGOptions{SVGOptions: SVGOptions{Width: 1200}}), errFull, room)
	}
}

// bigDiff compares random profiles of the same stacks with other numbers.
func bigDiff(n, depth int) *diff.Result {
	b, c := randomProfile(n, depth), randomProfile(n, depth)
	for i := range b.Merge.Stacks {
		id := profile.ID{Hi: 1, Lo: uint64(i)}
		b.Merge.Stacks[i].ID, c.Merge.Stacks[i].ID = id, id
		c.Kind.Rows[i].Values[0] += int64(i % 7)
		c.Kind.Totals[0] += int64(i % 7)
	}
	return diff.Compute(profile.KindCPU, diff.Window{Merge: b.Merge}, diff.Window{Merge: c.Merge}, diff.Options{Normalize: diff.Share, MaxRows: 2 * n})
}

// BenchmarkDiffSVG is a busy service: 20,000 stacks of 30 frames on both sides.
func BenchmarkDiffSVG(b *testing.B) {
	r := bigDiff(20_000, 30)
	got, _ := diffSVGOf(b, r, DiffSVGOptions{})
	require.Equal(b, r.Comparison.Measure, got.Plot[0].Frames[0].Value)
	b.ReportAllocs()
	for b.Loop() {
		if err := WriteDiffSVG(io.Discard, r, DiffSVGOptions{SVGOptions: SVGOptions{Width: 1200}}); err != nil {
			b.Fatal(err)
		}
	}
}

// Of hundreds of functions in which nothing changed, none has a colour, though some
// differ as one in twenty does by chance; what changed has one.
func TestDiffSVGOfNoise(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	baseline, comparison := map[string]int64{"main;changed": 100}, map[string]int64{"main;changed": 400}
	for i := range 300 {
		name := fmt.Sprintf("main;f%03d", i)
		for range 1000 {
			if r.IntN(2) == 0 {
				baseline[name]++
			} else {
				comparison[name]++
			}
		}
	}
	result := diff.Compute(profile.KindCPU, sideOf(time.Minute, baseline), sideOf(time.Minute, comparison), diff.Options{MaxRows: 1000})
	low := 0
	for i := range result.Rows {
		if result.Rows[i].PValue < 0.05 {
			low++
		}
	}
	require.Greater(t, low, 5, "taken alone, they look like changes")
	_, frames := diffSVGOf(t, result, DiffSVGOptions{})
	coloured := 0
	for name, frame := range frames {
		if name != "all" && frame.Rect.Fill != noiseColour {
			coloured++
		}
	}
	assert.NotEqual(t, noiseColour, frames["changed"].Rect.Fill)
	assert.LessOrEqual(t, coloured, 2, "it and, if anything, its caller")
}
