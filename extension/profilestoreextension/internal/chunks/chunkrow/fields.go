package chunkrow

import "github.com/aperture-collector/aperture-collector/internal/chunk"

// Fields are columns to be read.
type Fields uint64

// Columns by what they are needed for. Beside them, kind, types, period, hour,
// level, id, dictionary, first_time, last_time and entries_n are always read.
const (
	// Names are tenant and service.
	Names Fields = 1 << iota
	// Order is what tells rows of one id apart: seq, nonce and written.
	Order
	// Rest are the other parts of the [Header]: period_type, profiles_n, events and
	// stored.
	Rest
	// Covers is the column covers.
	Covers
	// Begins are times of profiles, Durations what the name says.
	Begins
	Durations
	// Series are series and series_ids.
	Series
	// ProfileEvents is the column events_by_profile.
	ProfileEvents
	// Stacks are the columns stacks and dense, of which each row has one.
	Stacks
	// Attributes are the other parts of the keys of entries: attribute_sets,
	// lock_addresses, syscalls, buckets and errors.
	Attributes
	// EntryProfiles is the column entry_profiles.
	EntryProfiles
	// Counts is the column counts. It is empty if all equal t0, so ask for both.
	Counts
	// Bounds are minima and maxima.
	Bounds
	// Streams are all streams but exemplars.
	Streams
	// Exemplars is the column exemplars.
	Exemplars
	// BatchEvents is the column batch_events.
	BatchEvents

	firstTotal
	firstProfileTotal = firstTotal << chunk.MaxTypes

	// All is everything.
	All = firstProfileTotal<<chunk.MaxTypes - 1
)

const (
	// Times are times and durations of profiles.
	Times = Begins | Durations
	// Totals are t0 to t3.
	Totals = firstProfileTotal - firstTotal
	// ProfileTotals are pt0 to pt3 and events_by_profile.
	ProfileTotals = All + 1 - firstProfileTotal | ProfileEvents
	// HeaderFields are the whole of the [Header] but for Covers and BatchEvents.
	HeaderFields = Names | Order | Rest
)

// Total is the column of the totals of one type, counted from 0, ProfileTotal that
// of the profiles' totals.
func Total(column int) Fields        { return firstTotal << column }
func ProfileTotal(column int) Fields { return firstProfileTotal << column }

// Keys are the keys of entries.
const Keys = Stacks | Attributes

// Decodable is what [Row.Chunk] needs at least.
const Decodable = Times | Series | ProfileTotals | EntryProfiles | Totals | Counts | Bounds | Streams
