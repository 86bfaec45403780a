package life

import (
	"fmt"
	"slices"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/internal/chunk"
)

// filter takes profiles out of rows. It keeps its memory, and is not safe for
// concurrent use.
type filter struct {
	reader  chunk.Reader
	builder chunk.Builder
}

// row returns a copy of r with the profiles that keep is true for: by their series
// and begin, in Unix nanoseconds.
// Only what depends on the profiles is another one. The error wraps
// [chunk.ErrInvalid] if r is damaged.
func (f *filter) row(r *chunkrow.Row, keep func(series proto.UInt128, begin int64) bool) (*chunkrow.Row, error) {
	c, err := r.Chunk()
	if err != nil {
		return nil, err
	}
	if err := f.builder.Reset(c.Types()); err != nil {
		return nil, fmt.Errorf("row %016x: %w", r.ID, err)
	}
	var sel chunk.Selection
	left := make([]bool, len(r.SeriesIDs))
	sel.Set(c, func(i int) bool {
		p := c.Profile(i)
		kept := keep(r.SeriesIDs[p.Series], p.Time)
		left[p.Series] = left[p.Series] || kept
		return kept
	})
	out := *r
	out.Profiles, out.Events, out.SeriesIDs = uint32(sel.Len()), 0, nil
	out.BatchEvents = chunkrow.UnknownEvents
	series := make([]uint32, len(r.SeriesIDs))
	for i, id := range r.SeriesIDs {
		if left[i] {
			series[i] = uint32(len(out.SeriesIDs))
			out.SeriesIDs = append(out.SeriesIDs, id)
		}
	}
	used := newNumbers(c.Entries())
	exemplars, err := exemplarsOf(c)
	if err != nil {
		return nil, fmt.Errorf("row %016x: %w", r.ID, err)
	}
	first := true
	var entries []chunk.Entry
	err = f.reader.Profiles(c, &sel, func(i int, es []chunk.Entry) error {
		p := c.Profile(i)
		if end := p.Time + p.Duration; first {
			out.First, out.Last, first = p.Time, end, false
		} else {
			out.First, out.Last = min(out.First, p.Time), max(out.Last, end)
		}
		out.Events += c.Events(i)
		entries = append(entries[:0], es...)
		for j := range entries {
			entries[j].Index = used.of(entries[j].Index)
		}
		if err := f.builder.Add(p, entries); err != nil {
			return err
		}
		for _, x := range exemplars[uint32(i)] {
			if err := f.builder.AddExemplar(used.of(x.entry), x.exemplar); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("row %016x: %w", r.ID, err)
	}
	ranks := used.sorted()
	built, err := f.builder.Build(ranks, series)
	if err != nil {
		return nil, fmt.Errorf("row %016x: %w", r.ID, err)
	}
	out.Columns, out.Entries = *built.Columns(), uint32(len(ranks))
	out.Keys = keysAt(&r.Keys, used.list)
	return out.Clone(), nil
}

// empty returns a copy of the header of r, with no profiles.
func (f *filter) empty(r *chunkrow.Row) (*chunkrow.Row, error) {
	if err := f.builder.Reset(len(r.SampleTypes())); err != nil {
		return nil, fmt.Errorf("row %016x: %w", r.ID, err)
	}
	built, err := f.builder.Build(nil, nil)
	if err != nil {
		return nil, fmt.Errorf("row %016x: %w", r.ID, err)
	}
	out := &chunkrow.Row{Header: r.Header, Columns: *built.Columns()}
	out.Profiles, out.Entries, out.Events, out.BatchEvents = 0, 0, 0, chunkrow.UnknownEvents
	return out.Clone(), nil
}

type placed struct {
	entry    uint32
	exemplar chunk.Exemplar
}

// exemplarsOf returns those of each profile.
func exemplarsOf(c *chunk.Chunk) (map[uint32][]placed, error) {
	out := make(map[uint32][]placed)
	err := c.EachExemplar(func(at chunk.Place, x *chunk.Exemplar) error {
		out[at.Profile] = append(out[at.Profile], placed{at.Entry, *x})
		return nil
	})
	return out, err
}

// numbers numbers entries as they come.
type numbers struct {
	number []uint32 // plus 1, by entry
	list   []uint32 // entries by number, and then in ascending order
}

func newNumbers(n int) *numbers { return &numbers{number: make([]uint32, n)} }

func (n *numbers) of(entry uint32) uint32 {
	if n.number[entry] == 0 {
		n.list = append(n.list, entry)
		n.number[entry] = uint32(len(n.list))
	}
	return n.number[entry] - 1
}

// sorted sorts list and returns the rank of each number in it.
func (n *numbers) sorted() []uint32 {
	slices.Sort(n.list)
	ranks := make([]uint32, len(n.list))
	for rank, entry := range n.list {
		ranks[n.number[entry]-1] = uint32(rank)
	}
	return ranks
}

// keysAt returns the keys of some entries, in ascending order.
func keysAt(k *chunkrow.EntryKeys, entries []uint32) (out chunkrow.EntryKeys) {
	for _, i := range entries {
		key := k.At(int(i))
		out.Append(&key)
	}
	return out
}
