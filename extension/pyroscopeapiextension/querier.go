package pyroscopeapiextension

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"connectrpc.com/connect"
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/querier/v1/querierv1connect"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"

	"github.com/aperture-collector/aperture-collector/internal/pyroscope/selector"
)

// querier answers querier.v1.QuerierService.
type querier struct{ *api }

var _ querierv1connect.QuerierServiceHandler = (*querier)(nil)

// ProfileTypes lists the profile types of a time, sorted by id.
func (a *querier) ProfileTypes(ctx context.Context, req *connect.Request[querierv1.ProfileTypesRequest]) (*connect.Response[querierv1.ProfileTypesResponse], error) {
	return call(ctx, a.api, "profile_types", req, func(ctx context.Context, tenant string, q *querierv1.ProfileTypesRequest) (*querierv1.ProfileTypesResponse, error) {
		asked, err := a.askLabels(ctx, tenant, nil, timeRange{q.Start, q.End})
		if err != nil {
			return nil, err
		}
		list, err := a.listTypes(ctx, asked)
		if err != nil {
			return nil, err
		}
		out := &querierv1.ProfileTypesResponse{}
		for i := range list {
			id := list[i].id
			out.ProfileTypes = append(out.ProfileTypes, &typesv1.ProfileType{
				ID: valid(id.String()), Name: valid(id.Name), SampleType: valid(id.Sample.Type), SampleUnit: valid(id.Sample.Unit),
				PeriodType: valid(id.Period.Type), PeriodUnit: valid(id.Period.Unit),
			})
		}
		slices.SortFunc(out.ProfileTypes, func(a, b *typesv1.ProfileType) int { return cmp.Compare(a.ID, b.ID) })
		out.ProfileTypes = slices.CompactFunc(out.ProfileTypes, func(a, b *typesv1.ProfileType) bool { return a.ID == b.ID })
		return out, nil
	})
}

// LabelNames lists the names of labels, sorted.
func (a *querier) LabelNames(ctx context.Context, req *connect.Request[typesv1.LabelNamesRequest]) (*connect.Response[typesv1.LabelNamesResponse], error) {
	return call(ctx, a.api, "label_names", req, func(ctx context.Context, tenant string, q *typesv1.LabelNamesRequest) (*typesv1.LabelNamesResponse, error) {
		asked, err := a.askLabels(ctx, tenant, q.Matchers, timeRange{q.Start, q.End})
		if err != nil {
			return nil, err
		}
		names, err := a.listNames(ctx, asked)
		return &typesv1.LabelNamesResponse{Names: names}, err
	})
}

// LabelValues lists the values of a label, sorted.
func (a *querier) LabelValues(ctx context.Context, req *connect.Request[typesv1.LabelValuesRequest]) (*connect.Response[typesv1.LabelValuesResponse], error) {
	return call(ctx, a.api, "label_values", req, func(ctx context.Context, tenant string, q *typesv1.LabelValuesRequest) (*typesv1.LabelValuesResponse, error) {
		if q.Name == "" {
			return nil, selector.Invalid("name is required")
		}
		if err := checkNames("name", []string{q.Name}); err != nil {
			return nil, err
		}
		asked, err := a.askLabels(ctx, tenant, q.Matchers, timeRange{q.Start, q.End})
		if err != nil {
			return nil, err
		}
		values, err := a.listValues(ctx, asked, q.Name)
		return &typesv1.LabelValuesResponse{Names: values}, err
	})
}

// Series lists sets of labels.
func (a *querier) Series(ctx context.Context, req *connect.Request[querierv1.SeriesRequest]) (*connect.Response[querierv1.SeriesResponse], error) {
	return call(ctx, a.api, "series", req, func(ctx context.Context, tenant string, q *querierv1.SeriesRequest) (*querierv1.SeriesResponse, error) {
		if err := checkNames("label_names", q.LabelNames); err != nil {
			return nil, err
		}
		asked, err := a.askLabels(ctx, tenant, q.Matchers, timeRange{q.Start, q.End})
		if err != nil {
			return nil, err
		}
		sets, err := a.listSeries(ctx, asked, q.LabelNames)
		return &querierv1.SeriesResponse{LabelsSet: sets}, err
	})
}

// askLabels returns what all of the selectors of a request for labels select together.
func (a *api) askLabels(ctx context.Context, tenant string, selectors []string, times timeRange) (*question, error) {
	if err := checkLabelRange(times); err != nil {
		return nil, err
	}
	if n := len(selectors); n > selector.MaxMatchers {
		return nil, selector.Invalid("there are %d matchers; the limit is %d", n, selector.MaxMatchers)
	}
	var all []*selector.Matcher
	for _, text := range selectors {
		list, err := selector.Parse(text)
		if err != nil {
			return nil, err
		}
		if all = append(all, list...); len(all) > selector.MaxMatchers {
			return nil, selector.Invalid("matchers have more than %d label matchers together", selector.MaxMatchers)
		}
	}
	q, err := a.ask(ctx, tenant, all)
	if err != nil {
		return nil, err
	}
	times.bound(&q.sel)
	return q, nil
}

// maxName is the longest name of a label in bytes.
const maxName = 1024

func checkNames(field string, names []string) error {
	for _, name := range names {
		if name == "" {
			return selector.Invalid("%s has an empty name", field)
		}
		if len(name) > maxName {
			return selector.Invalid("%s has a name of %d bytes; the limit is %d", field, len(name), maxName)
		}
		if strings.ContainsRune(name, 0) {
			return selector.Invalid("%s has the name %q with a zero byte", field, name)
		}
	}
	return nil
}
