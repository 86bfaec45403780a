package pyroscopeapiextension

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"

	"github.com/aperture-collector/aperture-collector/internal/flamebearer"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/selector"
)

// seriesQuery asks for sums over time.
type seriesQuery struct {
	stackQuery
	by []string
	// step is the distance of points in milliseconds.
	step    int64
	average bool
	limit   int64 // of series, 0 for none
	// exemplars says which are answered along.
	exemplars grouping
}

// maxSteps bounds the points of one series.
const maxSteps = 1 << 16

// steps reads the distance of points, in seconds.
func (q *seriesQuery) steps(seconds float64) error {
	// NaN is none of it.
	if !(seconds >= 0.001 && seconds <= 1e9) {
		return selector.Invalid("step is %g seconds; it must be from 0.001 to 1e9", seconds)
	}
	q.step = int64(math.Round(seconds * 1000))
	if q.times.end > q.times.start && (q.times.end-q.times.start)/q.step >= maxSteps {
		return selector.Invalid("step is %g seconds; the range of time would have more than %d points", seconds, maxSteps)
	}
	return nil
}

// seriesSums are the sums of the series with these labels.
type seriesSums struct {
	labels []*typesv1.LabelPair
	points []pointSum // in order of their numbers
}

// pointSum is what point number k sums.
type pointSum struct{ k, value, profiles int64 }

// selectSeries sums profiles by labels and steps. Point k is at start + k*step, and
// sums what is after the point before and not after itself.
func (a *api) selectSeries(ctx context.Context, q *seriesQuery) ([]*typesv1.Series, error) {
	sel, ok, err := a.selectorOfSeries(ctx, q)
	if err != nil || !ok {
		return nil, err
	}
	c, err := a.columns(ctx, q.tenant, q.by)
	if err != nil {
		return nil, err
	}
	sums := make(map[string]*seriesSums)
	if len(q.stacks.callSite) > 0 {
		err = a.sumSamples(ctx, q, sel, sums)
	} else {
		err = a.sumProfiles(ctx, q, sel, c, sums)
	}
	if err != nil {
		return nil, err
	}
	out := q.answer(sums)
	if q.exemplars != noExemplars {
		err = a.addExemplars(ctx, q, sel, out)
	}
	return out, err
}

// selectorOfSeries returns what the store is asked for: all that is in one of the points.
func (a *api) selectorOfSeries(ctx context.Context, q *seriesQuery) (sel profilestore.Selector, ok bool, err error) {
	if n := len(q.by); n > profilestore.MaxBy {
		return sel, false, selector.Invalid("group_by has %d labels; the limit is %d", n, profilestore.MaxBy)
	}
	if err := checkNames("group_by", q.by); err != nil {
		return sel, false, err
	}
	if sel, ok, err = a.selector(ctx, &q.stackQuery); err != nil || !ok {
		return sel, false, err
	}
	// The range may have been cut; points stay where they were asked for.
	first := max(q.times.start-q.step, 0)
	if cut := sel.Start / int64(time.Millisecond); cut > q.times.start {
		first = cut - 1
	}
	last := q.times.start + (q.times.end-q.times.start)/q.step*q.step
	timeRange{first + 1, last}.bound(&sel)
	return sel, true, nil
}

// offset is a time at which a step begins, in nanoseconds.
func (q *seriesQuery) offset() int64 { return (q.times.start + 1) % q.step * int64(time.Millisecond) }

// point returns the number of the point that a profile belongs to.
func (q *seriesQuery) point(t int64) int64 {
	return profile.Bucket(t-(q.times.start+1)*int64(time.Millisecond), q.step*int64(time.Millisecond)) + 1
}

// sumProfiles sums what the store says of whole profiles.
func (a *api) sumProfiles(ctx context.Context, q *seriesQuery, sel profilestore.Selector, c *columns, sums map[string]*seriesSums) error {
	if n := len(c.stored); n > profilestore.MaxBy {
		return selector.Invalid("group_by has %d labels of the store; the limit is %d", n, profilestore.MaxBy)
	}
	t := target{q.id}
	list, err := a.store.Series(ctx, sel, profilestore.SeriesOptions{
		By: c.stored, Step: q.step * int64(time.Millisecond), Offset: q.offset(), ByPeriod: t.byPeriod(),
	})
	if err != nil {
		return err
	}
	for i := range list {
		one := &list[i]
		column, scale, ok := t.column(one.Types, one.Period)
		if !ok {
			continue
		}
		to := q.series(sums, labelSet(q.by, q.id, func(public string) string { return c.value(public, one.Labels) }))
		to.points = slices.Grow(to.points, len(one.Points))
		for _, p := range one.Points {
			to.add(q.point(p.Time), flamebearer.Scaled(p.Values[column], scale), int64(p.Profiles))
		}
	}
	return nil
}

// series returns the sums of the series with these labels.
func (q *seriesQuery) series(sums map[string]*seriesSums, labels []*typesv1.LabelPair) *seriesSums {
	key := labelKey(labels)
	to := sums[key]
	if to == nil {
		to = &seriesSums{labels: labels}
		sums[key] = to
	}
	return to
}

// add adds to point k. It is quick for the last point and those behind it.
func (s *seriesSums) add(k, value, profiles int64) {
	at := len(s.points)
	if at > 0 && s.points[at-1].k >= k {
		at, _ = slices.BinarySearchFunc(s.points, k, func(p pointSum, k int64) int { return cmp.Compare(p.k, k) })
	}
	if at == len(s.points) || s.points[at].k != k {
		s.points = slices.Insert(s.points, at, pointSum{k: k})
	}
	p := &s.points[at]
	p.value, p.profiles = profile.Add(p.value, value), p.profiles+profiles
}

// total sums all points.
func (s *seriesSums) total() (sum int64) {
	for i := range s.points {
		sum = profile.Add(sum, s.points[i].value)
	}
	return sum
}

// answer returns the series in order of their labels; if there are more than the
// limit, those with the largest sums, the largest first.
func (q *seriesQuery) answer(sums map[string]*seriesSums) []*typesv1.Series {
	list := make([]*seriesSums, 0, len(sums))
	for _, s := range sums {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *seriesSums) int { return compareLabels(a.labels, b.labels) })
	if q.limit > 0 && int64(len(list)) > q.limit {
		totals := make(map[*seriesSums]int64, len(list))
		for _, s := range list {
			totals[s] = s.total()
		}
		slices.SortStableFunc(list, func(a, b *seriesSums) int { return cmp.Compare(totals[b], totals[a]) })
		list = list[:q.limit]
	}
	out := make([]*typesv1.Series, len(list))
	for i, s := range list {
		out[i] = &typesv1.Series{Labels: s.labels, Points: q.points(s)}
	}
	return out
}

func (q *seriesQuery) points(s *seriesSums) []*typesv1.Point {
	out, block := make([]*typesv1.Point, len(s.points)), make([]typesv1.Point, len(s.points))
	for i := range s.points {
		p := &s.points[i]
		value := float64(p.value)
		if q.average && p.profiles > 0 {
			value /= float64(p.profiles)
		}
		out[i] = &block[i]
		out[i].Timestamp, out[i].Value = q.times.start+p.k*q.step, value
	}
	return out
}
