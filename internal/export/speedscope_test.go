package export

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// speedscopeFile is the part of the format's schema that has sampled profiles.
type speedscopeFile struct {
	Schema   string `json:"$schema"`
	Exporter string `json:"exporter"`
	Name     string `json:"name"`
	Active   int    `json:"activeProfileIndex"`
	Shared   struct {
		Frames []speedscopeFileFrame `json:"frames"`
	} `json:"shared"`
	Profiles []struct {
		Type    string  `json:"type"`
		Name    string  `json:"name"`
		Unit    string  `json:"unit"`
		Start   int64   `json:"startValue"`
		End     int64   `json:"endValue"`
		Samples [][]int `json:"samples"`
		Weights []int64 `json:"weights"`
	} `json:"profiles"`
}

type speedscopeFileFrame struct {
	Name string `json:"name"`
	File string `json:"file"`
	Line int64  `json:"line"`
}

// speedscopeSchema is the schema that speedscope publishes with its releases.
func speedscopeSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile("testdata/speedscope-1.25.0.schema.json")
	require.NoError(t, err)
	return schema
}

// The schema refuses what is not of the format.
func TestSpeedscopeSchema(t *testing.T) {
	for _, text := range []string{`{}`, `{"$schema":"x","shared":{"frames":[]},"profiles":[]}`, `{"$schema":"https://www.speedscope.app/file-format-schema.json",
		"shared":{"frames":[{}]},"profiles":[]}`} {
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		require.NoError(t, err)
		require.Error(t, speedscopeSchema(t).Validate(value), text)
	}
}

func speedscopeOf(t testing.TB, p *Profile) *speedscopeFile {
	var out bytes.Buffer
	require.NoError(t, WriteSpeedscope(&out, p))
	require.True(t, utf8.Valid(out.Bytes()))
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(out.Bytes()))
	require.NoError(t, err)
	require.NoError(t, speedscopeSchema(t).Validate(value))
	d := json.NewDecoder(&out)
	d.DisallowUnknownFields()
	var got speedscopeFile
	require.NoError(t, d.Decode(&got))
	assert.Equal(t, "https://www.speedscope.app/file-format-schema.json", got.Schema)
	require.Len(t, got.Profiles, len(p.Kind.Types))
	for _, x := range got.Profiles {
		assert.Equal(t, "sampled", x.Type)
		require.Len(t, x.Samples, len(x.Weights))
		sum := int64(0)
		for i, s := range x.Samples {
			require.NotEmpty(t, s)
			for _, n := range s {
				require.Less(t, n, len(got.Shared.Frames))
			}
			sum += x.Weights[i]
		}
		assert.Equal(t, x.End, sum)
	}
	return &got
}

func TestSpeedscope(t *testing.T) {
	got := speedscopeOf(t, sampleProfile())
	assert.Equal(t, "lock", got.Name)
	delay, contentions := got.Profiles[0], got.Profiles[1]
	assert.Equal(t, "lock delay", delay.Name)
	assert.Equal(t, "nanoseconds", delay.Unit)
	assert.Equal(t, int64(1100), delay.End)
	assert.Equal(t, []int64{600, 400, 100}, delay.Weights)
	assert.Equal(t, "none", contentions.Unit)
	assert.Equal(t, int64(10), contentions.End)
	assert.Equal(t, delay.Samples, contentions.Samples)
	var stack []speedscopeFileFrame
	for _, n := range delay.Samples[0] {
		stack = append(stack, got.Shared.Frames[n])
	}
	assert.Equal(t, []speedscopeFileFrame{
		{"0x7f0000000001", "", 0},
		{"0x402000", "/usr/lib/libx.so", 0},
		{"outer", "outer.c", 0},
		{"inner", "inner.c", 10},
		{"do_futex", "", 0},
	}, stack)
	for i, n := range delay.Samples[2] {
		want := hostile[len(hostile)-1-i]
		if want == "" {
			assert.Equal(t, speedscopeFileFrame{Name: "0x1"}, got.Shared.Frames[n])
			continue
		}
		// encoding/json replaces each byte, not each run of them.
		text, err := json.Marshal(want)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, &want))
		assert.Equal(t, speedscopeFileFrame{Name: want, File: want}, got.Shared.Frames[n])
	}
}

func TestSpeedscopeOfOthers(t *testing.T) {
	got := speedscopeOf(t, syscallProfile())
	assert.Equal(t, []int64{300, 400}, got.Profiles[0].Weights)
	assert.Equal(t, "read", got.Shared.Frames[got.Profiles[0].Samples[0][0]].Name)

	p := randomProfile(500, 20)
	got = speedscopeOf(t, p)
	assert.Equal(t, p.Kind.Totals[0], got.Profiles[0].End)
	assert.LessOrEqual(t, len(got.Shared.Frames), 2000)

	got = speedscopeOf(t, &Profile{Merge: &profilestore.Merge{}, Kind: &profilestore.KindMerge{Kind: "x", Types: []profile.ValueType{{Type: "x", Unit: "y"}}}})
	assert.Empty(t, got.Shared.Frames)
}

func TestSpeedscopeStopsWhereTheWriterFails(t *testing.T) {
	p := randomProfile(3000, 20)
	for _, room := range []int{0, 1, 50_000, 200_000} {
		require.ErrorIs(t, WriteSpeedscope(&fullWriter{room}, p), errFull, room)
	}
}

// BenchmarkSpeedscope is a busy service: 20,000 stacks of 30 frames.
func BenchmarkSpeedscope(b *testing.B) {
	p := randomProfile(20_000, 30)
	require.Equal(b, p.Kind.Totals[0], speedscopeOf(b, p).Profiles[0].End)
	b.ReportAllocs()
	for b.Loop() {
		if err := WriteSpeedscope(io.Discard, p); err != nil {
			b.Fatal(err)
		}
	}
}
