package diff

import "math"

// exactVariance is the variance of the binomial distribution up to which the
// test is exact. Above it, the distribution is as good as normal, and the exact
// sum would take thousands of terms.
const exactVariance = 2500

// equalOdds is the tolerance, in logarithms, within which two outcomes count as
// equally likely. Rounding must not part outcomes that are so by symmetry.
const equalOdds = 1e-7

// PValue returns the two-sided significance of the difference between two
// counts: the probability of a split of x+y observations that is as unlikely as
// this one or more so, if an observation falls to the first side with the odds
// a:b. Given their sum, two Poisson counts with the exposures a and b (the
// lengths of two windows, or their totals) are binomially distributed with
// p = a/(a+b), so that this is the conditional test of Przyborowski and Wilenski
// (Biometrika 31, 1940) that both have the same rate.
//
// With n = x+y, the sum is over all k with P(k) <= P(x), where
// P(k) = n!/(k!(n-k)!) p^k (1-p)^(n-k), while n·p·(1-p) is at most 2500; above,
// it is erfc(max(|x-np|-1/2, 0) / sqrt(2np(1-p))), the normal approximation with
// continuity correction. No observations at all give 1. It is NaN if an exposure
// is not positive.
func PValue(x, y uint64, a, b float64) float64 {
	if !(a > 0) || !(b > 0) || math.IsInf(a+b, 0) {
		return math.NaN()
	}
	if x+y < x {
		// More than 2^64 observations: half of them show the same.
		x, y = x/2, y/2
	}
	n := x + y
	if n == 0 {
		return 1
	}
	p, q := a/(a+b), b/(a+b)
	if variance := float64(n) * p * q; variance > exactVariance {
		return normal(x, n, p, variance)
	}
	return exact(x, n, p, q)
}

func normal(x, n uint64, p, variance float64) float64 {
	distance := math.Abs(float64(x)-float64(n)*p) - 0.5
	return math.Erfc(max(distance, 0) / math.Sqrt(2*variance))
}

// exact sums the tail that x is in and the other tail as far as its outcomes
// are no more likely than x.
func exact(x, n uint64, p, q float64) float64 {
	if float64(x) > float64(n)*p {
		x, p, q = n-x, q, p
	}
	odds := logBinomial(x, n, p, q) + equalOdds
	// The mode is at most one above the mean; x is not above the mean.
	mode := min(uint64((float64(n)+1)*p), n)
	if x >= mode || logBinomial(mode, n, p, q) <= odds {
		return 1
	}
	// The first outcome beyond the mode that is no more likely than x; above the
	// mode, odds only fall.
	low, high := mode, n+1
	for high-low > 1 {
		if k := low + (high-low)/2; logBinomial(k, n, p, q) > odds {
			low = k
		} else {
			high = k
		}
	}
	sum := lowerTail(x, n, p, q)
	if high <= n {
		// The upper tail is the lower one of what fell to the other side.
		sum += lowerTail(n-high, n, q, p)
	}
	return min(sum, 1)
}

// lowerTail returns the probability of x or less, x below the mode: terms fall
// from there on, and the sum ends when they no longer matter.
func lowerTail(x, n uint64, p, q float64) float64 {
	term := math.Exp(logBinomial(x, n, p, q))
	sum := term
	for k := x; k > 0 && term > sum*1e-17; k-- {
		term *= float64(k) / (float64(n-k) + 1) * (q / p)
		sum += term
	}
	return sum
}

// logBinomial returns the logarithm of the probability of k out of n, by the
// saddle-point expansion of Loader (Fast and Accurate Computation of Binomial
// Probabilities, 2000), which has full precision for large n as well, where the
// difference of logarithms of factorials has none left.
func logBinomial(k, n uint64, p, q float64) float64 {
	nf, kf, rest := float64(n), float64(k), float64(n-k)
	switch k {
	case 0:
		return nf * logOf(q, p)
	case n:
		return nf * logOf(p, q)
	}
	exponent := stirlingError(nf) - stirlingError(kf) - stirlingError(rest) - deviance(kf, nf*p) - deviance(rest, nf*q)
	return exponent + 0.5*(math.Log(nf/kf)-math.Log(2*math.Pi*rest))
}

// logOf returns log(p) with full precision for p near 1, where q = 1-p is the
// exact one.
func logOf(p, q float64) float64 {
	if q < 0.5 {
		return math.Log1p(-q)
	}
	return math.Log(p)
}

// stirlingError returns log(n!) - log(sqrt(2πn) (n/e)^n).
func stirlingError(n float64) float64 {
	if n <= 15 {
		factorial, _ := math.Lgamma(n + 1)
		return factorial - (n+0.5)*math.Log(n) + n - 0.5*math.Log(2*math.Pi)
	}
	square := n * n
	return (1.0/12 - (1.0/360-(1.0/1260-1.0/(1680*square))/square)/square) / n
}

// deviance returns x·log(x/mean) + mean - x, without cancellation where x is
// close to the mean.
func deviance(x, mean float64) float64 {
	if math.Abs(x-mean) > 0.1*(x+mean) {
		return x*math.Log(x/mean) + mean - x
	}
	// With v = (x-mean)/(x+mean), log(x/mean) is 2(v + v³/3 + v⁵/5 + …).
	v := (x - mean) / (x + mean)
	sum, power := (x-mean)*v, 2*x*v
	for j := 3.0; ; j += 2 {
		power *= v * v
		next := sum + power/j
		if next == sum {
			return sum
		}
		sum = next
	}
}
