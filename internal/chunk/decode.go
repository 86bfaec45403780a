package chunk

// Decode checks columns and makes a chunk of them, which shares their memory. The
// check is a cheap one that reads no stream but the head: the arrays fit together,
// no limit is exceeded,
// and the totals of profiles and of entries have the same sums. What reads the other streams checks them, and returns
// an error that wraps [ErrInvalid]; see [Reader.Verify], which reads all of them.
func Decode(c Columns) (*Chunk, error) {
	for _, s := range c.Streams.all() {
		if n := len(*s.bytes); n > MaxStreamBytes {
			return nil, invalid("stream %s has %d bytes; the limit is %d", s.name, n, MaxStreamBytes)
		}
	}
	out := &Chunk{columns: c}
	if err := out.readHead(); err != nil {
		return nil, err
	}
	if n := out.Profiles(); n > MaxProfiles {
		return nil, invalid("%d profiles; the limit is %d", n, MaxProfiles)
	}
	if n := out.Entries(); n > MaxEntries {
		return nil, invalid("%d entries; the limit is %d", n, MaxEntries)
	}
	if err := out.lengths(); err != nil {
		return nil, err
	}
	if err := out.checkEntries(); err != nil {
		return nil, err
	}
	if err := out.checkTotals(); err != nil {
		return nil, err
	}
	var err error
	if out.small, err = splitSmall(c.Streams.Small); err != nil {
		return nil, err
	}
	return out, nil
}

func (c *Chunk) readHead() error {
	head := c.columns.Streams.Head
	if len(head) < headBytes {
		return invalid("stream head has %d bytes; at least %d are needed", len(head), headBytes)
	}
	if head[0] != Version {
		return invalid("version is %d; only %d is known", head[0], Version)
	}
	if head[1] < 1 || head[1] > MaxTypes {
		return invalid("%d sample types; must be 1 to %d", head[1], MaxTypes)
	}
	c.types = int(head[1])
	return nil
}

// lengths checks those of all arrays.
func (c *Chunk) lengths() error {
	p, e := &c.columns.Profiles, &c.columns.Entries
	profiles, entries := c.Profiles(), c.Entries()
	type array struct {
		name      string
		got, want int
		optional  bool
	}
	arrays := []array{
		{"durations", len(p.Durations), profiles, false},
		{"series", len(p.Series), profiles, false},
		{"events", len(p.Events), profiles, true},
		{"counts of entries", len(e.Counts), entries, true},
		{"minima of entries", len(e.Minima), entries, true},
		{"maxima of entries", len(e.Maxima), len(e.Minima), false},
		{"head", len(c.columns.Streams.Head), headBytes + planes(c.types)*entries, false},
	}
	for j := range MaxTypes {
		n, m := profiles, entries
		if j >= c.types {
			n, m = 0, 0
		}
		arrays = append(arrays, array{"totals of profiles", len(p.Totals[j]), n, false}, array{"totals of entries", len(e.Totals[j]), m, false})
	}
	for _, a := range arrays {
		if a.got != a.want && (a.got != 0 || !a.optional) {
			return invalid("%s: %d elements; expected %d for %d profiles, %d entries and %d types", a.name, a.got, a.want, profiles, entries, c.types)
		}
	}
	return nil
}

func (c *Chunk) checkEntries() error {
	m := c.modes()
	total := c.Profiles()
	for i, n := range c.columns.Entries.Profiles {
		if int(n) > total {
			return invalid("entry %d is in %d profiles; the chunk has %d", i, n, total)
		}
		if !m.fit(i, c.types, n) {
			return corrupt("head", i, headBytes+i, "modes do not fit %d types in %d profiles", c.types, n)
		}
		if c.incidences += int(n); c.incidences > MaxIncidences {
			return invalid("more than %d incidences at entry %d", MaxIncidences, i)
		}
	}
	return nil
}

// checkTotals compares the sums of the profiles with those of the entries.
func (c *Chunk) checkTotals() error {
	p, e := &c.columns.Profiles, &c.columns.Entries
	for j := range c.types {
		if a, b := sum(p.Totals[j]), sum(e.Totals[j]); a != b {
			return invalid("totals of type %d: those of the profiles are %d, those of the entries %d", j, a, b)
		}
	}
	var events, counts uint64
	for i := range c.Profiles() {
		events += c.Events(i)
	}
	for i := range c.Entries() {
		counts += c.Count(i)
	}
	if events != counts {
		return invalid("%d events in the profiles; %d observations of the entries", events, counts)
	}
	return nil
}
