// Package export writes merged profiles in the formats of other tools: pprof,
// speedscope, OTLP and flame graphs as SVG. All of them are written while they
// are made: besides the merge, which the caller has, they keep what they need to
// number its functions and frames, never the output.
package export
