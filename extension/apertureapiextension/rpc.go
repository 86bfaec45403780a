package apertureapiextension

import (
	"context"
	"errors"
	"io"
	"strings"

	"google.golang.org/grpc"
	grpcmetadata "google.golang.org/grpc/metadata"

	"github.com/aperture-collector/aperture-collector/internal/apertureapi"
	"github.com/aperture-collector/aperture-collector/internal/aperturejson"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
)

// Unready implements [apertureapi.Readiness].
func (a *api) Unready() error { return a.notReady() }

// Query implements [apertureapi.QueryServer]: the live views, newest batches,
// oldest first.
func (a *api) Query(ctx context.Context, req *aggregatorv1.QueryRequest) (*aggregatorv1.QueryResponse, error) {
	tenant, err := a.grpcTenant(ctx)
	if err != nil {
		return nil, grpcError(err)
	}
	// An empty agent is no filter here, other than in the store.
	agentID := req.AgentId
	if req.GetAgentId() == "" {
		agentID = nil
	}
	limit := batchLimit(req.GetLimit(), maxRecentBatches)
	return &aggregatorv1.QueryResponse{Batches: batchInfos(a.views.recent(tenant, agentID, limit))}, nil
}

// QueryStorage implements [apertureapi.QueryServer]: the store, newest first.
func (a *api) QueryStorage(ctx context.Context, req *aggregatorv1.QueryStorageRequest) (*aggregatorv1.QueryResponse, error) {
	if a.store == nil {
		return &aggregatorv1.QueryResponse{Error: errNoStorage.Error()}, nil
	}
	done := a.observe(ctx, "query_storage")
	list, err := a.queryStorage(ctx, req)
	done(err)
	if err != nil {
		return nil, grpcError(err)
	}
	return &aggregatorv1.QueryResponse{Batches: batchInfos(list)}, nil
}

func (a *api) queryStorage(ctx context.Context, req *aggregatorv1.QueryStorageRequest) ([]apertureapi.BatchInfo, error) {
	var q query
	if err := q.setRange(req.AgentId, req.TimeStartNs, req.TimeEndNs); err != nil {
		return nil, err
	}
	tenant, err := a.grpcTenant(ctx)
	if err != nil {
		return nil, err
	}
	sel := profilestore.Selector{Tenant: tenant, AgentID: q.agentID, Start: q.start, End: q.end}
	return a.storedBatches(ctx, sel, batchLimit(req.GetLimit(), maxStorageBatches))
}

// Aggregate implements [apertureapi.QueryServer].
func (a *api) Aggregate(ctx context.Context, req *aggregatorv1.AggregateRequest) (*aggregatorv1.AggregateResponse, error) {
	done := a.observe(ctx, "aggregate")
	res, err := a.aggregateRPC(ctx, req)
	done(err)
	if errors.Is(err, errNoStorage) {
		return &aggregatorv1.AggregateResponse{Error: err.Error()}, nil
	}
	if err != nil {
		return nil, grpcError(err)
	}
	text, whole := resultJSON(res.merge, aperturejson.Options{TotalEvents: res.events, MaxRows: res.rows}, maxResultJSON)
	if !whole || res.truncated() {
		// It fails only where there is no call, as in tests.
		_ = grpc.SetHeader(ctx, grpcmetadata.Pairs(truncatedHeader, "true"))
	}
	return &aggregatorv1.AggregateResponse{ResultJson: text, TotalEvents: res.events}, nil
}

// maxResultJSON keeps an answer below the 4 MiB that gRPC clients, and upstream's
// command line among them, take unless they are told otherwise.
const maxResultJSON = 7 << 19 // 3.5 MiB

// resultJSON writes a merge in at most limit bytes: if it is longer, the stacks
// that count least are left out, and totals stay what they are. It reports
// whether nothing was left out.
func resultJSON(m *profilestore.Merge, o aperturejson.Options, limit int) (text string, whole bool) {
	rows := 0
	for i := range m.Kinds {
		rows = max(rows, len(m.Kinds[i].Rows))
	}
	return bounded(min(rows, o.MaxRows), limit, func(out io.Writer, rows int) error {
		o.MaxRows = rows
		return aperturejson.Write(out, m, o)
	})
}

// firstRows is how many rows bounded tries first.
const firstRows = 512

// bounded returns what write writes with so many rows that it is at most limit
// bytes, and whether these are all; it never holds much more than that. Without
// any row it may be longer.
func bounded(rows, limit int, write func(out io.Writer, rows int) error) (text string, whole bool) {
	attempt := func(n int) (string, bool) {
		text := limitedBuffer{limit: limit}
		if err := write(&text, n); err != nil {
			return "", false
		}
		return text.buffer.String(), true
	}
	n := min(rows, firstRows)
	text, fits := attempt(n)
	for ; !fits && n > 0; text, fits = attempt(n) {
		n /= 2
	}
	if !fits {
		var all strings.Builder
		// A strings.Builder takes all.
		_ = write(&all, 0)
		return all.String(), rows == 0
	}
	// A little less than fits on average, and again with what was learned.
	for range 2 {
		more := min(rows, int(int64(n)*int64(limit)/int64(len(text)+1)*9/10))
		if more <= n {
			break
		}
		longer, fits := attempt(more)
		if !fits {
			break
		}
		n, text = more, longer
	}
	return text, n == rows
}

func (a *api) aggregateRPC(ctx context.Context, req *aggregatorv1.AggregateRequest) (*result, error) {
	var q query
	if err := q.setRange(req.AgentId, req.TimeStartNs, req.TimeEndNs); err != nil {
		return nil, err
	}
	if err := q.setKind(req.GetEventType()); err != nil {
		return nil, err
	}
	// In proto3 0 is what a client sends that sets no limit.
	if req.GetLimit() > 0 {
		if err := q.setLimit(int64(req.GetLimit())); err != nil {
			return nil, err
		}
	}
	var err error
	if q.tenant, err = a.grpcTenant(ctx); err != nil {
		return nil, err
	}
	return a.aggregate(ctx, &q)
}

// Diff implements [apertureapi.QueryServer].
func (a *api) Diff(ctx context.Context, req *aggregatorv1.DiffRequest) (*aggregatorv1.DiffResponse, error) {
	done := a.observe(ctx, "diff")
	text, err := a.diffRPC(ctx, req)
	done(err)
	var kind *kindError
	switch {
	case err == nil:
		return &aggregatorv1.DiffResponse{ResultJson: text}, nil
	case errors.Is(err, errNoStorage):
		return &aggregatorv1.DiffResponse{Error: err.Error()}, nil
	case errors.As(err, &kind):
		return &aggregatorv1.DiffResponse{Error: kind.rpcText()}, nil
	}
	return nil, grpcError(err)
}

// setRange takes the agent and the time range of a request, each of which may
// be absent.
func (q *query) setRange(agentID *string, start, end *int64) error {
	if agentID != nil {
		if err := q.setAgentID(*agentID); err != nil {
			return err
		}
	}
	if start != nil {
		if err := q.setStart(*start); err != nil {
			return err
		}
	}
	if end != nil {
		if err := q.setEnd(*end); err != nil {
			return err
		}
	}
	return q.check()
}

// batchLimit applies the default and the cap to the limit of a request.
func batchLimit(limit uint32, most int) int {
	if limit == 0 {
		return defaultBatches
	}
	return int(min(limit, uint32(most)))
}

func batchInfos(list []apertureapi.BatchInfo) []*aggregatorv1.BatchInfo {
	out := make([]*aggregatorv1.BatchInfo, len(list))
	for i, b := range list {
		out[i] = &aggregatorv1.BatchInfo{
			AgentId: b.AgentID, Sequence: b.Sequence, EventCount: b.EventCount, ReceivedAtNs: b.ReceivedAt,
		}
	}
	return out
}
