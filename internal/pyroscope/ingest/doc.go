// Package ingest reads what clients of Grafana Pyroscope push and turns it into OTLP
// profiles by the conventions of package profile: the formats pprof, JFR, folded,
// lines, trie, tree and speedscope, and the parameters of POST /ingest.
//
// Input comes from other people's programs: sizes are bounded before memory is taken,
// and errors name what is wrong. [ErrInvalid] is the cause of errors about names,
// labels, types and limits, [ErrBody] of those about bodies that cannot be read.
package ingest
