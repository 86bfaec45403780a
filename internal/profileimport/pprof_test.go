package profileimport

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/pprofwire"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

func TestPprof(t *testing.T) {
	p, err := Pprof(small(t))
	require.NoError(t, err)
	groups := split(t, Options{Attributes: map[string]string{"env": "prod"}}, p)
	require.Equal(t, map[string]map[string]int64{"cpu": {"observations": 5, "samples": 5}}, sums(groups))
	g := groups[0].Groups[0]
	assert.Equal(t, "app", g.Series.Service)
	assert.Equal(t, "prod", g.Series.Label("env"))
	assert.EqualValues(t, 10, g.Period)
	assert.EqualValues(t, 1_700_000_000_000_000_000, g.Start)
	d := groups[0].Dict
	var names []string
	for _, f := range d.Stacks[g.Entries[0].Stack] {
		names = append(names, d.Frames[f].Function.Name)
	}
	assert.Equal(t, []string{"leaf", "root", "outer"}, names)
	leaf := d.Frames[d.Stacks[g.Entries[0].Stack][0]]
	assert.EqualValues(t, 0x1800, leaf.Address)
	assert.Equal(t, "/bin/app", leaf.Mapping)
	assert.Equal(t, "abc", leaf.BuildID)
	assert.EqualValues(t, 3, leaf.Line)
	assert.True(t, d.Frames[d.Stacks[g.Entries[0].Stack][1]].Inlined)
	assert.Equal(t, []profile.Label{{Name: "bytes", Value: "64"}, {Name: "region", Value: "eu"}}, d.Attributes[g.Entries[0].Attrs].Labels)
}

// What is cut off is an error, wherever the cut is: samples come first in the file,
// what they refer to later.
func TestPprofTruncated(t *testing.T) {
	data := small(t)
	for n := range data {
		p, err := Pprof(data[:n])
		if err == nil {
			// Only what stands at the end can be missing unnoticed.
			require.Greater(t, n, len(data)-32, "%d of %d bytes", n, len(data))
			convertAnything(t, p)
		}
	}
}

func TestPprofErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		data []byte
		want string
	}{
		"empty":    {nil, "decode pprof: invalid pprof: there is no data"},
		"no types": {[]byte{0x32, 0}, "decode pprof: invalid pprof: the profile has no sample_type"},
		"cut":      {[]byte("\x0a\x7f"), "decode pprof: invalid pprof: profile, byte 0: a field is longer than what is left of its message"},
		"many":     {bytes.Repeat([]byte{0x12, 0}, limits.MaxSamples+1), "decode pprof: too large: sample has more than 4194304 entries"},
	} {
		_, err := Pprof(tt.data)
		require.EqualError(t, err, tt.want, name)
	}
}

func FuzzPprof(f *testing.F) {
	f.Add(small(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Pprof(data)
		if err != nil {
			return
		}
		convertAnything(t, p)
	})
}

// convertAnything converts a profile that may be of anything.
func convertAnything(t *testing.T, p *pprofwire.Profile) {
	t.Helper()
	parts, err := Convert(p, Options{})
	if err != nil {
		return
	}
	for _, part := range parts {
		if _, err := profile.Split(part, 1, profile.Limits{}); err != nil {
			require.ErrorIs(t, err, profile.ErrInvalid)
		}
	}
}
