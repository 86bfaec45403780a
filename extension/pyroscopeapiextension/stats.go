package pyroscopeapiextension

import (
	"context"
	"time"

	"connectrpc.com/connect"
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"

	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// GetProfileStats says whether there are profiles, and of what time.
func (a *querier) GetProfileStats(ctx context.Context, req *connect.Request[typesv1.GetProfileStatsRequest]) (*connect.Response[typesv1.GetProfileStatsResponse], error) {
	return call(ctx, a.api, "get_profile_stats", req, func(ctx context.Context, tenant string, _ *typesv1.GetProfileStatsRequest) (*typesv1.GetProfileStatsResponse, error) {
		first, last, err := a.store.TimeRange(ctx, profilestore.Selector{Tenant: tenant})
		if err != nil {
			return nil, err
		}
		const ms = int64(time.Millisecond)
		return &typesv1.GetProfileStatsResponse{DataIngested: last != 0, OldestProfileTime: first / ms, NewestProfileTime: last / ms}, nil
	})
}

// AnalyzeQuery answers nothing, as newer versions of Pyroscope: what a query reads is
// in traces.
func (a *querier) AnalyzeQuery(ctx context.Context, req *connect.Request[querierv1.AnalyzeQueryRequest]) (*connect.Response[querierv1.AnalyzeQueryResponse], error) {
	return call(ctx, a.api, "analyze_query", req, func(context.Context, string, *querierv1.AnalyzeQueryRequest) (*querierv1.AnalyzeQueryResponse, error) {
		return &querierv1.AnalyzeQueryResponse{}, nil
	})
}
