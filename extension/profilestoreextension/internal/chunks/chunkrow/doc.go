// Package chunkrow is a row of the table chunks as Go sees it: its identity, its
// columns for ch-go in both directions, and the checks of rows that were read.
// The table itself is in chunktable, the format of the streams in internal/chunk.
//
// All profiles of a row have one [Key], and begin in its hour. Rows are of level 0
// as written, 1 for several minutes, 2 for a closed hour. A row of a higher level
// lists the ids of the rows that it replaces, see [Header].Covers and [Visible].
package chunkrow
