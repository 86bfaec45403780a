package chunk

import "math"

// NoMinimum and NoMaximum stand for extremes that no producer gave. Any minimum
// above its maximum means the same.
const (
	NoMinimum = int64(math.MaxInt64)
	NoMaximum = int64(math.MinInt64)
)

// Columns are a chunk as it is stored. The arrays mean the same in SQL as here.
// All sums are modulo 2^64, as in ClickHouse.
type Columns struct {
	Profiles ProfileColumns
	Entries  EntryColumns
	Streams  Streams
}

// ProfileColumns have an element for each profile, in order of series and time.
type ProfileColumns struct {
	// Times and Durations are nanoseconds.
	Times, Durations []int64
	// Series is an index given by the caller, for what many profiles share.
	Series []uint32
	// Totals are the sums of each type; empty beyond the chunk's types.
	Totals [MaxTypes][]int64
	// Events are the numbers of observations; empty if all equal Totals[0].
	Events []uint64
}

// EntryColumns have an element for each entry.
type EntryColumns struct {
	// Profiles is the number of profiles that an entry is in.
	Profiles []uint32
	// Totals are the sums of each type; empty beyond the chunk's types.
	Totals [MaxTypes][]int64
	// Counts are the numbers of observations; empty if all equal Totals[0].
	Counts []uint64
	// Minima and Maxima are those of single observations of the first type, see
	// [NoMinimum]; empty if none is known.
	Minima, Maxima []int64
}

// Streams hold what belongs to one entry in one profile.
type Streams struct {
	// Head is the version, the number of types and how each entry is coded.
	Head []byte
	// Positions say which profiles the entries are in, Rice-coded.
	Positions []byte
	// Small are values of which most are 1, Rice-coded.
	Small []byte
	// Values are varints of each type.
	Values [MaxTypes][]byte
	// Counts, Minima and Maxima are varints.
	Counts, Minima, Maxima []byte
	// Exemplars are single observations that were kept.
	Exemplars []byte
}

// Chunk is a checked set of columns. It must not be changed; it is safe for
// concurrent use. See [Builder], [Merger] and [Decode], which make chunks.
type Chunk struct {
	columns    Columns
	types      int
	incidences int
	small      [MaxTypes + 1][]byte
}

// Columns returns what is to be stored. They share the memory of c.
func (c *Chunk) Columns() *Columns { return &c.columns }

// Types returns the number of sample types.
func (c *Chunk) Types() int { return c.types }

// Profiles returns the number of profiles.
func (c *Chunk) Profiles() int { return len(c.columns.Profiles.Times) }

// Entries returns the number of entries.
func (c *Chunk) Entries() int { return len(c.columns.Entries.Profiles) }

// Incidences returns the number of entries in all profiles together.
func (c *Chunk) Incidences() int { return c.incidences }

// Count returns the number of observations of an entry.
func (c *Chunk) Count(entry int) uint64 {
	if e := &c.columns.Entries; len(e.Counts) > 0 {
		return e.Counts[entry]
	}
	return uint64(c.columns.Entries.Totals[0][entry])
}

// Events returns the number of observations in a profile.
func (c *Chunk) Events(profile int) uint64 {
	if p := &c.columns.Profiles; len(p.Events) > 0 {
		return p.Events[profile]
	}
	return uint64(c.columns.Profiles.Totals[0][profile])
}

// Bounds returns the extremes of an entry, see [NoMinimum].
func (c *Chunk) Bounds(entry int) (lowest, highest int64) {
	if e := &c.columns.Entries; len(e.Minima) > 0 {
		return e.Minima[entry], e.Maxima[entry]
	}
	return NoMinimum, NoMaximum
}

// Profile returns what is known of a profile beside its entries.
func (c *Chunk) Profile(i int) Profile {
	p := &c.columns.Profiles
	return Profile{Series: p.Series[i], Time: p.Times[i], Duration: p.Durations[i]}
}

// Profile is what is known of a profile beside its entries.
type Profile struct {
	// Series is an index given by the caller.
	Series uint32
	// Time and Duration are nanoseconds.
	Time, Duration int64
}

// Entry is an entry of one profile.
type Entry struct {
	Index uint32
	// Values has the sum of each type.
	Values [MaxTypes]int64
	// Count, Min and Max describe the observations of the first type, see
	// [NoMinimum].
	Count    uint64
	Min, Max int64
}

// namedStream is a stream and how errors call it.
type namedStream struct {
	name  string
	bytes *[]byte
}

func (s *Streams) all() [11]namedStream {
	return [...]namedStream{
		{"head", &s.Head},
		{"positions", &s.Positions},
		{"small", &s.Small},
		{"v0", &s.Values[0]},
		{"v1", &s.Values[1]},
		{"v2", &s.Values[2]},
		{"v3", &s.Values[3]},
		{"counts", &s.Counts},
		{"minima", &s.Minima},
		{"maxima", &s.Maxima},
		{"exemplars", &s.Exemplars},
	}
}

func (c *ProfileColumns) reset() {
	c.Times, c.Durations, c.Series, c.Events = c.Times[:0], c.Durations[:0], c.Series[:0], c.Events[:0]
	for i := range c.Totals {
		c.Totals[i] = c.Totals[i][:0]
	}
}

func (c *ProfileColumns) append(p Profile, totals []int64, events uint64) {
	c.Times, c.Durations, c.Series = append(c.Times, p.Time), append(c.Durations, p.Duration), append(c.Series, p.Series)
	for i, t := range totals {
		c.Totals[i] = append(c.Totals[i], t)
	}
	c.Events = append(c.Events, events)
}
