package chunkreader

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/chunk"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// maxExemplars bounds one answer of Exemplars.
const maxExemplars = 100_000

// exemplarIDs are those of exemplars that are asked for; nil selects all.
type exemplarIDs struct {
	spans            map[[8]byte]struct{}
	traces, profiles map[[16]byte]struct{}
}

func newExemplarIDs(spans [][8]byte, traces, profiles [][16]byte) (x exemplarIDs, err error) {
	if n := len(spans) + len(traces) + len(profiles); n > profilestore.MaxIDs {
		return x, fmt.Errorf("%w: %d ids of spans, traces and profiles; the limit is %d", profile.ErrInvalid, n, profilestore.MaxIDs)
	}
	return exemplarIDs{set(spans), set(traces), set(profiles)}, nil
}

func (x *exemplarIDs) has(e *chunk.Exemplar) bool {
	return in(e.SpanID, x.spans) && in(e.TraceID, x.traces) && in(e.ProfileID, x.profiles)
}

// each calls f with those of a row that are asked for. selected says which profiles
// are, and is nil for all.
func (x *exemplarIDs) each(row *chunkrow.Row, selected func(profile int) bool, f func(*chunk.Chunk, chunk.Place, *chunk.Exemplar)) error {
	if err := checkProfiles(row); err != nil {
		return err
	}
	c, err := decodable(row)
	if err != nil {
		return err
	}
	if err := checkKeys(row); err != nil {
		return err
	}
	return c.EachExemplar(func(at chunk.Place, e *chunk.Exemplar) error {
		if (selected == nil || selected(int(at.Profile))) && x.has(e) {
			f(c, at, e)
		}
		return nil
	})
}

// Exemplars implements [profilestore.Querier].
func (r *Reader) Exemplars(ctx context.Context, sel profilestore.Selector, opts profilestore.ExemplarOptions) ([]profilestore.Exemplar, error) {
	ids, err := newExemplarIDs(opts.SpanIDs, opts.TraceIDs, opts.ProfileIDs)
	if err != nil || opts.Limit <= 0 {
		return nil, err
	}
	ctx, done, err := r.begin(ctx, sel, "exemplars")
	if err != nil {
		return nil, err
	}
	x := exemplars{limit: min(opts.Limit, maxExemplars), ids: ids}
	if err = r.eachExemplars(ctx, sel, chunkrow.Stacks, x.row); err != nil {
		return nil, done(err)
	}
	out, err := r.resolveExemplars(ctx, sel, x.sorted())
	return out, done(err)
}

// eachExemplars calls f with the rows that have some, for as long as it takes.
func (r *Reader) eachExemplars(ctx context.Context, sel profilestore.Selector, fields chunkrow.Fields, f func(context.Context, *chunkrow.Row, func(int) bool) error) error {
	stream := streaming{
		Reader: r, name: "exemplars", fields: chunkrow.Decodable | chunkrow.Exemplars | fields,
		where: " AND notEmpty(exemplars)", f: f,
	}
	return stream.run(ctx, sel)
}

// set returns the elements of a list; nil if there are none.
func set[T comparable](list []T) map[T]struct{} {
	if len(list) == 0 {
		return nil
	}
	out := make(map[T]struct{}, len(list))
	for _, v := range list {
		out[v] = struct{}{}
	}
	return out
}

func in[T comparable](v T, set map[T]struct{}) bool {
	_, ok := set[v]
	return ok || set == nil
}

// exemplars keeps the newest.
type exemplars struct {
	limit int
	ids   exemplarIDs
	list  []keptExemplar
}

type keptExemplar struct {
	profilestore.Exemplar
	series proto.UInt128
}

func (x *exemplars) row(_ context.Context, row *chunkrow.Row, selected func(int) bool) error {
	types := row.SampleTypes()
	return x.ids.each(row, selected, func(_ *chunk.Chunk, at chunk.Place, e *chunk.Exemplar) {
		x.list = append(x.list, keptExemplar{profilestore.Exemplar{
			Service: row.Service, Kind: row.Kind, Types: types, Period: row.Period, Time: e.Time, Value: e.Value,
			SpanID: e.SpanID, TraceID: e.TraceID, ProfileID: e.ProfileID,
			Stack: profilestore.Stack{ID: layout.FromID(row.Keys.Stacks[at.Entry])},
		}, row.SeriesIDs[row.Columns.Profiles.Series[at.Profile]]})
		if len(x.list) >= 2*x.limit+1024 {
			x.list = x.sorted()
		}
	})
}

// sorted sorts the list and cuts it at the limit.
func (x *exemplars) sorted() []keptExemplar {
	slices.SortFunc(x.list, func(a, b keptExemplar) int {
		return cmp.Or(
			cmp.Compare(b.Time, a.Time), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Kind, b.Kind),
			a.Stack.ID.Compare(b.Stack.ID), cmp.Compare(a.Value, b.Value), bytes.Compare(a.SpanID[:], b.SpanID[:]),
		)
	})
	return x.list[:min(x.limit, len(x.list))]
}

// resolveExemplars fills in labels and stacks.
func (r *Reader) resolveExemplars(ctx context.Context, sel profilestore.Selector, list []keptExemplar) ([]profilestore.Exemplar, error) {
	labels := make(map[proto.UInt128][]profile.Label)
	ids := make([]profile.ID, len(list))
	for i := range list {
		labels[list[i].series], ids[i] = nil, list[i].Stack.ID
	}
	if err := r.labelsOf(ctx, sel, labels); err != nil {
		return nil, err
	}
	frames, err := r.Stacks().Resolve(ctx, sel.Tenant, sel.Service, ids)
	if err != nil {
		return nil, err
	}
	out := make([]profilestore.Exemplar, len(list))
	for i := range list {
		out[i] = list[i].Exemplar
		out[i].Labels, out[i].Stack.Frames = labels[list[i].series], frames[i]
	}
	return out, nil
}
