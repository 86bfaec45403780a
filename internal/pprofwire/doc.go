// Package pprofwire decodes profiles of pprof,
// https://github.com/google/pprof/blob/main/proto/profile.proto, gzipped or not,
// into flat tables of numbers, and turns them into OTLP profiles.
//
// # Two passes
//
// Fields of a message can come in any order: Go writes samples before the strings
// and functions they refer to. The first pass over the inflated bytes decodes the
// tables and notes where samples and strings are; then ids and string numbers are
// checked and ids become indices; the second pass decodes the samples. After
// [Parse], everything in a [Profile] has been checked, and reading it takes no
// memory. Strings stay where they are in the input.
//
// # What is accepted
//
// What google/pprof accepts, is, apart from the text formats from before
// profile.proto. In particular, a location may name a mapping that is not there.
// Unknown fields are skipped. Input comes from other people's programs: sizes are
// bounded before memory is taken, and errors name the entry and the byte.
//
// Strings need not be UTF-8: runtimes write the names that they find in binaries.
// [Profile.String] returns them as they are, [Profile.Text] and [ToProfiles] with
// what is not UTF-8 replaced by U+FFFD.
package pprofwire
