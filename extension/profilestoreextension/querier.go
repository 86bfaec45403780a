package profilestoreextension

import (
	"context"

	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

var _ profilestore.Querier = (*store)(nil)

// query asks the reader, if there is one.
func query[T any](s *store, f func(profilestore.Querier) (T, error)) (T, error) {
	c, err := s.connected()
	if err != nil {
		var none T
		return none, err
	}
	out, err := f(c.reader)
	return out, s.note(err)
}

// TimeRange implements [profilestore.Querier].
func (s *store) TimeRange(ctx context.Context, sel profilestore.Selector) (first, last int64, err error) {
	c, err := s.connected()
	if err != nil {
		return 0, 0, err
	}
	first, last, err = c.reader.TimeRange(ctx, sel)
	return first, last, s.note(err)
}

// Series implements [profilestore.Querier].
func (s *store) Series(ctx context.Context, sel profilestore.Selector, opts profilestore.SeriesOptions) ([]profilestore.Series, error) {
	return query(s, func(q profilestore.Querier) ([]profilestore.Series, error) { return q.Series(ctx, sel, opts) })
}

// TopFunctions implements [profilestore.Querier].
func (s *store) TopFunctions(ctx context.Context, sel profilestore.Selector, opts profilestore.TopOptions) ([]profilestore.TopFunctions, error) {
	return query(s, func(q profilestore.Querier) ([]profilestore.TopFunctions, error) {
		return q.TopFunctions(ctx, sel, opts)
	})
}

// Profiles implements [profilestore.Querier].
func (s *store) Profiles(ctx context.Context, sel profilestore.Selector, limit int) ([]profilestore.Profile, error) {
	return query(s, func(q profilestore.Querier) ([]profilestore.Profile, error) { return q.Profiles(ctx, sel, limit) })
}

// EachProfile implements [profilestore.Querier].
func (s *store) EachProfile(ctx context.Context, sel profilestore.Selector, f func(*profilestore.Profile, []profilestore.Sample) error) error {
	_, err := query(s, func(q profilestore.Querier) (struct{}, error) { return struct{}{}, q.EachProfile(ctx, sel, f) })
	return err
}

// Heatmap implements [profilestore.Querier].
func (s *store) Heatmap(ctx context.Context, sel profilestore.Selector, step int64, column int) ([]profilestore.Heatmap, error) {
	return query(s, func(q profilestore.Querier) ([]profilestore.Heatmap, error) { return q.Heatmap(ctx, sel, step, column) })
}

// Exemplars implements [profilestore.Querier].
func (s *store) Exemplars(ctx context.Context, sel profilestore.Selector, opts profilestore.ExemplarOptions) ([]profilestore.Exemplar, error) {
	return query(s, func(q profilestore.Querier) ([]profilestore.Exemplar, error) { return q.Exemplars(ctx, sel, opts) })
}

// ProfileTypes implements [profilestore.Querier].
func (s *store) ProfileTypes(ctx context.Context, sel profilestore.Selector) ([]profilestore.ProfileType, error) {
	return query(s, func(q profilestore.Querier) ([]profilestore.ProfileType, error) { return q.ProfileTypes(ctx, sel) })
}

// LabelNames implements [profilestore.Querier].
func (s *store) LabelNames(ctx context.Context, sel profilestore.Selector, limit int) ([]string, error) {
	return query(s, func(q profilestore.Querier) ([]string, error) { return q.LabelNames(ctx, sel, limit) })
}

// LabelValues implements [profilestore.Querier].
func (s *store) LabelValues(ctx context.Context, sel profilestore.Selector, name string, limit int) ([]string, error) {
	return query(s, func(q profilestore.Querier) ([]string, error) { return q.LabelValues(ctx, sel, name, limit) })
}

// LabelSets implements [profilestore.Querier].
func (s *store) LabelSets(ctx context.Context, sel profilestore.Selector, names []string, limit int) ([][]string, error) {
	return query(s, func(q profilestore.Querier) ([][]string, error) { return q.LabelSets(ctx, sel, names, limit) })
}
