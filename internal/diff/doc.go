// Package diff compares two merged profiles of one kind, a baseline and a
// comparison: row by row, with shares, rates and the probability that a
// difference is noise. It is pure arithmetic: it reads nothing and knows no
// output format.
package diff
