package chunkrow

import (
	"math"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/internal/chunk"
)

// Header is what is known of a row without its arrays.
type Header struct {
	Key
	Level uint8
	// Seq numbers the rows of levels 1 and 2 of a key from 1, both together; it is 0
	// for level 0.
	Seq uint32
	// ID is that of [WindowRowID] or [CompactedRowID].
	ID uint64
	// Nonce is drawn at random for every insert, see [NewNonce]: it tells rows of one
	// id apart.
	Nonce proto.UInt128
	// Dictionary is that of package stackdict which Row.Dense counts in, 0 for none.
	Dictionary uint64
	// Covers are the ids of the rows of lower levels that this row replaces.
	Covers []uint64
	// First is the begin of the first profile, Last the latest end of any, in Unix
	// nanoseconds.
	First, Last int64
	// Profiles and Entries are the numbers of them, Events that of observations.
	Profiles, Entries uint32
	Events            uint64
	// BatchEvents are those of Events that the table batches accounts for, or
	// [UnknownEvents].
	BatchEvents uint64
	// Written is when the server took the row, in Unix milliseconds. It is not
	// inserted.
	Written int64
	// Stored is what the lifetime counts from, in Unix seconds: the end of the hour
	// in which the data was stored first. A row that replaces others has the latest
	// of theirs.
	Stored int64
}

// UnknownEvents stands for a number that is not known: rows of earlier versions have
// none, and neither has what is left of a row of which something was deleted.
const UnknownEvents = math.MaxUint64

// AddBatchEvents adds two numbers of [Header.BatchEvents].
func AddBatchEvents(a, b uint64) uint64 {
	if a == UnknownEvents || b == UnknownEvents {
		return UnknownEvents
	}
	return a + b
}

// Row is a row of the table.
type Row struct {
	Header
	// SeriesIDs are what [chunk.ProfileColumns].Series counts in, ascending.
	SeriesIDs []proto.UInt128
	Keys      EntryKeys
	// Dense are the numbers of the stacks of the entries in the dictionary. A row
	// with one has no hashes in the table: Keys.Stacks is empty when it was read, and
	// not written.
	Dense   []uint32
	Columns chunk.Columns
}
