package chunkreader

import (
	"cmp"
	"context"
	"fmt"
	"math/bits"
	"slices"
	"sync"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// maxProfiles bounds one answer of Profiles.
const maxProfiles = 100_000

// Profiles implements [Querier].
func (r *Reader) Profiles(ctx context.Context, sel profilestore.Selector, limit int) ([]Profile, error) {
	s, err := newScan(sel)
	if err != nil || s.start >= s.end || limit <= 0 {
		return nil, err
	}
	out, err := r.gather(ctx, s, "profiles", columns{byProfile, byProfile}, func() sink {
		return &profilesSink{limit: min(limit, maxProfiles)}
	})
	if err != nil {
		return nil, err
	}
	list := out.(*profilesSink).newest()
	return list, r.labelsOf(ctx, s, list)
}

// profilesSink keeps the newest profiles.
type profilesSink struct {
	limit int

	mu   sync.Mutex
	list []Profile
}

func (s *profilesSink) whole(row *chunkrow.Row) error { return s.add(row, nil) }

func (s *profilesSink) cut(row *chunkrow.Row, selected func(int) bool) error {
	return s.add(row, selected)
}

func (s *profilesSink) add(row *chunkrow.Row, selected func(int) bool) error {
	if err := checkProfileTotals(row); err != nil {
		return err
	}
	types := row.SampleTypes()
	period := layout.DecodeTypes(row.PeriodType)
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &row.Columns.Profiles
	for i, t := range p.Times {
		if selected != nil && !selected(i) {
			continue
		}
		one := Profile{
			Service: row.Service, Kind: row.Kind, Types: types, Period: row.Period,
			Series: layout.FromID(row.SeriesIDs[p.Series[i]]), Time: t, Duration: p.Durations[i], Events: events(row, i),
		}
		if len(period) > 0 {
			one.PeriodType = period[0]
		}
		for j := range p.Totals {
			if len(p.Totals[j]) > 0 {
				one.Totals[j] = p.Totals[j][i]
			}
		}
		if s.list = append(s.list, one); len(s.list) >= 2*s.limit+1024 {
			s.list = s.newest()
		}
	}
	return nil
}

// newest sorts the list and cuts it at the limit.
func (s *profilesSink) newest() []Profile {
	slices.SortFunc(s.list, func(a, b Profile) int {
		return cmp.Or(
			cmp.Compare(b.Time, a.Time), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Kind, b.Kind),
			a.Series.Compare(b.Series), cmp.Compare(a.Duration, b.Duration), slices.Compare(a.Totals[:], b.Totals[:]),
		)
	})
	return s.list[:min(s.limit, len(s.list))]
}

// labelsOf fills in the labels of profiles.
func (r *Reader) labelsOf(ctx context.Context, s *scan, list []Profile) error {
	wanted := make(map[proto.UInt128][]profile.Label)
	var ids proto.ColUInt128
	for i := range list {
		id := layout.ID(list[i].Series)
		if _, ok := wanted[id]; !ok {
			wanted[id] = nil
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	var id proto.ColUInt128
	labels := proto.NewMap[string, string](proto.NewLowCardinality[string](new(proto.ColStr)), new(proto.ColStr))
	q := chconn.Query{Params: s.params, Query: ch.Query{
		Body:   "SELECT series, labels FROM " + r.opts.Tables.Table("series") + " WHERE " + s.filter + " AND series IN (SELECT id FROM ids)",
		Result: proto.Results{{Name: "series", Data: &id}, {Name: "labels", Data: labels}},
		OnResult: func(context.Context, proto.Block) error {
			for i, v := range id {
				var list []profile.Label
				for name, value := range labels.Row(i) {
					list = append(list, profile.Label{Name: name, Value: value})
				}
				slices.SortFunc(list, func(a, b profile.Label) int { return cmp.Compare(a.Name, b.Name) })
				wanted[v] = list
			}
			return nil
		},
		ExternalTables: []ch.ExternalTable{{Name: "ids", Data: proto.Input{{Name: "id", Data: ids}}}},
	}}
	if err := r.base.Do(ctx, "series_labels", q); err != nil {
		return fmt.Errorf("read labels of series: %w", err)
	}
	for i := range list {
		list[i].Labels = wanted[layout.ID(list[i].Series)]
	}
	return nil
}

// Heatmap implements [Querier].
func (r *Reader) Heatmap(ctx context.Context, sel profilestore.Selector, step int64, column int) ([]Heatmap, error) {
	if step <= 0 {
		return nil, fmt.Errorf("%w: step is %d ns; must be positive", profile.ErrInvalid, step)
	}
	if column < 0 || column >= profile.MaxTypes {
		return nil, fmt.Errorf("%w: column is %d; must be 0 to %d", profile.ErrInvalid, column, profile.MaxTypes-1)
	}
	s, err := newScan(sel)
	if err != nil || s.start >= s.end {
		return nil, err
	}
	out, err := r.gather(ctx, s, "heatmap", columns{byProfile, byProfile}, func() sink {
		return &heatmapSink{step: step, column: column, kinds: make(map[kindKey]map[int64]*HeatmapStep)}
	})
	if err != nil {
		return nil, err
	}
	return out.(*heatmapSink).answer(), nil
}

// heatmapSink counts profiles by step and size.
type heatmapSink struct {
	step   int64
	column int

	mu    sync.Mutex
	n     int
	kinds map[kindKey]map[int64]*HeatmapStep
}

// maxHeatmapSteps bounds those of one answer.
const maxHeatmapSteps = 1 << 16

func (s *heatmapSink) whole(row *chunkrow.Row) error { return s.add(row, nil) }

func (s *heatmapSink) cut(row *chunkrow.Row, selected func(int) bool) error {
	return s.add(row, selected)
}

func (s *heatmapSink) add(row *chunkrow.Row, selected func(int) bool) error {
	if err := checkProfileTotals(row); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &row.Columns.Profiles
	totals := p.Totals[s.column]
	if len(totals) == 0 {
		return nil // of fewer types
	}
	key := kindKey{row.Kind, row.Types}
	steps := s.kinds[key]
	if steps == nil {
		steps = make(map[int64]*HeatmapStep)
		s.kinds[key] = steps
	}
	for i, t := range p.Times {
		if selected != nil && !selected(i) {
			continue
		}
		at := profile.Bucket(t, s.step) * s.step
		to := steps[at]
		if to == nil {
			if s.n++; s.n > maxHeatmapSteps {
				return fmt.Errorf("%w: more than %d steps; a longer step has fewer", profilestore.ErrLimit, maxHeatmapSteps)
			}
			to = &HeatmapStep{Time: at}
			steps[at] = to
		}
		to.Sizes[bits.Len64(uint64(max(totals[i], 0)))]++
	}
	return nil
}

func (s *heatmapSink) answer() []Heatmap {
	out := make([]Heatmap, 0, len(s.kinds))
	for key, steps := range s.kinds {
		h := Heatmap{Kind: key.kind, Types: layout.DecodeTypes(key.types)}
		for _, st := range steps {
			h.Steps = append(h.Steps, *st)
		}
		slices.SortFunc(h.Steps, func(a, b HeatmapStep) int { return cmp.Compare(a.Time, b.Time) })
		out = append(out, h)
	}
	slices.SortFunc(out, func(a, b Heatmap) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(layout.EncodeTypes(a.Types), layout.EncodeTypes(b.Types)))
	})
	return out
}
