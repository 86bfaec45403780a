package chunkreader

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// seriesFilter is the condition for rows of the table series.
func (s *scan) seriesFilter() string {
	if s.labels == "" {
		return s.filter
	}
	return s.filter + " AND " + s.labels
}

// LabelNames implements [profilestore.Querier].
func (r *Reader) LabelNames(ctx context.Context, sel profilestore.Selector, limit int) ([]string, error) {
	s, err := newScan(sel)
	if err != nil || limit <= 0 {
		return nil, err
	}
	return r.texts(ctx, sel, "label_names", s.params.Clone(), "SELECT DISTINCT toString(arrayJoin(mapKeys(labels))) AS v FROM "+
		r.opts.Tables.Table("series")+" WHERE "+s.seriesFilter(), limit)
}

// LabelValues implements [profilestore.Querier].
func (r *Reader) LabelValues(ctx context.Context, sel profilestore.Selector, name string, limit int) ([]string, error) {
	s, err := newScan(sel)
	if err != nil || limit <= 0 {
		return nil, err
	}
	params := s.params.Clone()
	params.String("name", name)
	return r.texts(ctx, sel, "label_values", params, "SELECT DISTINCT labels[{name:String}] AS v FROM "+
		r.opts.Tables.Table("series")+" WHERE "+s.seriesFilter()+" AND mapContains(labels, {name:String})", limit)
}

// LabelSets implements [profilestore.Querier].
func (r *Reader) LabelSets(ctx context.Context, sel profilestore.Selector, names []string, limit int) (out [][]string, err error) {
	if n := len(names); n > profilestore.MaxBy {
		return nil, fmt.Errorf("%w: sets of %d labels; the limit is %d", profile.ErrInvalid, n, profilestore.MaxBy)
	}
	s, err := newScan(sel)
	if err != nil || limit <= 0 || len(names) == 0 {
		return nil, err
	}
	ctx, done, err := r.begin(ctx, sel, "label_sets")
	if err != nil {
		return nil, err
	}
	values := proto.NewArray[string](new(proto.ColStr))
	q := chconn.Query{Params: s.params.Clone(), Query: ch.Query{
		Body: "SELECT DISTINCT arrayMap(n -> labels[n], {names:Array(String)}) AS vs FROM " +
			r.opts.Tables.Table("series") + " WHERE " + s.seriesFilter() + " ORDER BY vs LIMIT {limit:UInt64}",
		Result: proto.Results{{Name: "vs", Data: values}},
		OnResult: func(context.Context, proto.Block) error {
			for i := range values.Rows() {
				out = append(out, values.Row(i))
			}
			return nil
		},
	}}
	q.Params.Strings("names", names)
	q.Params.Int("limit", int64(limit))
	if err := done(r.base.Do(ctx, "label_sets", q)); err != nil {
		return nil, fmt.Errorf("read label_sets: %w", err)
	}
	return out, nil
}

// labelsOf fills in the labels of series of the selector's tenant and service, if
// it has one, sorted by name.
func (r *Reader) labelsOf(ctx context.Context, sel profilestore.Selector, wanted map[proto.UInt128][]profile.Label) error {
	if len(wanted) == 0 {
		return nil
	}
	s, err := newScan(profilestore.Selector{Tenant: sel.Tenant, Service: sel.Service})
	if err != nil {
		return err
	}
	ids := make(proto.ColUInt128, 0, len(wanted))
	for id := range wanted {
		ids = append(ids, id)
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
	return nil
}

// texts runs a query for texts and returns them sorted.
func (r *Reader) texts(ctx context.Context, sel profilestore.Selector, name string, params chconn.Params, body string, limit int) ([]string, error) {
	ctx, done, err := r.begin(ctx, sel, name)
	if err != nil {
		return nil, err
	}
	var v proto.ColStr
	var out []string
	params.Int("limit", int64(limit))
	q := chconn.Query{Params: params, Query: ch.Query{
		Body:   body + " ORDER BY v LIMIT {limit:UInt64}",
		Result: proto.Results{{Name: "v", Data: &v}},
		OnResult: func(context.Context, proto.Block) error {
			for i := range v.Rows() {
				out = append(out, v.Row(i))
			}
			return nil
		},
	}}
	if err := done(r.base.Do(ctx, name, q)); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return out, nil
}

// ProfileTypes implements [profilestore.Querier].
func (r *Reader) ProfileTypes(ctx context.Context, sel profilestore.Selector) ([]profilestore.ProfileType, error) {
	s, err := newScan(sel)
	if err != nil || s.start >= s.end {
		return nil, err
	}
	// What is covered has the same key as what covers it.
	where := s.of(hours{s.start / layout.Hour, (s.end + layout.Hour - 1) / layout.Hour})
	if s.labels != "" {
		where += " AND hasAny(series_ids, (SELECT groupUniqArray(series) FROM " + r.opts.Tables.Table("series") + " WHERE " + s.seriesFilter() + "))"
	}
	ctx, done, err := r.begin(ctx, sel, "profile_types")
	if err != nil {
		return nil, err
	}
	lc := func() *proto.ColLowCardinality[string] { return proto.NewLowCardinality[string](new(proto.ColStr)) }
	service, kind, types, period := lc(), lc(), lc(), lc()
	var out []profilestore.ProfileType
	err = r.base.Do(ctx, "profile_types", chconn.Query{Params: s.params, Query: ch.Query{
		Body: "SELECT service, kind, types, period_type FROM " + r.from + " WHERE " + where +
			" GROUP BY service, kind, types, period_type ORDER BY service, kind, types, period_type",
		Result: proto.Results{
			{Name: "service", Data: service},
			{Name: "kind", Data: kind},
			{Name: "types", Data: types},
			{Name: "period_type", Data: period},
		},
		OnResult: func(context.Context, proto.Block) error {
			for i := range service.Rows() {
				out = append(out, profilestore.ProfileType{
					Service: service.Row(i), Kind: kind.Row(i), Types: layout.DecodeTypes(types.Row(i)), PeriodType: periodType(period.Row(i)),
				})
			}
			return nil
		},
	}})
	if done(err) != nil {
		return nil, fmt.Errorf("read profile types: %w", err)
	}
	return out, nil
}
