// Package life ends that of data: it deletes what somebody asked to be deleted,
// what is older than its retention where that is shorter than the longest, and the
// oldest hours when the disk is full. docs/adr/0015-life-of-the-data.md says why it
// works as it does.
//
// A row of chunks is deleted, in part or as a whole, by another row of the same key
// and id that was written earlier: of rows of one id only the first counts (see
// chunkrow.Visible), so a query sees either the old state or the new one. The new
// row covers what the old one covered, and both are covered by what covered the old
// one. Nothing that was replaced comes back, and a window that is repeated later
// changes nothing. The row that does not count any more is deleted for good when no
// query can be reading it.
//
// All times are those of the server. Everything may be repeated, and may be done by
// several processes at once; a lease only saves work.
package life
