package ingest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	pprof "github.com/google/pprof/profile"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/jfr/jfrtest"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

var now = time.Unix(1_700_000_000, 0)

// small are valid inputs of each format.
func small(t testing.TB) map[Format][]byte {
	t.Helper()
	f := &pprof.Function{ID: 1, Name: "main", Filename: "main.go"}
	l := &pprof.Location{ID: 1, Line: []pprof.Line{{Function: f, Line: 7}}}
	var buf bytes.Buffer
	require.NoError(t, (&pprof.Profile{
		SampleType: []*pprof.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}},
		PeriodType: &pprof.ValueType{Type: "cpu", Unit: "nanoseconds"}, Period: 10, TimeNanos: now.UnixNano(), DurationNanos: 10,
		Sample:   []*pprof.Sample{{Location: []*pprof.Location{l}, Value: []int64{1, 10}, Label: map[string][]string{"pod": {"a"}}}},
		Location: []*pprof.Location{l}, Function: []*pprof.Function{f},
	}).WriteUncompressed(&buf))
	return map[Format][]byte{
		Folded: []byte("a;b 1\nc 2\n"),
		Lines:  []byte("a;b\nc\n"),
		Trie:   []byte("\x00\x00\x01\x01a\x01\x02\x02;b\x01\x00\x01c\x02\x00"),
		Tree:   []byte("\x00\x00\x01\x01a\x01\x02\x01b\x01\x00\x01c\x02\x00"),
		Pprof:  buf.Bytes(),
		JFR:    jfrtest.Small(),
		Speedscope: []byte(`{"shared":{"frames":[{"name":"a"}]},"profiles":[` +
			`{"type":"sampled","unit":"bytes","name":"x","samples":[[0]],"weights":[1]},` +
			`{"type":"evented","unit":"seconds","events":[{"type":"O","frame":0,"at":0},{"type":"C","frame":0,"at":1}]}]}`),
	}
}

// take decodes a body of a format. What comes out must be what the rest of the product
// takes.
func take(t testing.TB, format Format, data []byte, limits Limits) (samples int, err error) {
	t.Helper()
	b := NewBatch("t", &limits, now)
	p := &Params{Application: "app", Format: format, From: now, Until: now.Add(time.Second), SampleRate: 100, Spy: "x"}
	switch format {
	case Pprof:
		err = b.IngestPprof(p, data, nil)
	case JFR:
		err = b.JFR(p, data, nil)
	case Speedscope:
		err = b.Speedscope(p, data)
	default:
		err = b.Text(p, data)
	}
	if err != nil {
		var e *Error
		require.ErrorAs(t, err, &e)
		require.NotEmpty(t, e.Reason)
		return 0, err
	}
	_, samples, err = b.Check()
	if err != nil {
		return 0, err
	}
	g, err := profile.Split(b.Profiles, time.Hour, profile.Limits{})
	require.NoError(t, err)
	for _, grp := range g.Groups {
		require.Equal(t, "t", grp.Series.Tenant)
		for _, e := range grp.Entries {
			for _, v := range e.Values {
				require.GreaterOrEqual(t, v, int64(0))
			}
		}
	}
	return samples, nil
}

// Every part of a valid input is refused, or less than the whole where what is left out
// is a line.
func TestTruncated(t *testing.T) {
	for format, data := range small(t) {
		all, err := take(t, format, data, Limits{})
		require.NoError(t, err, format)
		require.Positive(t, all, format)
		for n := range data {
			samples, err := take(t, format, data[:n], Limits{})
			switch format {
			case Folded, Lines:
				assert.LessOrEqual(t, samples, all)
			case Pprof:
				// Fields may come in any order and number, so what is there may be complete.
				assert.LessOrEqual(t, samples, all)
			case Trie, Tree, JFR:
				if n > 0 {
					assert.Error(t, err, "%s: %d of %d bytes", format, n, len(data))
				}
			default:
				assert.Error(t, err, "%s: %d of %d bytes", format, n, len(data))
			}
		}
	}
}

// Whatever one byte is, there is an answer.
func TestChanged(t *testing.T) {
	for format, data := range small(t) {
		for at := range data {
			for _, v := range []byte{0, 1, 0x7f, 0x80, 0xff, byte(rand.Uint32())} {
				b := slices.Clone(data)
				b[at] = v
				_, _ = take(t, format, b, Limits{MaxSamples: 100})
			}
		}
	}
}

// A few bytes do not become many.
func TestBombs(t *testing.T) {
	var chain, keys []byte
	for range 200_000 {
		chain = append(chain, "\x01a\x01\x01"...)
		keys = append(keys, "\x02;a\x01\x01"...)
	}
	chain, keys = append(chain, "\x01a\x01\x00"...), append(keys, "\x02;a\x01\x00"...)
	deep := []byte(strings.Repeat("f;", 100_000) + "g 1\n")
	var wide bytes.Buffer
	for i := range 20_000 {
		fmt.Fprintf(&wide, "f%d 1\n", i)
	}
	defaults := Limits{MaxSize: 4 << 20, MaxSamples: 16000, MaxDepth: 1000}
	f := func(format Format, data []byte, limits Limits, want string) {
		t.Helper()
		_, err := take(t, format, data, limits)
		if want == "" {
			require.NoError(t, err)
			return
		}
		require.ErrorContains(t, err, want)
	}
	f(Tree, chain, Limits{}, "stacks of the tree have more than 25165824 frames together")
	f(Trie, keys, defaults, "stacks of the trie have more than 33554432 bytes together")
	leaves := binary.AppendUvarint(slices.Clone(chain[:2040*4]), 0)[:2040*4-1]
	leaves = binary.AppendUvarint(leaves, 16_000)
	for i := range 16_000 {
		name := fmt.Sprint(i)
		leaves = append(append(append(leaves, byte(len(name))), name...), 1, 0)
	}
	f(Tree, leaves, Limits{}, "stacks have more than 8388608 frames together")
	f(Tree, leaves, defaults, "")
	f(Folded, deep, defaults, "")
	f(Folded, wide.Bytes(), defaults, "profile has more than 16000 samples")
	f(Folded, wide.Bytes(), Limits{}, "")
	f(Folded, wide.Bytes(), Limits{MaxSize: 1000}, "the limit is 1000")
	f(Speedscope, []byte(`{"profiles":[`+strings.Repeat(`{"type":"sampled"},`, 1000)+`{"type":"x"}]}`), defaults, `profiles[1000].type is "x"; it must be sampled or evented`)
	open := strings.Repeat(`{"type":"O","frame":0,"at":1},`, 10_000)
	f(Speedscope, []byte(`{"shared":{"frames":[{"name":"a"}]},"profiles":[{"type":"evented","unit":"none","events":[`+open+`{"type":"C","frame":1,"at":1}]}]}`), defaults, "events[10000].frame is 1; there are 1 frames")
}

// The limit of samples is that of each profile, that of recordings a multiple of that of
// profiles.
func TestLimitsOfJFR(t *testing.T) {
	data := jfrtest.Of(jfrtest.Event{jfrtest.ExecutionSample, 1}, jfrtest.Event{jfrtest.ExecutionSample, 2}, jfrtest.Event{jfrtest.LiveObject, 1}, jfrtest.Event{jfrtest.LiveObject, 2})
	samples, err := take(t, JFR, data, Limits{MaxSamples: 2, MaxSize: int64(len(data)+3) / 4})
	require.NoError(t, err)
	assert.Equal(t, 2+2+2, samples)
	_, err = take(t, JFR, data, Limits{MaxSamples: 1})
	require.EqualError(t, err, "profile process_cpu:samples has more than 1 samples")
	_, err = take(t, JFR, data, Limits{MaxSize: int64(len(data)-1) / 4})
	require.ErrorContains(t, err, "recording with labels '{service_name=\"app\", pyroscope_spy=\"x\"}' has ")
}

// Deep stacks keep the root part, long names the end.
func TestCut(t *testing.T) {
	b := NewBatch("t", &Limits{MaxDepth: 2, MaxSymbolLength: 4}, now)
	p := &Params{Application: "app", Format: Folded, From: now, Until: now, SampleRate: 100}
	require.NoError(t, b.Text(p, []byte("root;middle;leaf 1\n")))
	g, err := profile.Split(b.Profiles, time.Hour, profile.Limits{})
	require.NoError(t, err)
	var names []string
	for _, at := range g.Dict.Stacks[g.Groups[0].Entries[0].Stack] {
		names = append(names, g.Dict.Frames[at].Function.Name)
	}
	assert.Equal(t, []string{"ddle", "root"}, names)
}

// Numbers that are too large are the largest.
func TestLargeNumbers(t *testing.T) {
	for _, data := range []string{"a 9223372036854775807\na 9223372036854775807\n", "a 72057594037927936\n"} {
		samples, err := take(t, Folded, []byte(data), Limits{})
		require.NoError(t, err)
		assert.Equal(t, 2, samples)
	}
	tree := binary.AppendUvarint([]byte("\x00"), 1<<64-1)
	samples, err := take(t, Tree, append(tree, 0), Limits{})
	require.NoError(t, err)
	assert.Equal(t, 2, samples, "of the empty stack")
}

func FuzzBody(f *testing.F) {
	formats := []Format{Folded, Lines, Trie, Tree, Pprof, JFR, Speedscope}
	for i, format := range formats {
		f.Add(uint8(i), small(f)[format])
	}
	f.Fuzz(func(t *testing.T, format uint8, data []byte) {
		_, _ = take(t, formats[int(format)%len(formats)], data, Limits{MaxSize: 1 << 20, MaxSamples: 1000, MaxDepth: 100})
	})
}

func FuzzParams(f *testing.F) {
	f.Add("name=app.cpu{env=x,a.b=c}&from=1700000000&until=1700000010&sampleRate=100&spyName=x&format=jfr", "multipart/form-data; boundary=x")
	f.Fuzz(func(t *testing.T, text, contentType string) {
		query, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		p, err := ParseParams(query, contentType, now)
		if err != nil {
			require.ErrorIs(t, err, ErrInvalid)
			return
		}
		s, err := p.series(p.Application)
		if err == nil {
			require.NotEmpty(t, s.service)
		}
	})
}
