package chunkwriter

import (
	"errors"
	"fmt"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/writer"
	"github.com/aperture-collector/aperture-collector/internal/chunk"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

const (
	// maxRowBytes is about the largest size of a row, of arrays and streams together.
	maxRowBytes = 64 << 20
	// entryBytes is about what the arrays have of an entry.
	entryBytes = 128
	// exemplarBytes is the most that an exemplar takes, about.
	exemplarBytes = 64
)

// incidenceBytes is about the most that an entry in one profile takes.
func incidenceBytes(types int) int { return 8 * (types + 1) }

// rows makes rows of a window.
type rows struct {
	limit int // bytes of a row
	dict  *profile.Dictionary

	parts   parts
	refs    references
	entries entries
	series  seriesNumbers
	builder chunk.Builder
	scratch []chunk.Entry
	sums    chunk.Magnitudes // of the row
	row     chunkrow.Row
	ordinal uint32
}

func newRows(limit int) *rows {
	return &rows{
		limit: limit, parts: newParts(), entries: newEntries(),
		series: seriesNumbers{numbers: make(map[profile.ID]uint32)},
	}
}

// group takes a window apart; it is used until release.
func (r *rows) group(g *profile.Groups) {
	r.dict = g.Dict
	r.parts.fill(g.Groups)
}

// release forgets the window.
func (r *rows) release() {
	r.parts.reset()
	r.dict, r.entries.dict = nil, nil
	r.row = chunkrow.Row{Keys: r.row.Keys}
}

// references adds all that the rows refer to.
func (r *rows) references(to *writer.References) { r.refs.collect(to, r.dict, r.parts.list) }

// build makes the rows, in order of their keys, and calls emit with each; it is
// valid until emit returns.
func (r *rows) build(window profile.ID, stored int64, emit func(*chunkrow.Row)) error {
	if len(r.parts.list) == 0 {
		return nil
	}
	r.entries.begin(r.dict)
	for i := range r.parts.list {
		p := &r.parts.list[i]
		r.row.Header = chunkrow.Header{Key: p.key, Level: chunkrow.Written, Stored: stored}
		r.ordinal = 0
		err := r.part(p, func() error { return r.finish(window, emit) })
		if err != nil {
			return fmt.Errorf("%w: row of kind %q of service %q: %w", profile.ErrInvalid, p.key.Kind, p.key.Service, err)
		}
	}
	return nil
}

// part adds all groups of a key, and calls finish whenever a row is complete.
func (r *rows) part(p *part, finish func() error) error {
	if err := r.begin(p.types); err != nil {
		return err
	}
	// A profile that fills more than a row is there several times, with some of its
	// entries each.
	most := max(r.limit/(entryBytes+incidenceBytes(p.types)), 1)
	for _, g := range p.groups {
		for from := 0; from < len(g.Entries); {
			n := min(most, len(g.Entries)-from)
			if !r.fits(g, n, p.types) {
				if err := r.cut(p.types, finish); err != nil {
					return err
				}
			}
			err := r.add(g, from, n, p.types)
			for errors.Is(err, chunk.ErrFull) && (r.builder.Profiles() > 0 || n > 1) { // values that are too large for one sum
				if r.builder.Profiles() == 0 {
					n /= 2
				}
				if err := r.cut(p.types, finish); err != nil {
					return err
				}
				err = r.add(g, from, n, p.types)
			}
			if err != nil {
				return err
			}
			from += n
		}
	}
	return finish()
}

// cut completes the row, if there is anything in it, and begins another.
func (r *rows) cut(types int, finish func() error) error {
	if r.builder.Profiles() > 0 {
		if err := finish(); err != nil {
			return err
		}
	}
	return r.begin(types)
}

// fits reports whether the row has room for n entries of a group. One without profiles
// has.
func (r *rows) fits(g *profile.Group, n, types int) bool {
	exemplars := r.builder.Exemplars() + len(g.Exemplars)
	size := (len(r.entries.list)+n)*entryBytes + (r.builder.Incidences()+n)*incidenceBytes(types) + exemplars*exemplarBytes
	return r.builder.Profiles() == 0 || size <= r.limit && r.builder.Profiles() < chunk.MaxProfiles && exemplars <= chunk.MaxExemplars
}

func (r *rows) begin(types int) error {
	r.entries.next()
	r.series.reset()
	r.sums = chunk.Magnitudes{}
	h := &r.row.Header
	h.First, h.Last, h.Events = 0, 0, 0
	return r.builder.Reset(types)
}

// add adds a group with n of its entries, from one on. If the error wraps
// [chunk.ErrFull], nothing was added.
func (r *rows) add(g *profile.Group, from, n, types int) error {
	sums := r.sums
	for i := range g.Entries[from : from+n] {
		if err := sums.Add(&g.Entries[from+i].Values, g.Entries[from+i].Count); err != nil {
			return err
		}
	}
	r.sums = sums
	r.scratch = r.scratch[:0]
	events := uint64(0)
	for i := range g.Entries[from : from+n] {
		e := &g.Entries[from+i]
		to := chunk.Entry{Index: r.entries.number(e), Count: e.Count}
		copy(to.Values[:types], e.Values[:types])
		to.Min, to.Max = writer.Bounds(g, e)
		events += e.Count
		r.scratch = append(r.scratch, to)
	}
	err := r.builder.Add(chunk.Profile{Series: r.series.number(g.Series.ID), Time: g.Start, Duration: g.End - g.Start}, r.scratch)
	if err != nil {
		return err
	}
	h := &r.row.Header
	if r.builder.Profiles() == 1 {
		h.First, h.Last = g.Start, g.End
	}
	h.First, h.Last, h.Events = min(h.First, g.Start), max(h.Last, g.End), h.Events+events
	for i := range g.Exemplars {
		x := &g.Exemplars[i]
		if at := int(x.Entry) - from; at < 0 || at >= n {
			continue
		} else if err := r.builder.AddExemplar(r.scratch[at].Index, chunk.Exemplar{
			Time: x.Time, Value: x.Value, SpanID: x.SpanID, TraceID: x.TraceID, ProfileID: x.ProfileID,
		}); err != nil {
			return err
		}
	}
	return nil
}

// finish completes a row.
func (r *rows) finish(window profile.ID, emit func(*chunkrow.Row)) error {
	ranks := r.entries.sorted(&r.row.Keys)
	ids, series := r.series.sorted()
	c, err := r.builder.Build(ranks, series)
	if err != nil {
		return err
	}
	row := &r.row
	row.ID, row.Nonce = chunkrow.WindowRowID(window, &row.Key, r.ordinal), chunkrow.NewNonce()
	row.Profiles, row.Entries = uint32(c.Profiles()), uint32(c.Entries())
	row.SeriesIDs, row.Columns = ids, *c.Columns()
	r.ordinal++
	emit(row)
	return nil
}
