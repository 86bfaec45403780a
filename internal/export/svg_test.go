package export

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

type svgFrame struct {
	Start int64  `xml:"data-s,attr"`
	Value int64  `xml:"data-v,attr"`
	Depth int    `xml:"data-d,attr"`
	Title string `xml:"title"`
	Rect  struct {
		X     float64 `xml:"x,attr"`
		Y     float64 `xml:"y,attr"`
		Width float64 `xml:"width,attr"`
		Fill  string  `xml:"fill,attr"`
	} `xml:"rect"`
	Text string `xml:"text"`
}

func (f *svgFrame) name() string { return f.Title[:strings.LastIndex(f.Title, " (")] }

type svgFile struct {
	XMLName xml.Name
	Text    []string `xml:"text"`
	Script  string   `xml:"script"`
	Plot    []struct {
		Frames []svgFrame `xml:"g"`
	} `xml:"g"`
}

// svgOf draws p, and checks that every frame is where it should be.
func svgOf(t testing.TB, p *Profile, o SVGOptions) *svgFile {
	var out bytes.Buffer
	require.NoError(t, WriteSVG(&out, p, o))
	return parseSVG(t, out.Bytes(), o)
}

func parseSVG(t testing.TB, text []byte, o SVGOptions) *svgFile {
	var got svgFile
	require.NoError(t, xml.Unmarshal(text, &got))
	assert.Equal(t, xml.Name{Space: "http://www.w3.org/2000/svg", Local: "svg"}, got.XMLName)
	require.Len(t, got.Plot, 1)
	// What browsers hash is what the policy allows.
	require.Equal(t, svgScript, got.Script)
	require.NotContains(t, svgScript, "]]>")
	frames := got.Plot[0].Frames
	width := float64(o.Width - 2*svgMargin)
	for i, f := range frames {
		assert.InDelta(t, svgMargin+width*float64(f.Start)/float64(frames[0].Value), f.Rect.X, 0.01)
		assert.InDelta(t, width*float64(f.Value)/float64(frames[0].Value), f.Rect.Width, 0.01)
		assert.InDelta(t, frames[0].Rect.Y-float64(svgRow*f.Depth), f.Rect.Y, 0.01)
		if i == 0 {
			continue
		}
		// Node order is callers first: the caller is the last one before, one level up.
		var caller *svgFrame
		for j := i - 1; caller == nil; j-- {
			if frames[j].Depth == f.Depth-1 {
				caller = &frames[j]
			}
		}
		require.LessOrEqual(t, caller.Start, f.Start)
		require.GreaterOrEqual(t, caller.Start+caller.Value, f.Start+f.Value)
	}
	return &got
}

func TestSVG(t *testing.T) {
	got := svgOf(t, sampleProfile(), SVGOptions{Title: "A <title> & more", Width: 1200})
	assert.Equal(t, "A <title> & more", got.Text[0])
	assert.Equal(t, "lock delay, 2023-11-14 22:13:20.000 UTC to 2023-11-14 22:13:25.000 UTC: 1.1 µs", got.Text[1])
	assert.Equal(t, "11 ns came without a stack and are not drawn", got.Text[2])
	frames := got.Plot[0].Frames
	require.Len(t, frames, 1+5+len(hostile))
	assert.Equal(t, "all (1.1 µs, 100.00%)", frames[0].Title)
	assert.Equal(t, int64(1100), frames[0].Value)
	var names []string
	byName := make(map[string]*svgFrame)
	for i := range frames {
		names = append(names, frames[i].name())
		byName[frames[i].name()] = &frames[i]
	}
	for _, want := range []string{"0x7f0000000001", "0x402000", "outer", "inner", "do_futex"} {
		require.Contains(t, names, want)
		assert.Equal(t, int64(1000), byName[want].Value)
	}
	for _, name := range hostile {
		if name == "" {
			name = "0x1"
		}
		var text bytes.Buffer
		require.NoError(t, xml.EscapeText(&text, []byte(name)))
		var want string
		require.NoError(t, xml.Unmarshal([]byte("<a>"+text.String()+"</a>"), &want))
		assert.Contains(t, names, want)
	}
	assert.Contains(t, byName["do_futex"].Rect.Fill, "hsl(")
	assert.Equal(t, frameClass{"kernel", 28, 90}, classOf("kernel"))
	assert.NotEqual(t, byName["do_futex"].Rect.Fill, byName["outer"].Rect.Fill)
}

func TestSVGOfMany(t *testing.T) {
	p := randomProfile(2000, 12)
	got := svgOf(t, p, SVGOptions{Width: MinSVGWidth})
	frames := got.Plot[0].Frames
	assert.Equal(t, p.Kind.Totals[0], frames[0].Value)
	sum := int64(0)
	for _, f := range frames {
		if f.Depth == 1 {
			sum += f.Value
		}
		assert.GreaterOrEqual(t, f.Rect.Width, svgMinWidth-0.005)
	}
	assert.Equal(t, p.Kind.Totals[0], sum)
	assert.Contains(t, got.Text[2], "call paths narrower than 0.1 px, and what they call, are not drawn")
	wide := svgOf(t, p, SVGOptions{Width: MaxSVGWidth})
	assert.Greater(t, len(wide.Plot[0].Frames), len(frames))
}

func TestSVGOfNothing(t *testing.T) {
	p := &Profile{Merge: &profilestore.Merge{}, Kind: &profilestore.KindMerge{Kind: "x", Types: []profile.ValueType{{Type: "x", Unit: "y"}}}}
	assert.Empty(t, svgOf(t, p, SVGOptions{Width: 1200}).Plot[0].Frames)
	p = sampleProfile()
	p.Kind.Rows = p.Kind.Rows[3:]
	got := svgOf(t, p, SVGOptions{Width: 1200})
	assert.Empty(t, got.Plot[0].Frames)
	assert.Contains(t, got.Text[3], "3 smaller stacks are beyond the limit")
	p.Merge.Stacks[0].Frames = p.Merge.Stacks[0].Frames[:1]
	p.Kind.Rows = []profilestore.Row{{Stack: 0, Values: [profile.MaxTypes]int64{-5}}}
	assert.Empty(t, svgOf(t, p, SVGOptions{Width: 1200}).Plot[0].Frames, "what is negative has no width")
}

func TestFitting(t *testing.T) {
	for _, c := range []struct {
		name  string
		chars float64
		want  string
	}{
		{"abcdef", 6, "abcdef"},
		{"abcdefg", 6, "abcd.."},
		{"abcdef", 3, "a.."},
		{"abcdef", 2, ""},
		{"日本語日本語日本語", 5, "日本語.."},
		{"", 9, ""},
		{"abc", 3, "abc"},
	} {
		assert.Equal(t, c.want, fitting(c.name, 6.1+c.chars*svgChar), fmt.Sprint(c))
	}
}

func TestFormatValue(t *testing.T) {
	for want, v := range map[string]struct {
		v    int64
		unit profile.ValueType
	}{
		"1,234,567 samples": {1234567, profile.ValueType{Type: "samples", Unit: "count"}},
		"-100 calls":        {-100, profile.ValueType{Type: "calls", Unit: "count"}},
		"999 ns":            {999, profile.ValueType{Unit: "nanoseconds"}},
		"1.5 ms":            {1_500_000, profile.ValueType{Unit: "nanoseconds"}},
		"86400 s":           {86_400_000_000_000, profile.ValueType{Unit: "nanoseconds"}},
		"2 KiB":             {2048, profile.ValueType{Unit: "bytes"}},
		"0 B":               {0, profile.ValueType{Unit: "bytes"}},
		"12 frobs":          {12, profile.ValueType{Type: "x", Unit: "frobs"}},
	} {
		assert.Equal(t, want, formatValue(v.v, v.unit))
	}
}

func TestSVGStopsWhereTheWriterFails(t *testing.T) {
	p := randomProfile(3000, 20)
	for _, room := range []int{0, 1, 50_000, 200_000} {
		require.ErrorIs(t, WriteSVG(&fullWriter{room}, p, SVGOptions{Width: 1200}), errFull, room)
	}
}

// BenchmarkSVG is a busy service: 20,000 stacks of 30 frames.
func BenchmarkSVG(b *testing.B) {
	p := randomProfile(20_000, 30)
	require.Equal(b, p.Kind.Totals[0], svgOf(b, p, SVGOptions{Width: 1200}).Plot[0].Frames[0].Value)
	b.ReportAllocs()
	for b.Loop() {
		if err := WriteSVG(io.Discard, p, SVGOptions{Width: 1200}); err != nil {
			b.Fatal(err)
		}
	}
}
