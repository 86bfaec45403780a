package chunk

import (
	"cmp"
	"slices"
)

// Builder makes chunks out of profiles. The zero value is not usable: begin with
// [Builder.Reset]. It is not safe for concurrent use.
type Builder struct {
	types    int
	profiles []addedProfile
	// The incidences, in the order they were added. Counts are kept from the first
	// that differs from the first value on, extremes from the first that is known.
	entries        []uint32
	values         [MaxTypes][]int64
	counts         []uint64
	minima, maxima []int64
	exemplars      []placedExemplar // Profile is the number in the order of adding
	used           uint32           // entries with a lower index may have been used

	order  []uint32 // profiles in the order of the chunk
	starts []uint32 // of entries in refs
	refs   []ref
	list   list
	enc    encoder
}

type addedProfile struct {
	Profile
	first, end int // among the incidences
	totals     [MaxTypes]int64
	events     uint64
}

// ref is an incidence and the place of its profile in the chunk.
type ref struct{ incidence, profile uint32 }

// Reset forgets all profiles. The next have this number of sample types, 1 to
// [MaxTypes].
func (b *Builder) Reset(types int) error {
	if types < 1 || types > MaxTypes {
		return invalid("%d sample types; must be 1 to %d", types, MaxTypes)
	}
	b.types, b.used = types, 0
	b.profiles, b.entries, b.exemplars = b.profiles[:0], b.entries[:0], b.exemplars[:0]
	for i := range b.values {
		b.values[i] = b.values[i][:0]
	}
	b.counts, b.minima, b.maxima = b.counts[:0], b.minima[:0], b.maxima[:0]
	return nil
}

// Profiles returns the number of profiles since Reset.
func (b *Builder) Profiles() int { return len(b.profiles) }

// Incidences returns the number of entries of all profiles since Reset.
func (b *Builder) Incidences() int { return len(b.entries) }

// Exemplars returns the number of exemplars since Reset.
func (b *Builder) Exemplars() int { return len(b.exemplars) }

// Add adds a profile. Its entries are in any order; what is there for one index
// several times is summed up. Values beyond the chunk's types must be 0. The error
// wraps [ErrFull] if the chunk has no room, and [ErrInvalid] if an entry cannot be
// kept; nothing is added then.
func (b *Builder) Add(p Profile, entries []Entry) error {
	if len(b.profiles) >= MaxProfiles {
		return full("profiles", len(b.profiles)+1, MaxProfiles)
	}
	if n := len(b.entries) + len(entries); n > MaxIncidences {
		return full("incidences", n, MaxIncidences)
	}
	for i := range entries {
		if x := entries[i].Index; x >= MaxEntries {
			return invalid("entry %d: index is %d; the limit is %d", i, x, MaxEntries)
		}
		for j := b.types; j < MaxTypes; j++ {
			if v := entries[i].Values[j]; v != 0 {
				return invalid("entry %d: value %d is %d; the chunk has %d types", i, j, v, b.types)
			}
		}
	}
	added := addedProfile{Profile: p, first: len(b.entries), end: len(b.entries) + len(entries)}
	for i := range entries {
		e := &entries[i]
		b.used = max(b.used, e.Index+1)
		b.entries = append(b.entries, e.Index)
		for j := range b.types {
			b.values[j] = append(b.values[j], e.Values[j])
			added.totals[j] += e.Values[j]
		}
		added.events += e.Count
		if len(b.counts) > 0 || e.Count != uint64(e.Values[0]) {
			b.count(e.Count)
		}
		if len(b.minima) > 0 || e.Min <= e.Max {
			b.bound(e.Min, e.Max)
		}
	}
	b.profiles = append(b.profiles, added)
	return nil
}

// count keeps the count of the incidence that was added last.
func (b *Builder) count(n uint64) {
	for i := len(b.counts); i < len(b.entries)-1; i++ {
		b.counts = append(b.counts, uint64(b.values[0][i]))
	}
	b.counts = append(b.counts, n)
}

// bound keeps the extremes of the incidence that was added last.
func (b *Builder) bound(lo, hi int64) {
	for len(b.minima) < len(b.entries)-1 {
		b.minima, b.maxima = append(b.minima, NoMinimum), append(b.maxima, NoMaximum)
	}
	if lo > hi {
		lo, hi = NoMinimum, NoMaximum
	}
	b.minima, b.maxima = append(b.minima, lo), append(b.maxima, hi)
}

// AddExemplar adds a single observation of an entry of the last profile.
func (b *Builder) AddExemplar(entry uint32, x Exemplar) error {
	switch n := len(b.exemplars); {
	case len(b.profiles) == 0:
		return invalid("exemplar of entry %d: no profile was added", entry)
	case entry >= MaxEntries:
		return invalid("exemplar of entry %d: the limit is %d", entry, MaxEntries)
	case n >= MaxExemplars:
		return full("exemplars", n+1, MaxExemplars)
	}
	b.used = max(b.used, entry+1)
	b.exemplars = append(b.exemplars, placedExemplar{Place{entry, uint32(len(b.profiles) - 1)}, x})
	return nil
}

// Build makes a chunk of the profiles since Reset. entries and series say which
// index takes the place of each that was used, so that callers can number keys as
// they come and order them at the end; nil leaves the indices as they are. Equal
// input gives equal bytes. The chunk is valid until the next Build; the profiles
// are kept until the next Reset.
func (b *Builder) Build(entries, series []uint32) (*Chunk, error) {
	count, err := b.check(entries, series)
	if err != nil {
		return nil, err
	}
	b.sort(series)
	b.transpose(entries, count)
	b.enc.begin(b.types)
	for i := range count {
		b.gather(b.refs[b.starts[i]:b.starts[i+1]])
		b.enc.add(&b.list)
	}
	b.placeExemplars(entries)
	return b.enc.end()
}

// check validates the maps and returns the number of entries of the chunk.
func (b *Builder) check(entries, series []uint32) (int, error) {
	count := int(b.used)
	if entries != nil {
		if len(entries) < count {
			return 0, invalid("map of entries has %d elements; entry %d was added", len(entries), count-1)
		}
		for i, x := range entries {
			if int(x) >= len(entries) {
				return 0, invalid("map of entries: element %d is %d; it must be less than %d", i, x, len(entries))
			}
		}
		if count = len(entries); count > MaxEntries {
			return 0, full("entries", count, MaxEntries)
		}
	}
	if series != nil {
		for i := range b.profiles {
			if s := b.profiles[i].Series; int(s) >= len(series) {
				return 0, invalid("map of series has %d elements; profile %d is of series %d", len(series), i, s)
			}
		}
	}
	return count, nil
}

// sort puts the profiles in order of series and time and fills in their columns.
func (b *Builder) sort(series []uint32) {
	at := func(i uint32) uint32 {
		if s := b.profiles[i].Series; series == nil {
			return s
		} else {
			return series[s]
		}
	}
	b.order = b.order[:0]
	for i := range b.profiles {
		b.order = append(b.order, uint32(i))
	}
	slices.SortFunc(b.order, func(x, y uint32) int {
		p, q := &b.profiles[x], &b.profiles[y]
		return cmp.Or(cmp.Compare(at(x), at(y)), cmp.Compare(p.Time, q.Time), cmp.Compare(p.Duration, q.Duration), cmp.Compare(x, y))
	})
	c := &b.enc.columns.Profiles
	c.reset()
	for _, i := range b.order {
		p := &b.profiles[i]
		c.append(Profile{at(i), p.Time, p.Duration}, p.totals[:b.types], p.events)
	}
}

// transpose sorts the incidences by entry and profile, by counting.
func (b *Builder) transpose(entries []uint32, count int) {
	b.starts = slices.Grow(b.starts[:0], count+2)[:count+2]
	clear(b.starts)
	place := func(e uint32) uint32 {
		if entries == nil {
			return e
		}
		return entries[e]
	}
	// While filling, starts[i+1] is where the next of entry i belongs.
	for _, e := range b.entries {
		b.starts[place(e)+2]++
	}
	for i := 2; i < len(b.starts); i++ {
		b.starts[i] += b.starts[i-1]
	}
	b.refs = slices.Grow(b.refs[:0], len(b.entries))[:len(b.entries)]
	for rank, i := range b.order {
		for k := b.profiles[i].first; k < b.profiles[i].end; k++ {
			at := &b.starts[place(b.entries[k])+1]
			b.refs[*at] = ref{uint32(k), uint32(rank)}
			*at++
		}
	}
}

// gather fills list with the incidences of one entry, and adds up those of one
// profile.
func (b *Builder) gather(refs []ref) {
	l := &b.list
	l.reset()
	last := -1
	repeated := false
	for _, r := range refs {
		repeated = repeated || int(r.profile) == last
		last = int(r.profile)
		l.profiles = append(l.profiles, r.profile)
	}
	for j := range b.types {
		for _, r := range refs {
			l.values[j] = append(l.values[j], b.values[j][r.incidence])
		}
	}
	if len(b.counts) > 0 {
		for _, r := range refs {
			l.counts = append(l.counts, b.counts[r.incidence])
		}
	}
	if len(b.minima) > 0 {
		for _, r := range refs {
			l.minima = append(l.minima, b.minima[r.incidence])
			l.maxima = append(l.maxima, b.maxima[r.incidence])
		}
	}
	if repeated {
		l.fold(b.types)
	}
}

// placeExemplars writes the exemplars.
func (b *Builder) placeExemplars(entries []uint32) {
	if len(b.exemplars) == 0 {
		return
	}
	ranks := make([]uint32, len(b.order))
	for rank, i := range b.order {
		ranks[i] = uint32(rank)
	}
	xs := slices.Clone(b.exemplars)
	for i := range xs {
		xs[i].Profile = ranks[xs[i].Profile]
		if entries != nil {
			xs[i].Entry = entries[xs[i].Entry]
		}
	}
	s := &b.enc.columns.Streams
	s.Exemplars = appendExemplars(s.Exemplars, xs, b.enc.columns.Profiles.Times)
}
