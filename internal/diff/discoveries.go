package diff

import (
	"math"
	"slices"
)

// Discoveries returns the largest of many p-values that still tells a change if at
// most the share rate of what is told may be noise (the false discovery rate, by the
// procedure of Benjamini and Hochberg, J. R. Statist. Soc. B 57, 1995): the largest
// of the m values that is no larger than its rank by rate/m. It is -1 if none is.
// The tests may depend on each other as those of callers and callees do, which go up
// together. NaN is no test. p is sorted.
func Discoveries(p []float64, rate float64) float64 {
	p = slices.DeleteFunc(p, math.IsNaN)
	slices.Sort(p)
	for i, v := range slices.Backward(p) {
		if v <= float64(i+1)/float64(len(p))*rate {
			return v
		}
	}
	return -1
}
