package chunkwriter

import (
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
		for from := 0; from < len(g.Entries); from += most {
			es := g.Entries[from:min(from+most, len(g.Entries))]
			if r.builder.Profiles() > 0 && !r.fits(g, es, p.types) {
				if err := finish(); err != nil {
					return err
				}
				if err := r.begin(p.types); err != nil {
					return err
				}
			}
			if err := r.add(g, from, es, p.types); err != nil {
				return err
			}
		}
	}
	return finish()
}

// fits reports whether the row has room for some entries of a group.
func (r *rows) fits(g *profile.Group, es []profile.Entry, types int) bool {
	n, exemplars := len(es), r.builder.Exemplars()+len(g.Exemplars)
	size := (len(r.entries.list)+n)*entryBytes + (r.builder.Incidences()+n)*incidenceBytes(types) + exemplars*exemplarBytes
	return size <= r.limit && r.builder.Profiles() < chunk.MaxProfiles && exemplars <= chunk.MaxExemplars
}

func (r *rows) begin(types int) error {
	r.entries.next()
	r.series.reset()
	h := &r.row.Header
	h.First, h.Last, h.Events = 0, 0, 0
	return r.builder.Reset(types)
}

// add adds a group with some of its entries, of which first is the index of the first.
func (r *rows) add(g *profile.Group, first int, es []profile.Entry, types int) error {
	h := &r.row.Header
	if r.builder.Profiles() == 0 {
		h.First, h.Last = g.Start, g.End
	}
	h.First, h.Last = min(h.First, g.Start), max(h.Last, g.End)
	r.scratch = r.scratch[:0]
	for i := range es {
		e := &es[i]
		to := chunk.Entry{Index: r.entries.number(e), Count: e.Count}
		copy(to.Values[:types], e.Values[:types])
		to.Min, to.Max = writer.Bounds(g, e)
		h.Events += e.Count
		r.scratch = append(r.scratch, to)
	}
	err := r.builder.Add(chunk.Profile{Series: r.series.number(g.Series.ID), Time: g.Start, Duration: g.End - g.Start}, r.scratch)
	for i := range g.Exemplars {
		x := &g.Exemplars[i]
		if at := int(x.Entry) - first; err == nil && at >= 0 && at < len(es) {
			err = r.builder.AddExemplar(r.scratch[at].Index, chunk.Exemplar{
				Time: x.Time, Value: x.Value, SpanID: x.SpanID, TraceID: x.TraceID, ProfileID: x.ProfileID,
			})
		}
	}
	return err
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
