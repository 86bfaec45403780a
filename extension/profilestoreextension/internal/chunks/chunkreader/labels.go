package chunkreader

import (
	"context"
	"fmt"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// seriesFilter is the condition for rows of the table series.
func (s *scan) seriesFilter() string {
	if s.labels == "" {
		return s.filter
	}
	return s.filter + " AND " + s.labels
}

// LabelNames implements [Querier].
func (r *Reader) LabelNames(ctx context.Context, sel profilestore.Selector, limit int) ([]string, error) {
	s, err := newScan(sel)
	if err != nil || limit <= 0 {
		return nil, err
	}
	return r.texts(ctx, "label_names", s.params.Clone(), "SELECT DISTINCT toString(arrayJoin(mapKeys(labels))) AS v FROM "+
		r.opts.Tables.Table("series")+" WHERE "+s.seriesFilter(), limit)
}

// LabelValues implements [Querier].
func (r *Reader) LabelValues(ctx context.Context, sel profilestore.Selector, name string, limit int) ([]string, error) {
	s, err := newScan(sel)
	if err != nil || limit <= 0 {
		return nil, err
	}
	params := s.params.Clone()
	params.String("name", name)
	return r.texts(ctx, "label_values", params, "SELECT DISTINCT labels[{name:String}] AS v FROM "+
		r.opts.Tables.Table("series")+" WHERE "+s.seriesFilter()+" AND mapContains(labels, {name:String})", limit)
}

// texts runs a query for texts and returns them sorted.
func (r *Reader) texts(ctx context.Context, name string, params chconn.Params, body string, limit int) ([]string, error) {
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
	if err := r.base.Do(ctx, name, q); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return out, nil
}

// ProfileTypes implements [Querier].
func (r *Reader) ProfileTypes(ctx context.Context, sel profilestore.Selector) ([]ProfileType, error) {
	s, err := newScan(sel)
	if err != nil || s.start >= s.end {
		return nil, err
	}
	// What is covered has the same key as what covers it.
	where := s.of(hours{s.start / layout.Hour, (s.end + layout.Hour - 1) / layout.Hour})
	if s.labels != "" {
		where += " AND hasAny(series_ids, (SELECT groupUniqArray(series) FROM " + r.opts.Tables.Table("series") + " WHERE " + s.seriesFilter() + "))"
	}
	lc := func() *proto.ColLowCardinality[string] { return proto.NewLowCardinality[string](new(proto.ColStr)) }
	service, kind, types, period := lc(), lc(), lc(), lc()
	var out []ProfileType
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
				out = append(out, ProfileType{
					Service: service.Row(i), Kind: kind.Row(i), Types: layout.DecodeTypes(types.Row(i)), PeriodType: periodType(period.Row(i)),
				})
			}
			return nil
		},
	}})
	if err != nil {
		return nil, fmt.Errorf("read profile types: %w", err)
	}
	return out, nil
}
