// Package aggregate sums profiles over short windows and answers queries from
// the windows kept in memory.
//
// A [Table] holds the content of stacks and frames over all windows, bounded in
// bytes. A [Window] sums [profile.Groups] by series, kind, time, stack and
// sample attributes, and becomes one [pprofile.Profiles]. [Recent] keeps the
// last windows and implements [profilestore.Reader] on them.
package aggregate
