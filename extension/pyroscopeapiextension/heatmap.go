package pyroscopeapiextension

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"connectrpc.com/connect"
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"

	"github.com/aperture-collector/aperture-collector/internal/flamebearer"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/selector"
)

// Bounds of heatmaps.
const (
	// heatmapRows is how many rows of equal height there are from the smallest value to
	// the largest.
	heatmapRows = 20
	// maxHeatmapCells bounds the profiles or spans of an answer.
	maxHeatmapCells = 100_000
)

// SelectHeatmap counts profiles, or spans, by time and by value.
func (a *querier) SelectHeatmap(ctx context.Context, req *connect.Request[querierv1.SelectHeatmapRequest]) (*connect.Response[querierv1.SelectHeatmapResponse], error) {
	return call(ctx, a.api, "select_heatmap", req, func(ctx context.Context, tenant string, r *querierv1.SelectHeatmapRequest) (*querierv1.SelectHeatmapResponse, error) {
		base, err := newStackQuery(tenant, r.GetProfileTypeID(), r.GetLabelSelector(), timeRange{r.GetStart(), r.GetEnd()})
		if err != nil {
			return nil, err
		}
		q := &seriesQuery{stackQuery: *base, by: r.GetGroupBy(), limit: r.GetLimit()}
		if err := q.steps(r.GetStep()); err != nil {
			return nil, err
		}
		if q.limit < 0 {
			return nil, selector.Invalid("limit is %d; it must not be negative", q.limit)
		}
		if q.exemplars, err = exemplarsOf(r.GetExemplarType()); err != nil {
			return nil, err
		}
		list, err := a.selectValues(ctx, q, r.GetQueryType())
		if err != nil {
			return nil, err
		}
		return &querierv1.SelectHeatmapResponse{Series: q.heatmap(list)}, nil
	})
}

// single is the value of one profile or span.
type single struct {
	labels []*typesv1.LabelPair // of the series
	point  int64
	value  int64
	*typesv1.Exemplar
}

// selectValues returns the values of single profiles or spans.
func (a *api) selectValues(ctx context.Context, q *seriesQuery, kind querierv1.HeatmapQueryType) ([]single, error) {
	sel, ok, err := a.selectorOfSeries(ctx, q)
	if err != nil || !ok {
		return nil, err
	}
	switch kind {
	case querierv1.HeatmapQueryType_HEATMAP_QUERY_TYPE_UNSPECIFIED, querierv1.HeatmapQueryType_HEATMAP_QUERY_TYPE_INDIVIDUAL:
		return a.profileValues(ctx, q, sel)
	case querierv1.HeatmapQueryType_HEATMAP_QUERY_TYPE_SPAN:
		return a.observedValues(ctx, q, sel, bySpan, false)
	}
	return nil, selector.Invalid("query_type is %s; it must be individual or span", kind)
}

func (a *api) profileValues(ctx context.Context, q *seriesQuery, sel profilestore.Selector) ([]single, error) {
	list, err := a.store.Profiles(ctx, sel, maxHeatmapCells)
	if err != nil {
		return nil, err
	}
	if len(list) >= maxHeatmapCells {
		return nil, fmt.Errorf("%w: there are %d profiles or more; select fewer", profilestore.ErrLimit, maxHeatmapCells)
	}
	t := target{q.id}
	var out []single
	for i := range list {
		p := &list[i]
		column, scale, ok := t.column(p.Types, p.Period)
		if !ok {
			continue
		}
		labels := labelSet(q.by, q.id, func(public string) string { return labelOf(p.Service, p.Labels, public) })
		value := flamebearer.Scaled(p.Totals[column], scale)
		out = append(out, single{labels, q.point(p.Time), value, &typesv1.Exemplar{
			Timestamp: p.Time / int64(time.Millisecond), Value: value, Labels: otherLabels(p.Service, p.Labels, q.by),
		}})
	}
	return out, nil
}

// heatmap counts values by series, step and row.
func (q *seriesQuery) heatmap(list []single) []*typesv1.HeatmapSeries {
	if len(list) == 0 {
		return nil
	}
	lo, hi := list[0].value, list[0].value
	for i := range list {
		lo, hi = min(lo, list[i].value), max(hi, list[i].value)
	}
	rows := newHeatmapScale(lo, hi)
	series := make(map[string]*heatmapSums)
	for i := range list {
		s := &list[i]
		key := labelKey(s.labels)
		to := series[key]
		if to == nil {
			to = &heatmapSums{labels: s.labels, slots: make(map[int64]*heatmapSlot)}
			series[key] = to
		}
		to.add(s, rows.row(s.value))
	}
	sums := make([]*heatmapSums, 0, len(series))
	for _, s := range series {
		sums = append(sums, s)
	}
	slices.SortFunc(sums, func(a, b *heatmapSums) int { return compareLabels(a.labels, b.labels) })
	if q.limit > 0 && int64(len(sums)) > q.limit {
		slices.SortStableFunc(sums, func(a, b *heatmapSums) int { return cmp.Compare(b.total, a.total) })
		sums = sums[:q.limit]
	}
	out := make([]*typesv1.HeatmapSeries, len(sums))
	for i, s := range sums {
		out[i] = &typesv1.HeatmapSeries{Labels: s.labels, Slots: s.answer(q, rows)}
	}
	return out
}

// heatmapScale parts values into rows.
type heatmapScale struct{ lowest, height float64 }

func newHeatmapScale(lo, hi int64) heatmapScale {
	return heatmapScale{float64(lo), (float64(hi) - float64(lo)) / heatmapRows}
}

func (s heatmapScale) row(v int64) int {
	if s.height <= 0 {
		return 0
	}
	return min(int((float64(v)-s.lowest)/s.height), heatmapRows-1)
}

// heatmapSums are those of one series.
type heatmapSums struct {
	labels []*typesv1.LabelPair
	slots  map[int64]*heatmapSlot
	total  float64
}

type heatmapSlot struct {
	counts [heatmapRows]int32
	// best has the largest value of each row.
	best [heatmapRows]*typesv1.Exemplar
}

func (s *heatmapSums) add(v *single, row int) {
	slot := s.slots[v.point]
	if slot == nil {
		slot = new(heatmapSlot)
		s.slots[v.point] = slot
	}
	slot.counts[row]++
	s.total += float64(v.value)
	if best := slot.best[row]; best == nil || v.value > best.Value {
		slot.best[row] = v.Exemplar
	}
}

func (s *heatmapSums) answer(q *seriesQuery, rows heatmapScale) []*typesv1.HeatmapSlot {
	out := make([]*typesv1.HeatmapSlot, 0, len(s.slots))
	for point, slot := range s.slots {
		one := &typesv1.HeatmapSlot{Timestamp: q.times.start + point*q.step}
		for row, n := range slot.counts {
			if n == 0 {
				continue
			}
			one.YMin, one.Counts = append(one.YMin, rows.lowest+float64(row)*rows.height), append(one.Counts, n)
			if best := slot.best[row]; q.exemplars.wants(best) {
				one.Exemplars = append(one.Exemplars, best)
			}
		}
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b *typesv1.HeatmapSlot) int { return cmp.Compare(a.Timestamp, b.Timestamp) })
	return out
}
