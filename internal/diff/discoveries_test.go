package diff

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestDiscoveries(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		p    []float64
		want float64
	}{
		{nil, -1},
		{[]float64{nan}, -1},
		{[]float64{0.05}, 0.05},
		{[]float64{0.051}, -1},
		{[]float64{1, 0.04, 1, nan}, -1},
		{[]float64{0.05, 0.05, 0.05}, 0.05},
		// The example of the paper: 15 tests, of which 4 are told at 5 %.
		{
			[]float64{
				0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
				0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000,
			}, 0.0095,
		},
		// A small one that is above its own rank's share counts if a larger one is not.
		{[]float64{0.03, 0.04}, 0.04},
	} {
		assert.InDelta(t, c.want, Discoveries(c.p, 0.05), 0, c.p)
	}
}

// Where nothing changed, something is told of a few in a hundred profiles, not of
// all.
func TestDiscoveriesOfNoise(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	told, single := 0, 0
	for range 400 {
		p := make([]float64, 300)
		low := false
		for i := range p {
			p[i] = r.Float64()
			low = low || p[i] < 0.05
		}
		if Discoveries(p, 0.05) >= 0 {
			told++
		}
		if low {
			single++
		}
	}
	assert.Equal(t, 400, single)
	assert.Less(t, told, 40)
}
