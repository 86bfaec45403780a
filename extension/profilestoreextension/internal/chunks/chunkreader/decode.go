package chunkreader

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/internal/chunk"
)

// checkProfiles checks what is used of a row before its chunk is made.
func checkProfiles(row *chunkrow.Row) error {
	p := &row.Columns.Profiles
	if len(p.Series) != len(p.Times) {
		return fmt.Errorf("row %016x: %w: series of %d profiles; times of %d", row.ID, chunk.ErrInvalid, len(p.Series), len(p.Times))
	}
	for i, s := range p.Series {
		if int(s) >= len(row.SeriesIDs) {
			return fmt.Errorf("row %016x: %w: profile %d is of series %d; the row has %d", row.ID, chunk.ErrInvalid, i, s, len(row.SeriesIDs))
		}
	}
	return nil
}

// checkTotals checks what is used of a row that is summed by its totals.
func checkTotals(row *chunkrow.Row, types int) error {
	e, k, n := &row.Columns.Entries, &row.Keys, int(row.Entries)
	for _, a := range [...]struct {
		name     string
		n        int
		optional bool
	}{
		{"stacks", len(k.Stacks), true},
		{"attribute_sets", len(k.Sets), true},
		{"lock_addresses", len(k.Locks), true},
		{"syscalls", len(k.Syscalls), true},
		{"buckets", len(k.Buckets), true},
		{"errors", len(k.Errors), true},
		{"counts", len(e.Counts), true},
		{"minima", len(e.Minima), true},
		{"maxima", len(e.Maxima), len(e.Minima) == 0},
		{"t0", len(e.Totals[0]), false},
		{"t1", len(e.Totals[1]), types < 2},
		{"t2", len(e.Totals[2]), types < 3},
		{"t3", len(e.Totals[3]), types < 4},
	} {
		if a.n != n && (a.n != 0 || !a.optional) {
			return fmt.Errorf("row %016x: %w: %s has %d elements for %d entries", row.ID, chunk.ErrInvalid, a.name, a.n, n)
		}
	}
	return nil
}

// decodable makes a chunk of a row. Unlike [chunkrow.Row.Chunk] it does without
// the parts of keys that were not asked for.
func decodable(row *chunkrow.Row) (*chunk.Chunk, error) {
	c, err := chunk.Decode(row.Columns)
	if err != nil {
		return nil, fmt.Errorf("row %016x: %w", row.ID, err)
	}
	if c.Entries() != int(row.Entries) {
		return nil, fmt.Errorf("row %016x: %w: %d entries; entries_n is %d", row.ID, chunk.ErrInvalid, c.Entries(), row.Entries)
	}
	if n := strings.Count(row.Types, ",") + 1; c.Types() != n {
		return nil, fmt.Errorf("row %016x: %w: %d sample types; types are %q", row.ID, chunk.ErrInvalid, c.Types(), row.Types)
	}
	return c, checkTotals(row, c.Types())
}

// checkKeys checks that every entry has a stack.
func checkKeys(row *chunkrow.Row) error {
	if n := row.Keys.Len(); n != int(row.Entries) {
		return fmt.Errorf("row %016x: %w: stacks has %d elements for %d entries", row.ID, chunk.ErrInvalid, n, row.Entries)
	}
	return nil
}

// decoder sums entries over some profiles of a chunk. It keeps its memory.
type decoder struct {
	cursor chunk.Cursor
	mask   []int64
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// entryFigures are the sums of one entry.
type entryFigures struct {
	entry int
	figures
}

// sum returns the sums of all entries that are in a selected profile.
func (d *decoder) sum(c *chunk.Chunk, selected func(profile int) bool, out []entryFigures) ([]entryFigures, error) {
	d.mask = slices.Grow(d.mask[:0], c.Profiles())[:c.Profiles()]
	for i := range d.mask {
		d.mask[i] = 0
		if selected(i) {
			d.mask[i] = -1
		}
	}
	e := &c.Columns().Entries
	var fields chunk.Fields
	for j := range c.Types() {
		fields |= chunk.Value(j)
	}
	counted, bounded := len(e.Counts) > 0, len(e.Minima) > 0
	if counted {
		fields |= chunk.Counts
	}
	if bounded {
		fields |= chunk.Bounds
	}
	cur := &d.cursor
	for cur.Reset(c, fields); cur.Next(); {
		profiles := cur.Profiles()
		f := none()
		f.values[0] = d.values(profiles, cur.Values(0))
		if f.values[0] == 0 && !d.any(profiles) {
			continue
		}
		for j := 1; j < c.Types(); j++ {
			f.values[j] = d.values(profiles, cur.Values(j))
		}
		f.count = uint64(f.values[0])
		if counted {
			f.count = 0
			for i, n := range cur.Counts() {
				f.count += n & uint64(d.mask[profiles[i]])
			}
		}
		if bounded {
			minima, maxima := cur.Bounds()
			for i, p := range profiles {
				// Of extremes that are not known, the minimum is above the maximum.
				if d.mask[p] != 0 && minima[i] <= maxima[i] {
					f.lo, f.hi = min(f.lo, minima[i]), max(f.hi, maxima[i])
				}
			}
		}
		out = append(out, entryFigures{cur.Entry(), f})
	}
	return out, cur.Err()
}

func (d *decoder) values(profiles []uint32, values []int64) (sum int64) {
	values = values[:len(profiles)]
	for i, p := range profiles {
		sum += values[i] & d.mask[p]
	}
	return sum
}

func (d *decoder) any(profiles []uint32) bool {
	for _, p := range profiles {
		if d.mask[p] != 0 {
			return true
		}
	}
	return false
}

// checkProfileTotals checks what is used of a row that is summed by the totals of
// its profiles.
func checkProfileTotals(row *chunkrow.Row, durations bool) error {
	p := &row.Columns.Profiles
	n := len(p.Times)
	for _, a := range [...]struct {
		name     string
		n        int
		optional bool
	}{
		{"durations", len(p.Durations), !durations},
		{"series", len(p.Series), false},
		{"events_by_profile", len(p.Events), true},
		{"pt0", len(p.Totals[0]), false},
		{"pt1", len(p.Totals[1]), true},
		{"pt2", len(p.Totals[2]), true},
		{"pt3", len(p.Totals[3]), true},
	} {
		if a.n != n && (a.n != 0 || !a.optional) {
			return fmt.Errorf("row %016x: %w: %s has %d elements for %d profiles", row.ID, chunk.ErrInvalid, a.name, a.n, n)
		}
	}
	return checkProfiles(row)
}

// events returns the number of observations of a profile.
func events(row *chunkrow.Row, i int) uint64 {
	if p := &row.Columns.Profiles; len(p.Events) > 0 {
		return p.Events[i]
	}
	return uint64(row.Columns.Profiles.Totals[0][i])
}
