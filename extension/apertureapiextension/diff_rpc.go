package apertureapiextension

import (
	"context"
	"io"

	"github.com/aperture-collector/aperture-collector/internal/aperturejson"
	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
)

// diffRPC returns the result of a Diff RPC. The request has no normalization:
// nothing is normalized.
func (a *api) diffRPC(ctx context.Context, req *aggregatorv1.DiffRequest) (string, error) {
	if _, err := a.reader(); err != nil {
		return "", err
	}
	var q diffQuery
	if err := q.setKind(req.GetEventType()); err != nil {
		return "", err
	}
	if err := q.baseline.setRange(req.BaselineAgentId, req.BaselineStartNs, req.BaselineEndNs); err != nil {
		return "", sideError(baselineSide, err)
	}
	if err := q.comparison.setRange(req.ComparisonAgentId, req.ComparisonStartNs, req.ComparisonEndNs); err != nil {
		return "", sideError(comparisonSide, err)
	}
	// In proto3 0 is what a client sends that sets no limit.
	if req.GetLimit() > 0 {
		if err := q.common.setLimit(int64(req.GetLimit())); err != nil {
			return "", err
		}
	}
	var err error
	if q.common.tenant, err = a.grpcTenant(ctx); err != nil {
		return "", err
	}
	res, err := a.diff(ctx, &q)
	if err != nil {
		return "", err
	}
	// A diff says itself whether it is whole.
	text, _ := bounded(len(res.Rows), maxResultJSON, func(out io.Writer, rows int) error {
		return aperturejson.WriteDiff(out, res, rows, q.common.order)
	})
	return text, nil
}
