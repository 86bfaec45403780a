package chunkreader

import (
	"cmp"
	"context"
	"fmt"
	"math/bits"
	"slices"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// maxProfiles bounds one answer of Profiles.
const maxProfiles = 100_000

// Profiles implements [profilestore.Querier].
func (r *Reader) Profiles(ctx context.Context, sel profilestore.Selector, limit int) ([]profilestore.Profile, error) {
	s, err := r.newScan(sel)
	if err != nil || s.start >= s.end || limit <= 0 {
		return nil, err
	}
	ctx, done, err := r.begin(ctx, sel, "profiles")
	if err != nil {
		return nil, err
	}
	out, err := r.newest(ctx, sel, s, min(limit, maxProfiles))
	return out, done(err)
}

func (r *Reader) newest(ctx context.Context, sel profilestore.Selector, s *scan, limit int) ([]profilestore.Profile, error) {
	const single = byProfile | chunkrow.Durations | chunkrow.Rest
	out, err := r.gather(ctx, s, "profiles", columns{single, single}, func() sink {
		return &eachProfile{durations: true, to: &newest{limit: limit}}
	})
	if err != nil {
		return nil, err
	}
	list := out.(*eachProfile).to.(*newest).sorted()
	labels := make(map[proto.UInt128][]profile.Label)
	for i := range list {
		labels[layout.ID(list[i].Series)] = nil
	}
	if err := r.labelsOf(ctx, sel, labels); err != nil {
		return nil, err
	}
	for i := range list {
		list[i].Labels = labels[layout.ID(list[i].Series)]
	}
	return list, nil
}

// newest keeps the newest profiles.
type newest struct {
	limit int
	list  []profilestore.Profile

	types      []profile.ValueType // of the row
	periodType profile.ValueType
}

func (s *newest) begin(row *chunkrow.Row) {
	s.types, s.periodType = row.SampleTypes(), periodType(row.PeriodType)
}

func (s *newest) profile(row *chunkrow.Row, i int) error {
	p := &row.Columns.Profiles
	s.list = append(s.list, profilestore.Profile{
		Service: row.Service, Kind: row.Kind, Types: s.types, PeriodType: s.periodType, Period: row.Period,
		Series: layout.FromID(row.SeriesIDs[p.Series[i]]), Time: p.Times[i], Duration: p.Durations[i],
		Totals: totalsOf(row, i), Events: events(row, i),
	})
	if len(s.list) >= 2*s.limit+1024 {
		s.list = s.sorted()
	}
	return nil
}

// periodType takes one type apart.
func periodType(s string) profile.ValueType {
	if types := layout.DecodeTypes(s); len(types) > 0 {
		return types[0]
	}
	return profile.ValueType{}
}

// sorted sorts the list and cuts it at the limit.
func (s *newest) sorted() []profilestore.Profile {
	slices.SortFunc(s.list, func(a, b profilestore.Profile) int {
		return cmp.Or(
			cmp.Compare(b.Time, a.Time), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Kind, b.Kind),
			a.Series.Compare(b.Series), cmp.Compare(a.Duration, b.Duration), slices.Compare(a.Totals[:], b.Totals[:]),
		)
	})
	return s.list[:min(s.limit, len(s.list))]
}

// Heatmap implements [profilestore.Querier].
func (r *Reader) Heatmap(ctx context.Context, sel profilestore.Selector, step int64, column int) ([]profilestore.Heatmap, error) {
	if step <= 0 {
		return nil, fmt.Errorf("%w: step is %d ns; must be positive", profile.ErrInvalid, step)
	}
	if column < 0 || column >= profile.MaxTypes {
		return nil, fmt.Errorf("%w: column is %d; must be 0 to %d", profile.ErrInvalid, column, profile.MaxTypes-1)
	}
	s, err := r.newScan(sel)
	if err != nil || s.start >= s.end {
		return nil, err
	}
	ctx, done, err := r.begin(ctx, sel, "heatmap")
	if err != nil {
		return nil, err
	}
	out, err := r.gather(ctx, s, "heatmap", columns{byProfile, byProfile}, func() sink {
		return &eachProfile{to: &heatmapTaker{step: step, column: column, kinds: make(map[kindKey]map[int64]*profilestore.HeatmapStep)}}
	})
	if done(err) != nil {
		return nil, err
	}
	return out.(*eachProfile).to.(*heatmapTaker).answer(), nil
}

// heatmapTaker counts profiles by step and size.
type heatmapTaker struct {
	step   int64
	column int

	n     int // steps
	kinds map[kindKey]map[int64]*profilestore.HeatmapStep
	row   map[int64]*profilestore.HeatmapStep // of the row's kind
}

// maxHeatmapSteps bounds those of one answer.
const maxHeatmapSteps = 1 << 16

func (s *heatmapTaker) begin(row *chunkrow.Row) {
	if len(row.Columns.Profiles.Totals[s.column]) == 0 {
		return // of fewer types
	}
	key := kindKey{kind: row.Kind, types: row.Types}
	if s.kinds[key] == nil {
		s.kinds[key] = make(map[int64]*profilestore.HeatmapStep)
	}
	s.row = s.kinds[key]
}

func (s *heatmapTaker) profile(row *chunkrow.Row, i int) error {
	totals := row.Columns.Profiles.Totals[s.column]
	if len(totals) == 0 {
		return nil
	}
	at := profile.Bucket(row.Columns.Profiles.Times[i], s.step) * s.step
	to := s.row[at]
	if to == nil {
		if s.n++; s.n > maxHeatmapSteps {
			return fmt.Errorf("%w: more than %d steps; a longer step has fewer", profilestore.ErrLimit, maxHeatmapSteps)
		}
		to = &profilestore.HeatmapStep{Time: at}
		s.row[at] = to
	}
	to.Sizes[bits.Len64(uint64(max(totals[i], 0)))]++
	return nil
}

func (s *heatmapTaker) answer() []profilestore.Heatmap {
	out := make([]profilestore.Heatmap, 0, len(s.kinds))
	for key, steps := range s.kinds {
		h := profilestore.Heatmap{Kind: key.kind, Types: layout.DecodeTypes(key.types)}
		for _, st := range steps {
			h.Steps = append(h.Steps, *st)
		}
		slices.SortFunc(h.Steps, func(a, b profilestore.HeatmapStep) int { return cmp.Compare(a.Time, b.Time) })
		out = append(out, h)
	}
	slices.SortFunc(out, func(a, b profilestore.Heatmap) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(layout.EncodeTypes(a.Types), layout.EncodeTypes(b.Types)))
	})
	return out
}
