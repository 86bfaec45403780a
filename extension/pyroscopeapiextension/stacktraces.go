package pyroscopeapiextension

import (
	"context"

	"connectrpc.com/connect"
	googlev1 "github.com/grafana/pyroscope/api/gen/proto/go/google/v1"
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	"golang.org/x/sync/errgroup"

	"github.com/aperture-collector/aperture-collector/internal/flamebearer"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/selector"
)

// SelectMergeStacktraces sums profiles by call path.
func (a *querier) SelectMergeStacktraces(ctx context.Context, req *connect.Request[querierv1.SelectMergeStacktracesRequest]) (*connect.Response[querierv1.SelectMergeStacktracesResponse], error) {
	return call(ctx, a.api, "select_merge_stacktraces", req, func(ctx context.Context, tenant string, r *querierv1.SelectMergeStacktracesRequest) (*querierv1.SelectMergeStacktracesResponse, error) {
		q, err := stacktracesQuery(tenant, r)
		if err != nil {
			return nil, err
		}
		out := &querierv1.SelectMergeStacktracesResponse{}
		switch r.GetFormat() {
		case querierv1.ProfileFormat_PROFILE_FORMAT_PPROF:
			var p *googlev1.Profile
			if p, err = a.mergeProfile(ctx, q, r.GetMaxNodes()); err == nil {
				out.Pprof = &querierv1.PprofProfile{Profile: p}
			}
			return out, err
		case querierv1.ProfileFormat_PROFILE_FORMAT_DOT:
			out.Dot, err = a.dot(ctx, q, r.GetMaxNodes())
			return out, err
		}
		out.Flamegraph, out.Tree, err = a.graphOrTree(ctx, q, r.GetFormat(), r.GetMaxNodes())
		return out, err
	})
}

// SelectMergeSpanProfile sums what was observed in spans by call path.
func (a *querier) SelectMergeSpanProfile(ctx context.Context, req *connect.Request[querierv1.SelectMergeSpanProfileRequest]) (*connect.Response[querierv1.SelectMergeSpanProfileResponse], error) {
	return call(ctx, a.api, "select_merge_span_profile", req, func(ctx context.Context, tenant string, r *querierv1.SelectMergeSpanProfileRequest) (*querierv1.SelectMergeSpanProfileResponse, error) {
		q, err := newStackQuery(tenant, r.GetProfileTypeID(), r.GetLabelSelector(), timeRange{r.GetStart(), r.GetEnd()})
		if err == nil {
			err = q.selectSpans(r.GetSpanSelector())
		}
		if err != nil {
			return nil, err
		}
		out := &querierv1.SelectMergeSpanProfileResponse{}
		out.Flamegraph, out.Tree, err = a.graphOrTree(ctx, q, r.GetFormat(), r.GetMaxNodes())
		return out, err
	})
}

// graphOrTree answers a query in one of the formats that all calls have.
func (a *api) graphOrTree(ctx context.Context, q *stackQuery, format querierv1.ProfileFormat, maxNodes int64) (*querierv1.FlameGraph, []byte, error) {
	isTree := format == querierv1.ProfileFormat_PROFILE_FORMAT_TREE
	if !isTree && format != querierv1.ProfileFormat_PROFILE_FORMAT_UNSPECIFIED && format != querierv1.ProfileFormat_PROFILE_FORMAT_FLAMEGRAPH {
		return nil, nil, selector.Invalid("format is %s; it is not one that this call has", format)
	}
	nodes, err := a.cfg.nodes(maxNodes)
	if err != nil {
		return nil, nil, err
	}
	t, err := a.tree(ctx, q)
	switch {
	case err != nil:
		return nil, nil, err
	case isTree:
		return nil, t.AppendTree(nil, nodes), nil
	}
	g := t.Graph(nodes)
	return &querierv1.FlameGraph{Names: g.Names, Levels: levels(g), Total: g.Total, MaxSelf: g.MaxSelf}, nil, nil
}

// Diff compares two sums by call path.
func (a *querier) Diff(ctx context.Context, req *connect.Request[querierv1.DiffRequest]) (*connect.Response[querierv1.DiffResponse], error) {
	return call(ctx, a.api, "diff", req, func(ctx context.Context, tenant string, r *querierv1.DiffRequest) (*querierv1.DiffResponse, error) {
		if r.GetLeft() == nil || r.GetRight() == nil {
			return nil, selector.Invalid("left and right are required")
		}
		left, err := stacktracesQuery(tenant, r.GetLeft())
		if err != nil {
			return nil, err
		}
		right, err := stacktracesQuery(tenant, r.GetRight())
		if err != nil {
			return nil, err
		}
		g, err := a.compare(ctx, left, right, max(r.GetLeft().GetMaxNodes(), r.GetRight().GetMaxNodes()))
		if err != nil {
			return nil, err
		}
		return &querierv1.DiffResponse{Flamegraph: &querierv1.FlameGraphDiff{
			Names: g.Names, Levels: levels(g), Total: g.Total, MaxSelf: g.MaxSelf, LeftTicks: g.Left, RightTicks: g.Right,
		}}, nil
	})
}

// graph answers a query with the flame graph of the largest nodes.
func (a *api) graph(ctx context.Context, q *stackQuery, maxNodes int64) (*flamebearer.Graph, error) {
	nodes, err := a.cfg.nodes(maxNodes)
	if err != nil {
		return nil, err
	}
	t, err := a.tree(ctx, q)
	if err != nil {
		return nil, err
	}
	return t.Graph(nodes), nil
}

// compare answers two queries of the same profile type.
func (a *api) compare(ctx context.Context, left, right *stackQuery, maxNodes int64) (*flamebearer.Graph, error) {
	if left.id != right.id {
		return nil, selector.Invalid("profile types must match")
	}
	nodes, err := a.cfg.nodes(maxNodes)
	if err != nil {
		return nil, err
	}
	var l, r *flamebearer.Tree
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		l, err = a.tree(groupCtx, left)
		return err
	})
	group.Go(func() (err error) {
		r, err = a.tree(groupCtx, right)
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return flamebearer.Compare(l, r).Graph(nodes), nil
}

func levels(g *flamebearer.Graph) []*querierv1.Level {
	out := make([]*querierv1.Level, len(g.Levels))
	for i, values := range g.Levels {
		out[i] = &querierv1.Level{Values: values}
	}
	return out
}
