package diff

import (
	"math"
	"math/big"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// bruteForce sums every outcome in exact arithmetic.
func bruteForce(x, y, a, b int64) float64 {
	n := x + y
	outcomes := make([]*big.Int, n+1) // times (a+b)^n
	total := new(big.Int).Exp(big.NewInt(a+b), big.NewInt(n), nil)
	for k := range n + 1 {
		v := new(big.Int).Binomial(n, k)
		v.Mul(v, new(big.Int).Exp(big.NewInt(a), big.NewInt(k), nil))
		outcomes[k] = v.Mul(v, new(big.Int).Exp(big.NewInt(b), big.NewInt(n-k), nil))
	}
	sum := new(big.Int)
	for _, v := range outcomes {
		if v.Cmp(outcomes[x]) <= 0 {
			sum.Add(sum, v)
		}
	}
	p, _ := new(big.Rat).SetFrac(sum, total).Float64()
	return p
}

func TestPValueEqualsBruteForce(t *testing.T) {
	for _, odds := range [][2]int64{{1, 1}, {1, 2}, {3, 1}, {1, 40}, {7, 5}} {
		for n := range int64(31) {
			for x := range n + 1 {
				want := bruteForce(x, n-x, odds[0], odds[1])
				got := PValue(uint64(x), uint64(n-x), float64(odds[0]), float64(odds[1]))
				require.InEpsilon(t, want, got, 1e-9, "%d of %d at %v", x, n, odds)
			}
		}
	}
}

// The figures come from a sum of exact fractions in another language.
func TestPValueOfKnownCounts(t *testing.T) {
	for _, c := range []struct {
		x, y uint64
		a, b float64
		want float64
	}{
		{10, 7, 1, 1, 0.629058837890625},
		{5, 8, 1, 1, 0.5810546875},
		{0, 1, 1, 1, 1.0},
		{0, 10, 1, 1, 0.001953125},
		{100, 150, 1, 1, 0.001883300935076157},
		{10, 30, 1, 2, 0.3158610128127917},
		{10, 30, 3, 1, 4.630880897739289e-11},
		{400, 500, 1, 1, 0.0009564441369189461},
		{3, 0, 1, 9, 0.001},
		{0, 50, 1, 100, 1.0},
		{1000, 1100, 2, 2, 0.030720707864242296},
		{2000, 2000, 1, 1, 1.0},
		{4500, 4800, 1, 1, 0.0019304752297255002},
		{120, 4000, 1, 50, 3.8157274064037775e-05},
	} {
		assert.InEpsilon(t, c.want, PValue(c.x, c.y, c.a, c.b), 1e-9, "%+v", c)
		assert.InEpsilon(t, c.want, PValue(c.y, c.x, c.b, c.a), 1e-9, "swapped %+v", c)
		assert.InEpsilon(t, c.want, PValue(c.x, c.y, 1e9*c.a, 1e9*c.b), 1e-9, "%+v: only the odds matter", c)
	}
}

// Where the approximation takes over, it agrees with the exact test.
func TestNormalApproximation(t *testing.T) {
	for _, p := range []float64{0.5, 0.3, 0.05} {
		q := 1 - p
		n := uint64(exactVariance/(p*q)) + 10
		mean, sigma := float64(n)*p, math.Sqrt(float64(n)*p*q)
		for _, z := range []float64{-3, -2, -1, -0.1, 0, 0.1, 1, 2, 3} {
			x := uint64(math.Round(mean + z*sigma))
			want, got := exact(x, n, p, q), PValue(x, n-x, p, q)
			assert.InDelta(t, want, got, 0.01, "p %g z %g", p, z)
			assert.InEpsilon(t, want, got, 0.1, "p %g z %g", p, z)
		}
	}
	// Two standard deviations.
	assert.InEpsilon(t, 0.0455, PValue(1_000_000-1414, 1_000_000+1414, 1, 1), 0.01)
}

func TestPValueAtTheEdges(t *testing.T) {
	assert.EqualValues(t, 1, PValue(0, 0, 1, 1), "nothing was observed")
	for _, c := range [][2]float64{{0, 1}, {1, 0}, {-1, 2}, {math.NaN(), 1}, {math.Inf(1), 1}, {0, 0}} {
		assert.True(t, math.IsNaN(PValue(1, 2, c[0], c[1])), c)
	}
	for _, c := range [][2]uint64{{math.MaxUint64, math.MaxUint64}, {math.MaxUint64, 0}, {0, math.MaxUint64}, {math.MaxInt64, 1}, {1, 1 << 40}} {
		for _, odds := range [][2]float64{{1, 1}, {1e-18, 1}, {1, 1e-18}, {1e-300, 1}, {1e300, 1e-300}, {3600, 1e-9}} {
			p := PValue(c[0], c[1], odds[0], odds[1])
			assert.True(t, p >= 0 && p <= 1, "%v %v: %v", c, odds, p)
		}
	}
	assert.EqualValues(t, 1, PValue(math.MaxUint64, math.MaxUint64, 1, 1))
	// Of many observations with a small share, the distribution is that of
	// Poisson: with a mean of 5, 0 and 10 and more are no more likely than 1.
	want, term := 1.0, math.Exp(-5)
	for k := 0.0; k < 10; k++ {
		if k > 1 {
			want -= term
		}
		term *= 5 / (k + 1)
	}
	assert.InEpsilon(t, want, PValue(1, 1<<52-1, 5, 1<<52-5), 1e-6)
}

func FuzzPValue(f *testing.F) {
	f.Add(uint64(10), uint64(7), 1.0, 1.0)
	f.Add(uint64(1), uint64(1<<60), 1e-17, 1.0)
	f.Fuzz(func(t *testing.T, x, y uint64, a, b float64) {
		p := PValue(x, y, a, b)
		valid := a > 0 && b > 0 && !math.IsInf(a+b, 0)
		if valid == math.IsNaN(p) || valid && (p < 0 || p > 1) {
			t.Fatalf("PValue(%d, %d, %g, %g) = %g", x, y, a, b, p)
		}
	})
}
