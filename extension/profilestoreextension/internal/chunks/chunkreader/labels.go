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

// labelFilter is the condition for rows of the table series whose labels are listed.
func (r *Reader) labelFilter(s *scan, sel *profilestore.Selector) string {
	out := s.seriesFilter()
	if s.kinds == "" && sel.Start <= 0 && sel.End == 0 {
		return out
	}
	return out + " AND series GLOBAL IN (SELECT arrayJoin(series_ids) FROM " + r.from + " WHERE " +
		r.filled(s) + ")"
}

// valuesOf is an expression for the values of the labels whose names are in a parameter.
func valuesOf(names []string, param string) string {
	if slices.Contains(names, profilestore.LabelService) {
		return "arrayMap(n -> if(n = '" + profilestore.LabelService + "', CAST(service, 'String'), labels[n]), " + param + ")"
	}
	return "arrayMap(n -> labels[n], " + param + ")"
}

// LabelNames implements [profilestore.Querier].
func (r *Reader) LabelNames(ctx context.Context, sel profilestore.Selector, limit int) ([]string, error) {
	s, err := r.newScan(sel)
	if err != nil || limit <= 0 || s.start >= s.end {
		return nil, err
	}
	return r.texts(ctx, sel, "label_names", s.params.Clone(), "SELECT DISTINCT toString(arrayJoin(mapKeys(labels))) AS v FROM "+
		r.opts.Tables.Table("series")+" WHERE "+r.labelFilter(s, &sel), limit)
}

// LabelValues implements [profilestore.Querier].
func (r *Reader) LabelValues(ctx context.Context, sel profilestore.Selector, name string, limit int) ([]string, error) {
	s, err := r.newScan(sel)
	if err != nil || limit <= 0 || s.start >= s.end {
		return nil, err
	}
	from := r.opts.Tables.Table("series") + " WHERE " + r.labelFilter(s, &sel)
	if name == profilestore.LabelService {
		return r.texts(ctx, sel, "label_values", s.params.Clone(), "SELECT DISTINCT CAST(service, 'String') AS v FROM "+from, limit)
	}
	params := s.params.Clone()
	params.String("name", name)
	return r.texts(ctx, sel, "label_values", params, "SELECT DISTINCT labels[{name:String}] AS v FROM "+from+" AND mapContains(labels, {name:String})", limit)
}

// LabelSets implements [profilestore.Querier].
func (r *Reader) LabelSets(ctx context.Context, sel profilestore.Selector, names []string, limit int) (out [][]string, err error) {
	if n := len(names); n > profilestore.MaxNames {
		return nil, fmt.Errorf("%w: sets of %d labels; the limit is %d", profile.ErrInvalid, n, profilestore.MaxNames)
	}
	s, err := r.newScan(sel)
	if err != nil || limit <= 0 || len(names) == 0 || s.start >= s.end {
		return nil, err
	}
	ctx, done, err := r.begin(ctx, sel, "label_sets")
	if err != nil {
		return nil, err
	}
	values := proto.NewArray[string](new(proto.ColStr))
	q := chconn.Query{Params: s.params.Clone(), Query: ch.Query{
		Body: "SELECT DISTINCT " + valuesOf(names, "{names:Array(String)}") + " AS vs FROM " +
			r.opts.Tables.Table("series") + " WHERE " + r.labelFilter(s, &sel) + " ORDER BY vs LIMIT {limit:UInt64}",
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
	s, err := r.newScan(profilestore.Selector{Tenant: sel.Tenant, Service: sel.Service})
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

// filled is the condition for rows of chunks that have profiles, as long as none is
// there that has taken their place and has none: all of it was deleted.
func (r *Reader) filled(s *scan) string {
	where := s.of(hours{s.start / layout.Hour, (s.end + layout.Hour - 1) / layout.Hour})
	return where + " AND profiles_n > 0 AND id GLOBAL NOT IN (SELECT arrayJoin(arrayPushBack(covers, id)) FROM " + r.from +
		" WHERE " + where + " AND profiles_n = 0)"
}

// ProfileTypes implements [profilestore.Querier].
func (r *Reader) ProfileTypes(ctx context.Context, sel profilestore.Selector) ([]profilestore.ProfileType, error) {
	s, err := r.newScan(sel)
	if err != nil || s.start >= s.end {
		return nil, err
	}
	// What is covered has the same key as what covers it.
	where := r.filled(s)
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

// TimeRange implements [profilestore.Querier].
func (r *Reader) TimeRange(ctx context.Context, sel profilestore.Selector) (first, last int64, err error) {
	sel.Matchers, sel.AgentID = nil, nil
	s, err := r.newScan(sel)
	if err != nil || s.start >= s.end {
		return 0, 0, err
	}
	ctx, done, err := r.begin(ctx, sel, "time_range")
	if err != nil {
		return 0, 0, err
	}
	var lo, hi proto.ColInt64
	err = r.base.Do(ctx, "time_range", chconn.Query{Params: s.params, Query: ch.Query{
		Body: "SELECT toUnixTimestamp64Nano(min(first_time)) AS lo, toUnixTimestamp64Nano(max(last_time)) AS hi FROM " + r.from +
			" WHERE " + r.filled(s) + " HAVING count() > 0",
		Result: proto.Results{{Name: "lo", Data: &lo}, {Name: "hi", Data: &hi}},
		OnResult: func(context.Context, proto.Block) error {
			for i := range lo {
				first, last = lo[i], hi[i]
			}
			return nil
		},
	}})
	if done(err) != nil {
		return 0, 0, fmt.Errorf("read time range: %w", err)
	}
	return first, last, nil
}
