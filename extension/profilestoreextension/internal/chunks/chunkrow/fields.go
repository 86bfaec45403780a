package chunkrow

// Fields are columns to be read beside those of the [Header] without Covers, which
// are always read.
type Fields uint32

// Columns by what they are needed for.
const (
	// Covers is the column covers.
	Covers Fields = 1 << iota
	// Times are times and durations of profiles.
	Times
	// Series are series and series_ids.
	Series
	// ProfileTotals are pt0 to pt3 and events_by_profile.
	ProfileTotals
	// Stacks is the column stacks.
	Stacks
	// Attributes are the other parts of the keys of entries: attribute_sets,
	// lock_addresses, syscalls, buckets and errors.
	Attributes
	// EntryProfiles is the column entry_profiles.
	EntryProfiles
	// Totals are t0 to t3.
	Totals
	// Counts is the column counts. It is empty if all equal t0, so ask for both.
	Counts
	// Bounds are minima and maxima.
	Bounds
	// Streams are all streams but exemplars.
	Streams
	// Exemplars is the column exemplars.
	Exemplars

	// All is everything.
	All Fields = 1<<iota - 1
)

// Keys are the keys of entries.
const Keys = Stacks | Attributes

// Decodable is what [Row.Chunk] needs at least.
const Decodable = Times | Series | ProfileTotals | EntryProfiles | Totals | Counts | Bounds | Streams
