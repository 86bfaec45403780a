package chunkreader

import (
	"context"
	"maps"
	"slices"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/chunk"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// EachProfile implements [profilestore.Querier].
func (r *Reader) EachProfile(ctx context.Context, sel profilestore.Selector, f func(*profilestore.Profile, []profilestore.Sample) error) error {
	ctx, done, err := r.begin(ctx, sel, "each_profile")
	if err != nil {
		return err
	}
	s := sampler{Reader: r, sel: sel, f: f, labels: make(map[proto.UInt128][]profile.Label)}
	stream := streaming{Reader: r, name: "samples", fields: chunkrow.Decodable | chunkrow.Keys | chunkrow.Rest, f: s.row}
	return done(stream.run(ctx, sel))
}

// sampler takes rows apart into profiles.
type sampler struct {
	*Reader
	sel     profilestore.Selector
	f       func(*profilestore.Profile, []profilestore.Sample) error
	labels  map[proto.UInt128][]profile.Label
	chunks  chunk.Reader
	samples []profilestore.Sample
}

// maxLabels bounds the series whose labels one query remembers.
const maxLabels = 1 << 14

func (s *sampler) row(ctx context.Context, row *chunkrow.Row, selected func(int) bool) error {
	if err := checkProfileTotals(row, true); err != nil {
		return err
	}
	c, err := decodable(row)
	if err != nil {
		return err
	}
	if err := checkKeys(row); err != nil {
		return err
	}
	if err := s.learn(ctx, row); err != nil {
		return err
	}
	stacks, err := s.stacksOf(ctx, row)
	if err != nil {
		return err
	}
	var selection *chunk.Selection
	if selected != nil {
		selection = new(chunk.Selection)
		selection.Set(c, selected)
	}
	p := profilestore.Profile{
		Service: row.Service, Kind: row.Kind, Types: row.SampleTypes(), PeriodType: periodType(row.PeriodType), Period: row.Period,
	}
	return s.chunks.Profiles(c, selection, func(i int, entries []chunk.Entry) error {
		at := c.Profile(i)
		series := row.SeriesIDs[at.Series]
		p.Series, p.Labels = layout.FromID(series), s.labels[series]
		p.Time, p.Duration, p.Totals, p.Events = at.Time, at.Duration, totalsOf(row, i), events(row, i)
		s.samples = slices.Grow(s.samples[:0], len(entries))
		for j := range entries {
			s.samples = append(s.samples, sample(row, stacks, &entries[j]))
		}
		return s.f(&p, s.samples)
	})
}

// learn reads the labels of the row's series that are not known yet.
func (s *sampler) learn(ctx context.Context, row *chunkrow.Row) error {
	if len(s.labels) > maxLabels {
		clear(s.labels)
	}
	missing := make(map[proto.UInt128][]profile.Label)
	for _, id := range row.SeriesIDs {
		if _, ok := s.labels[id]; !ok {
			missing[id] = nil
		}
	}
	sel := s.sel
	sel.Service = row.Service
	if err := s.labelsOf(ctx, sel, missing); err != nil {
		return err
	}
	maps.Copy(s.labels, missing)
	return nil
}

func sample(row *chunkrow.Row, stacks []profilestore.Stack, e *chunk.Entry) profilestore.Sample {
	key := entryKey(&row.Keys, int(e.Index))
	lo, hi := known(e.Min, e.Max)
	return profilestore.Sample{
		Stack: stacks[e.Index], Syscall: key.syscall, Bucket: key.bucket, Failed: key.failed != 0,
		LockAddress: key.lock, Values: e.Values, Count: e.Count, Min: lo, Max: hi,
	}
}

// stacksOf resolves the stacks of a row, one for each entry.
func (r *Reader) stacksOf(ctx context.Context, row *chunkrow.Row) ([]profilestore.Stack, error) {
	ids := make([]profile.ID, len(row.Keys.Stacks))
	for i, id := range row.Keys.Stacks {
		ids[i] = layout.FromID(id)
	}
	frames, err := r.Stacks().Resolve(ctx, row.Tenant, row.Service, ids)
	if err != nil {
		return nil, err
	}
	out := make([]profilestore.Stack, len(ids))
	for i, id := range ids {
		out[i] = profilestore.Stack{ID: id, Frames: frames[i]}
	}
	return out, nil
}
