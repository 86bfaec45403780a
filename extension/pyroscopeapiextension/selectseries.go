package pyroscopeapiextension

import (
	"context"

	"connectrpc.com/connect"
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"

	"github.com/aperture-collector/aperture-collector/internal/pyroscope/selector"
)

// SelectSeries sums profiles by labels over time.
func (a *querier) SelectSeries(ctx context.Context, req *connect.Request[querierv1.SelectSeriesRequest]) (*connect.Response[querierv1.SelectSeriesResponse], error) {
	return call(ctx, a.api, "select_series", req, func(ctx context.Context, tenant string, r *querierv1.SelectSeriesRequest) (*querierv1.SelectSeriesResponse, error) {
		base, err := newStackQuery(tenant, r.GetProfileTypeID(), r.GetLabelSelector(), timeRange{r.GetStart(), r.GetEnd()})
		if err != nil {
			return nil, err
		}
		if err := base.selectStacks(r.GetStackTraceSelector()); err != nil {
			return nil, err
		}
		q := &seriesQuery{stackQuery: *base, by: r.GetGroupBy(), limit: r.GetLimit()}
		switch r.GetAggregation() {
		case typesv1.TimeSeriesAggregationType_TIME_SERIES_AGGREGATION_TYPE_SUM:
		case typesv1.TimeSeriesAggregationType_TIME_SERIES_AGGREGATION_TYPE_AVERAGE:
			q.average = true
		default:
			return nil, selector.Invalid("aggregation is %s; it must be sum or average", r.GetAggregation())
		}
		if q.limit < 0 {
			return nil, selector.Invalid("limit is %d; it must not be negative", q.limit)
		}
		if q.exemplars, err = exemplarsOf(r.GetExemplarType()); err != nil {
			return nil, err
		}
		if err := q.steps(r.GetStep()); err != nil {
			return nil, err
		}
		series, err := a.selectSeries(ctx, q)
		return &querierv1.SelectSeriesResponse{Series: series}, err
	})
}
