// Package profileimport reads profiles in the formats of other tools: pprof,
// folded stacks and Java Flight Recorder. All of them become profiles of pprof (see
// package pprofwire),
// which Convert turns into OTLP profiles by the conventions of package profile.
//
// Files come from anywhere: sizes are bounded before memory is taken, and errors
// name what is wrong.
package profileimport
