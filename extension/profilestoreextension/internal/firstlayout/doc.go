// Package firstlayout turns observations of the first layout of the tables into
// rows of chunks: a row of the table profiles was one profile, and stack_hours and
// kind_hours were sums over these. docs/adr/0012-switch-to-chunks.md describes how.
//
// Everything can be repeated, by any number of collectors at once, and end at any
// point: what an hour becomes depends on nothing but its rows, the rows of chunks
// have ids made of what is in them, and one that is there twice counts once.
package firstlayout
