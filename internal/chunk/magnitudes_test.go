package chunk

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMagnitudes(t *testing.T) {
	f := func(full bool, counts uint64, values ...[MaxTypes]int64) {
		t.Helper()
		var m Magnitudes
		var err error
		for _, v := range values {
			if err = m.Add(&v, counts); err != nil {
				break
			}
		}
		if full {
			require.ErrorIs(t, err, ErrFull)
		} else {
			require.NoError(t, err)
		}
	}
	const half = math.MaxInt64 / 2
	f(false, 1, [MaxTypes]int64{half}, [MaxTypes]int64{half + 1}, [MaxTypes]int64{0, half, -half, 7})
	f(true, 1, [MaxTypes]int64{half}, [MaxTypes]int64{half + 2})
	f(true, 1, [MaxTypes]int64{0, 0, half}, [MaxTypes]int64{0, 0, -half - 2})
	f(true, 0, [MaxTypes]int64{3: math.MinInt64})
	f(true, 0, [MaxTypes]int64{3: math.MaxInt64}, [MaxTypes]int64{3: math.MinInt64})
	f(false, math.MaxInt64, [MaxTypes]int64{})
	f(true, math.MaxUint64, [MaxTypes]int64{})
	f(true, half+1, [MaxTypes]int64{}, [MaxTypes]int64{})

	var b Builder
	require.NoError(t, b.Reset(2))
	require.NoError(t, b.Add(Profile{}, []Entry{{Index: 1, Values: [MaxTypes]int64{5, -half}, Count: 9, Min: NoMinimum, Max: NoMaximum}}))
	c, err := b.Build(nil, nil)
	require.NoError(t, err)
	var m Magnitudes
	require.NoError(t, m.AddChunk(c))
	assert.Equal(t, Magnitudes{values: [MaxTypes]uint64{5, half}, counts: 9, profiles: [MaxTypes]uint64{5, half}}, m)
	require.NoError(t, m.AddChunk(c))
	require.ErrorIs(t, m.AddChunk(c), ErrFull)

	// What cancels out in an entry does not in a selection of profiles.
	require.NoError(t, b.Reset(1))
	for i, v := range []int64{half, -half} {
		require.NoError(t, b.Add(Profile{Time: int64(i)}, []Entry{{Values: [MaxTypes]int64{v}, Min: NoMinimum, Max: NoMaximum}}))
	}
	c, err = b.Build([]uint32{0}, nil)
	require.NoError(t, err)
	m = Magnitudes{}
	require.NoError(t, m.AddChunk(c))
	require.ErrorIs(t, m.AddChunk(c), ErrFull)
}
