package compact

import (
	"errors"
	"fmt"
	"slices"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/internal/chunk"
)

// Merger makes one row of several. It keeps its memory. The zero value is ready to
// use; it is not safe for concurrent use.
type Merger struct {
	keys   keyTable
	merger chunk.Merger
	inputs []chunk.Input
	row    chunkrow.Row
}

// DamagedError lists the rows that cannot be read.
type DamagedError struct {
	IDs []uint64
	Err error // of the first
}

func (e *DamagedError) Error() string { return e.Err.Error() }
func (e *DamagedError) Unwrap() error { return e.Err }

// Merge returns a row with all profiles of rows, which must have one key. It is
// valid until the next Merge and has no number and no id yet. The same rows in the
// same order give the same bytes. The error is a [*DamagedError] if rows are
// damaged; it wraps [chunk.ErrFull] if they do not fit into one row.
func (m *Merger) Merge(rows []*chunkrow.Row) (*chunkrow.Row, error) {
	m.inputs = m.inputs[:0]
	var damaged *DamagedError
	for _, r := range rows {
		c, err := r.Chunk()
		if err != nil {
			damaged = damaged.add(r.ID, err)
			continue
		}
		m.inputs = append(m.inputs, chunk.Input{Chunk: c})
	}
	if damaged != nil {
		return nil, damaged
	}
	if len(rows) > 1 { // one alone stays as it is
		var sums chunk.Magnitudes
		for _, in := range m.inputs {
			if err := sums.AddChunk(in.Chunk); err != nil {
				return nil, fmt.Errorf("merge %d rows: %w", len(rows), err)
			}
		}
	}
	out := &m.row
	out.Header, out.Dense = merged(rows), nil
	keys := m.keys.mergeKeys(rows, &out.Keys)
	series, indices := mergeSeries(rows)
	out.SeriesIDs = series
	for i := range m.inputs {
		m.inputs[i].Entries, m.inputs[i].Series = keys[i], indices[i]
	}
	c, err := m.merger.Merge(m.inputs, out.Keys.Len())
	if err != nil {
		return nil, m.blame(rows, err)
	}
	out.Columns = *c.Columns()
	out.Entries = uint32(out.Keys.Len())
	return out, nil
}

// merged returns what headers say together.
func merged(rows []*chunkrow.Row) chunkrow.Header {
	h := chunkrow.Header{Key: rows[0].Key, First: rows[0].First, Last: rows[0].Last}
	for _, r := range rows {
		switch {
		case r.Profiles == 0: // has no times
		case h.Profiles == 0:
			h.First, h.Last = r.First, r.Last
		default:
			h.First, h.Last = min(h.First, r.First), max(h.Last, r.Last)
		}
		h.Profiles += r.Profiles
		h.Events += r.Events
		h.BatchEvents = chunkrow.AddBatchEvents(h.BatchEvents, r.BatchEvents)
		h.Stored = max(h.Stored, r.Stored)
		h.Covers = append(append(h.Covers, r.ID), r.Covers...)
	}
	slices.Sort(h.Covers)
	h.Covers = slices.Compact(h.Covers)
	return h
}

// blame finds the rows whose streams are damaged.
func (m *Merger) blame(rows []*chunkrow.Row, err error) error {
	if !errors.Is(err, chunk.ErrInvalid) {
		return fmt.Errorf("merge %d rows: %w", len(rows), err)
	}
	var reader chunk.Reader
	var damaged *DamagedError
	for i, in := range m.inputs {
		if err := reader.Verify(in.Chunk); err != nil {
			damaged = damaged.add(rows[i].ID, fmt.Errorf("row %016x of service %q, kind %q: %w", rows[i].ID, rows[i].Service, rows[i].Kind, err))
		}
	}
	if damaged == nil {
		return fmt.Errorf("merge %d rows: %w", len(rows), err)
	}
	return damaged
}

func (e *DamagedError) add(id uint64, err error) *DamagedError {
	if e == nil {
		e = &DamagedError{Err: err}
	}
	e.IDs = append(e.IDs, id)
	return e
}
