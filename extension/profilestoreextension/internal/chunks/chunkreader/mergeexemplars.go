package chunkreader

import (
	"context"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/internal/chunk"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// mergeExemplars sums exemplars by stack, as a merge sums profiles.
func (r *Reader) mergeExemplars(ctx context.Context, sel profilestore.Selector, opts profilestore.MergeOptions) (*kinds, error) {
	ids, err := newExemplarIDs(opts.SpanIDs, opts.TraceIDs, opts.ProfileIDs)
	if err != nil {
		return nil, err
	}
	k := newKinds(opts, r.opts.MaxRows)
	err = r.eachExemplars(ctx, sel, chunkrow.Keys, func(_ context.Context, row *chunkrow.Row, selected func(int) bool) error {
		return k.exemplars(row, selected, &ids)
	})
	return k, err
}

// exemplars sums those of a row. selected is nil for all profiles.
func (k *kinds) exemplars(row *chunkrow.Row, selected func(profile int) bool, ids *exemplarIDs) error {
	err := ids.each(row, selected, func(c *chunk.Chunk, at chunk.Place, e *chunk.Exemplar) {
		p := c.Profile(int(at.Profile))
		f := none()
		f.values[0], f.count = e.Value, 1
		k.add(k.of(row, p.Time, p.Time+p.Duration), row, int(at.Entry), &f)
	})
	if err != nil {
		return err
	}
	return k.bounded()
}
