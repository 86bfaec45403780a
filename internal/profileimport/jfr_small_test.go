package profileimport

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/jfr/jfrtest"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

func TestSmallJFR(t *testing.T) {
	profiles, err := JFR(jfrtest.Small())
	require.NoError(t, err)
	require.Len(t, profiles, 2)
	assert.Equal(t, []string{"a.B.c:7", "method 9:0"}, text(profiles[0], profiles[0].Sample(0)))
	assert.Equal(t, []int64{1}, profiles[0].Sample(0).Values)
	assert.Equal(t, []int64{2000, 1}, profiles[1].Sample(0).Values)
	assert.EqualValues(t, 1_700_000_000_000_000_000, profiles[0].TimeNanos)
}

// Allocations that a recording has both by sample and by buffer are counted once.
func TestJFRAllocations(t *testing.T) {
	sample, in, outside := jfrtest.Event{jfrtest.Allocation, 100, 1}, jfrtest.Event{jfrtest.InTLAB, 70, 1}, jfrtest.Event{jfrtest.OutsideTLAB, 8, 1}
	huge := jfrtest.Event{jfrtest.Allocation, uint64(math.MaxUint64), 1}
	for name, tt := range map[string]struct {
		data []byte
		want int64
	}{
		"buffers":        {jfrtest.Of(in, outside, in), 148},
		"samples":        {jfrtest.Of(sample, sample), 200},
		"both":           {jfrtest.Of(in, sample, outside, in), 100},
		"in two chunks":  {slices.Concat(jfrtest.Of(in, outside), jfrtest.Of(sample)), 100},
		"more than fits": {jfrtest.Of(slices.Repeat([]jfrtest.Event{huge}, 100)...), profile.MaxValue},
	} {
		profiles, err := JFR(tt.data)
		require.NoError(t, err, name)
		require.Len(t, profiles, 1, name)
		assert.EqualValues(t, tt.want, sums(split(t, Options{}, profiles...))["alloc_space"]["alloc_space"], name)
	}
}

func TestSmallJFRTruncated(t *testing.T) {
	data := jfrtest.Small()
	for n := range data {
		_, err := JFR(data[:n])
		require.Error(t, err, "%d of %d bytes", n, len(data))
		if n >= jfrtest.HeaderSize {
			cut := slices.Clone(data[:n])
			binary.BigEndian.PutUint64(cut[8:], uint64(n))
			_, err := JFR(cut)
			require.Error(t, err, "%d of %d bytes", n, len(data))
		}
	}
}

// Whatever one byte is, the end is soon and no panic.
func TestSmallJFRChanged(t *testing.T) {
	data := jfrtest.Small()
	for at := range data {
		for _, v := range []byte{0, 1, 0x7f, 0x80, 0xff, byte(rand.Uint32())} {
			b := slices.Clone(data)
			b[at] = v
			if profiles, err := JFR(b); err == nil {
				for _, p := range profiles {
					convertAnything(t, p)
				}
			}
		}
	}
}
