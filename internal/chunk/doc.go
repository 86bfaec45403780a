// Package chunk keeps many profiles as one: all profiles of a tenant, service,
// kind and set of sample types in a window of time, transposed. What all of them
// share is written once, and what differs is coded entry by entry in a few bits.
// docs/adr/0011-chunk-format.md describes the format, version 1.
//
// An entry is what values are kept apart by: a stack with its sample attributes.
// To this package it is an index, as is a series: callers keep the keys, in
// ascending order, beside the chunk. An incidence is an entry in a profile.
//
// [Builder] makes chunks from profiles, [Merger] makes one chunk out of several,
// [Reader] answers sums over any selection of profiles and takes chunks apart
// again, and [Cursor] is what both read with. None of them is safe for concurrent
// use; a [Chunk] is, for reading. They keep their memory: a chunk that a Builder
// or Merger returned is valid until it makes the next one.
//
// The package knows nothing of ClickHouse. [Columns] are the columns of a row:
// plain arrays, which SQL can use as they are, and byte strings.
package chunk
