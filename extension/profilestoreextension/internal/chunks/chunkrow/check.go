package chunkrow

import (
	"fmt"
	"math"
	"strings"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/internal/chunk"
)

// hourLength is the length of an hour in nanoseconds.
const hourLength = int64(3600_000_000_000)

// Chunk checks what was read and makes a chunk of it, which shares the memory of
// r. At least [Decodable] must have been asked for; keys of entries are checked if
// there are any. Streams are checked while they are read, see [chunk.Decode]. The
// error wraps [chunk.ErrInvalid] and names the row.
func (r *Row) Chunk() (*chunk.Chunk, error) {
	c, err := chunk.Decode(r.Columns)
	if err == nil {
		err = r.check(c)
	}
	if err != nil {
		return nil, fmt.Errorf("row %016x of service %q, kind %q: %w", r.ID, r.Service, r.Kind, err)
	}
	return c, nil
}

func (r *Row) check(c *chunk.Chunk) error {
	if got, want := c.Profiles(), int(r.Profiles); got != want {
		return invalid("%d profiles; profiles_n is %d", got, want)
	}
	if got, want := c.Entries(), int(r.Entries); got != want {
		return invalid("%d entries; entries_n is %d", got, want)
	}
	if got, want := c.Types(), strings.Count(r.Types, ",")+1; got != want {
		return invalid("%d sample types; types are %q", got, r.Types)
	}
	if err := r.checkProfiles(c); err != nil {
		return err
	}
	return r.checkKeys(c.Entries())
}

func (r *Row) checkKeys(entries int) error {
	if len(r.Dense) > 0 && r.Keys.Len() == 0 {
		return r.Keys.checkLengths("dense", len(r.Dense), entries)
	}
	if r.Keys.Len() == 0 && r.Keys.Plain() {
		return nil // not asked for
	}
	return r.Keys.Check(entries)
}

// checkProfiles checks the times, the series and the number of events.
func (r *Row) checkProfiles(c *chunk.Chunk) error {
	p := &r.Columns.Profiles
	begin := r.Hour * 1_000_000_000
	first, last, events := int64(math.MaxInt64), int64(math.MinInt64), uint64(0)
	for i, t := range p.Times {
		if t < begin || t-begin >= hourLength {
			return invalid("profile %d begins at %d ns; the hour of the row begins at %d s", i, t, r.Hour)
		}
		if s := p.Series[i]; int(s) >= len(r.SeriesIDs) {
			return invalid("profile %d is of series %d; the row has %d", i, s, len(r.SeriesIDs))
		}
		first, last = min(first, t), max(last, t+p.Durations[i])
		events += c.Events(i)
	}
	if len(p.Times) > 0 && (first != r.First || last != r.Last) {
		return invalid("profiles are from %d to %d ns; first_time is %d, last_time %d", first, last, r.First, r.Last)
	}
	if events != r.Events {
		return invalid("profiles have %d events; events is %d", events, r.Events)
	}
	for i := 1; i < len(r.SeriesIDs); i++ {
		if CompareIDs(r.SeriesIDs[i-1], r.SeriesIDs[i]) >= 0 {
			return invalid("series_ids %d is not above the one before", i)
		}
	}
	return nil
}

// Check reports whether these are the keys of n entries: arrays of one length, in
// strictly ascending order.
func (k *EntryKeys) Check(n int) error {
	if err := k.checkLengths("stacks", len(k.Stacks), n); err != nil {
		return err
	}
	for i := 1; i < n; i++ {
		c := CompareIDs(k.Stacks[i-1], k.Stacks[i])
		if c == 0 {
			a, b := k.At(i-1), k.At(i)
			c = a.CompareAttributes(&b)
		}
		if c >= 0 {
			return invalid("key of entry %d is not above the one before", i)
		}
	}
	return nil
}

// checkLengths checks those of all arrays, of which the one of the stacks has a name.
func (k *EntryKeys) checkLengths(name string, stacks, n int) error {
	for _, a := range [...]struct {
		name     string
		n        int
		optional bool
	}{
		{name, stacks, false},
		{"attribute_sets", len(k.Sets), true},
		{"lock_addresses", len(k.Locks), true},
		{"syscalls", len(k.Syscalls), true},
		{"buckets", len(k.Buckets), true},
		{"errors", len(k.Errors), true},
	} {
		if a.n != n && (a.n != 0 || !a.optional) {
			return invalid("%s: %d elements for %d entries", a.name, a.n, n)
		}
	}
	return nil
}

// CompareIDs orders ids as rows have them; it returns -1, 0 or 1.
func CompareIDs(a, b proto.UInt128) int {
	switch {
	case a == b:
		return 0
	case a.High < b.High || a.High == b.High && a.Low < b.Low:
		return -1
	}
	return 1
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", chunk.ErrInvalid, fmt.Errorf(format, args...))
}
