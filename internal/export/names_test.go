package export

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/aperturejson"
	"github.com/aperture-collector/aperture-collector/internal/diff"
	"github.com/aperture-collector/aperture-collector/internal/flame"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// jsonStrings are all strings of a JSON value, keys left out.
func jsonStrings(t *testing.T, text []byte) []string {
	t.Helper()
	require.True(t, utf8.Valid(text))
	var value any
	require.NoError(t, json.Unmarshal(text, &value))
	var out []string
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			out = append(out, v)
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(value)
	return out
}

// parseFolded is a parser of folded lines by the book: frames are parted by `;`,
// the value is behind the last space.
func parseFolded(t *testing.T, text string) map[string][]string {
	t.Helper()
	out := make(map[string][]string)
	for line := range strings.Lines(text) {
		stack, value, ok := cutLast(strings.TrimSuffix(line, "\n"), " ")
		require.True(t, ok, line)
		_, err := strconv.ParseInt(value, 10, 64)
		require.NoError(t, err, line)
		out[value] = strings.Split(stack, ";")
	}
	return out
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// perByte is what encoders make of a name that replace each bad byte.
func perByte(name string) string { return string([]rune(name)) }

// inXML replaces what XML cannot have.
func inXML(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' || r == '\r' || r >= ' ' && r <= 0xd7ff || r >= 0xe000 && r <= 0xfffd || r >= 0x10000 {
			return r
		}
		return utf8.RuneError
	}, name)
}

func inFolded(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ';':
			return ':'
		case r < ' ', r >= 0x7f && r < 0xa0, r == '\u2028', r == '\u2029':
			return ' '
		}
		return r
	}, name)
}

// Every name is in every format what it was, as far as the format can have it,
// as a parser that is not ours reads it.
func TestNamesInEveryFormat(t *testing.T) {
	names := append([]string{
		strings.Repeat("x", 100_000), strings.Repeat("<;\"\n\xff", 20_000), "a\r\nb", "]]>", "<!--", "&#0;", "\u0085\u2029\x7f", " ", " 7", "trailing ",
		"void f<std::pair<int, \"x\">>(char const*) (.cold)", "\ufeffbom", "\xed\xa0\x80", "\xf4\x90\x80\x80", "𝛌 (1)", "', 1); DROP",
	}, hostile...)
	for _, name := range names {
		t.Run(fmt.Sprintf("%.20q", name), func(t *testing.T) {
			frame := func(name string) *profile.Frame {
				return &profile.Frame{Address: 1, Type: profile.FrameNative, Mapping: name, Function: profile.Function{Name: name, Filename: name}}
			}
			m := &profilestore.Merge{
				Stacks: []profilestore.Stack{{ID: profile.ID{Lo: 1}, Frames: []*profile.Frame{frame(name), frame("main")}}},
				Kinds: []profilestore.KindMerge{{
					Kind: profile.KindCPU, Types: profile.Types(profile.KindCPU), Start: startTime, End: startTime + 1,
					Totals: [profile.MaxTypes]int64{7}, Events: 7, TotalRows: 1,
					Rows: []profilestore.Row{{Values: [profile.MaxTypes]int64{7}, Count: 7, Syscall: profilestore.NoSyscall}},
				}},
			}
			p := &Profile{Merge: m, Kind: &m.Kinds[0]}
			shown := name // where every frame has a name
			if shown == "" {
				shown = "0x1"
			}
			var out bytes.Buffer

			require.NoError(t, aperturejson.Write(&out, m, aperturejson.Options{MaxRows: 9}))
			if name != "" {
				assert.Contains(t, jsonStrings(t, out.Bytes()), perByte(name), "json")
			}

			out.Reset()
			require.NoError(t, flame.WriteFolded(&out, m, p.Kind, 0))
			require.True(t, utf8.Valid(out.Bytes()))
			assert.Equal(t, map[string][]string{"7": {"main", inFolded(shown)}}, parseFolded(t, out.String()), "collapsed")

			s := pprofOf(t, p).Sample[0]
			assert.Equal(t, "main", s.Location[1].Line[0].Function.Name)
			if name != "" {
				assert.Equal(t, valid(name), s.Location[0].Line[0].Function.Name, "pprof")
			}

			file := speedscopeOf(t, p)
			assert.Equal(t, perByte(shown), file.Shared.Frames[file.Profiles[0].Samples[0][1]].Name, "speedscope")

			graph := svgOf(t, p, SVGOptions{Width: 1200, Title: name})
			assert.Equal(t, inXML(shown), graph.Plot[0].Frames[2].name(), "svg")
			assert.Equal(t, inXML(name), graph.Text[0], "title of svg")

			empty := diff.Window{Merge: &profilestore.Merge{}}
			both := diff.Compute(profile.KindCPU, diff.Window{Merge: m}, empty, diff.Options{MaxRows: 9})
			graph, _ = diffSVGOf(t, both, DiffSVGOptions{Baseline: true})
			assert.Equal(t, inXML(shown), graph.Plot[0].Frames[2].name(), "svg of a diff")
			graph, _ = diffSVGOf(t, both, DiffSVGOptions{})
			assert.Empty(t, graph.Plot[0].Frames)

			fromProto, fromJSON := otlpOf(t, m, OTLPProto), otlpOf(t, m, OTLPJSON)
			assert.Contains(t, fromProto.Dictionary().StringTable().AsRaw(), valid(name), "OTLP")
			assert.Equal(t, fromProto.Dictionary().StringTable().AsRaw(), fromJSON.Dictionary().StringTable().AsRaw(), "OTLP/JSON")
			out.Reset()
			require.NoError(t, WriteOTLP(&out, m, map[string]string{name: name}, OTLPJSON))
			assert.Contains(t, jsonStrings(t, out.Bytes()), valid(name), "OTLP/JSON")
		})
	}
}
