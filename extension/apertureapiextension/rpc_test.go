package apertureapiextension

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/aperture-collector/aperture-collector/internal/apertureapi"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
)

func ptr[T any](v T) *T { return &v }

func asTenant(t *testing.T, tenants ...string) context.Context {
	ctx := t.Context()
	for _, tenant := range tenants {
		ctx = metadata.AppendToOutgoingContext(ctx, "x-scope-orgid", tenant)
	}
	return ctx
}

func sequences(list []*aggregatorv1.BatchInfo) []uint64 {
	out := []uint64{}
	for _, b := range list {
		out = append(out, b.GetSequence())
	}
	return out
}

func TestQuery(t *testing.T) {
	f := start(t, options{store: newMemoryStore()})
	f.push(t, "", "a", "cpu", "empty", "mixed")
	f.push(t, "red", "a", "cpu")
	query := func(ctx context.Context, req *aggregatorv1.QueryRequest) []*aggregatorv1.BatchInfo {
		resp, err := f.rpc.Query(ctx, req)
		require.NoError(t, err)
		require.Empty(t, resp.GetError())
		return resp.GetBatches()
	}
	all := query(t.Context(), &aggregatorv1.QueryRequest{})
	assert.Equal(t, []uint64{1, 2, 3}, sequences(all), "oldest first")
	assert.Equal(t, "a", all[2].GetAgentId())
	assert.EqualValues(t, 4, all[2].GetEventCount())
	assert.Zero(t, all[1].GetEventCount())
	assert.Positive(t, all[0].GetReceivedAtNs())
	assert.Equal(t, []uint64{3}, sequences(query(t.Context(), &aggregatorv1.QueryRequest{Limit: 1})), "the newest")
	assert.Len(t, query(t.Context(), &aggregatorv1.QueryRequest{AgentId: ptr("")}), 3, "an empty agent is no filter")
	assert.Len(t, query(t.Context(), &aggregatorv1.QueryRequest{AgentId: ptr("a")}), 3)
	assert.Empty(t, query(t.Context(), &aggregatorv1.QueryRequest{AgentId: ptr("b")}))
	assert.Len(t, query(asTenant(t, "red"), &aggregatorv1.QueryRequest{}), 1)
	_, err := f.rpc.Query(asTenant(t, "a/b"), &aggregatorv1.QueryRequest{})
	assert.Equal(t, codes.InvalidArgument, status.Code(err))
}

func TestQueryStorage(t *testing.T) {
	store := newMemoryStore()
	f := start(t, options{store: store})
	f.push(t, "", "a", "cpu", "empty", "mixed")
	f.push(t, "red", "a", "cpu")
	resp, err := f.rpc.QueryStorage(t.Context(), &aggregatorv1.QueryStorageRequest{TimeStartNs: ptr(int64(0)), TimeEndNs: ptr(int64(math.MaxInt64))})
	require.NoError(t, err)
	assert.Equal(t, []uint64{3, 2, 1}, sequences(resp.GetBatches()), "newest first")
	middle := resp.GetBatches()[1].GetReceivedAtNs()
	resp, err = f.rpc.QueryStorage(t.Context(), &aggregatorv1.QueryStorageRequest{TimeStartNs: &middle, TimeEndNs: &middle})
	require.NoError(t, err)
	assert.Equal(t, []uint64{2}, sequences(resp.GetBatches()), "the end is inclusive")
	resp, err = f.rpc.QueryStorage(t.Context(), &aggregatorv1.QueryStorageRequest{TimeStartNs: ptr(time.Now().Add(time.Hour).UnixMilli())})
	require.NoError(t, err)
	assert.Empty(t, resp.GetBatches())
	resp, err = f.rpc.QueryStorage(t.Context(), &aggregatorv1.QueryStorageRequest{Limit: 1, AgentId: ptr("a")})
	require.NoError(t, err)
	assert.Equal(t, []uint64{3}, sequences(resp.GetBatches()))
	resp, err = f.rpc.QueryStorage(asTenant(t, "red"), &aggregatorv1.QueryStorageRequest{})
	require.NoError(t, err)
	assert.Len(t, resp.GetBatches(), 1)

	_, err = f.rpc.QueryStorage(t.Context(), &aggregatorv1.QueryStorageRequest{TimeStartNs: ptr(int64(-1))})
	assert.Equal(t, codes.InvalidArgument, status.Code(err))
	assert.ErrorContains(t, err, "`time_start_ns`")
	_, err = f.rpc.QueryStorage(t.Context(), &aggregatorv1.QueryStorageRequest{TimeEndNs: ptr(int64(-1))})
	assert.ErrorContains(t, err, "`time_end_ns`")
	_, err = f.rpc.QueryStorage(t.Context(), &aggregatorv1.QueryStorageRequest{AgentId: ptr(strings.Repeat("a", 2000))})
	assert.ErrorContains(t, err, "`agent_id`")
}

func TestAggregateRPC(t *testing.T) {
	f := start(t, options{store: newMemoryStore()})
	f.push(t, "", "a", "mixed", "cpu")
	f.push(t, "red", "a", "cpu")
	aggregate := func(ctx context.Context, req *aggregatorv1.AggregateRequest) *aggregatorv1.AggregateResponse {
		resp, err := f.rpc.Aggregate(ctx, req)
		require.NoError(t, err)
		require.Empty(t, resp.GetError())
		return resp
	}
	all := aggregate(t.Context(), &aggregatorv1.AggregateRequest{})
	assert.EqualValues(t, 5, all.GetTotalEvents())
	assert.True(t, strings.HasPrefix(all.GetResultJson(), `{"cpu":{"start_time":1700000000000000001,"end_time":1700000000000000001,"total_samples":2,"sample_period_ns":0,"stacks":[{"stack":{"frames":[{"ip":`))
	assert.NotContains(t, all.GetResultJson(), "skipped_batches")
	cpu := aggregate(t.Context(), &aggregatorv1.AggregateRequest{EventType: "cpu", Limit: 1})
	assert.EqualValues(t, 5, cpu.GetTotalEvents(), "of every type")
	assert.Contains(t, cpu.GetResultJson(), `"lock":null,"syscall":null,"total_events":5`)
	assert.Equal(t, 1, strings.Count(cpu.GetResultJson(), `"count"`))
	assert.EqualValues(t, 1, aggregate(asTenant(t, "red"), &aggregatorv1.AggregateRequest{AgentId: ptr("a")}).GetTotalEvents())
	assert.Zero(t, aggregate(t.Context(), &aggregatorv1.AggregateRequest{TimeEndNs: ptr(int64(1_600_000_000_000))}).GetTotalEvents())

	for want, req := range map[string]*aggregatorv1.AggregateRequest{
		"`event_type`":    {EventType: "memory"},
		"`time_start_ns`": {TimeStartNs: ptr(int64(-1))},
		"`time_end_ns`":   {TimeStartNs: ptr(int64(2000)), TimeEndNs: ptr(int64(1000))},
	} {
		_, err := f.rpc.Aggregate(t.Context(), req)
		assert.Equal(t, codes.InvalidArgument, status.Code(err), want)
		assert.ErrorContains(t, err, want)
	}
	_, err := f.rpc.Aggregate(asTenant(t, "red", "blue"), &aggregatorv1.AggregateRequest{})
	assert.Equal(t, codes.InvalidArgument, status.Code(err))
}

func TestRPCStoreTroubles(t *testing.T) {
	store := newMemoryStore()
	f := start(t, options{store: store, config: func(c *Config) { c.QueryTimeout = 20 * time.Millisecond }})
	for cause, code := range map[error]codes.Code{
		fmt.Errorf("x: %w", profilestore.ErrUnavailable): codes.Unavailable,
		profilestore.ErrLimit:                            codes.ResourceExhausted,
		profile.ErrInvalid:                               codes.InvalidArgument,
		errHang:                                          codes.DeadlineExceeded,
		assert.AnError:                                   codes.Internal,
	} {
		store.fail(cause)
		_, err := f.rpc.Aggregate(t.Context(), &aggregatorv1.AggregateRequest{})
		assert.Equal(t, code, status.Code(err), err)
		_, err = f.rpc.Diff(t.Context(), &aggregatorv1.DiffRequest{EventType: "cpu"})
		assert.Equal(t, code, status.Code(err), err)
		assert.Regexp(t, "(baseline|comparison): ", err.Error())
		_, err = f.rpc.QueryStorage(t.Context(), &aggregatorv1.QueryStorageRequest{})
		assert.Equal(t, code, status.Code(err), err)
	}
}

func TestRPCWithoutStore(t *testing.T) {
	const text = "storage not configured (enable ClickHouse)"
	f := start(t, options{})
	agg, err := f.rpc.Aggregate(t.Context(), &aggregatorv1.AggregateRequest{})
	require.NoError(t, err)
	assert.Equal(t, text, agg.GetError())
	assert.Empty(t, agg.GetResultJson())
	stored, err := f.rpc.QueryStorage(t.Context(), &aggregatorv1.QueryStorageRequest{})
	require.NoError(t, err)
	assert.Equal(t, text, stored.GetError())
	assert.Empty(t, stored.GetBatches())

	f = start(t, options{keep: true})
	f.push(t, "", "a", "mixed")
	agg, err = f.rpc.Aggregate(t.Context(), &aggregatorv1.AggregateRequest{})
	require.NoError(t, err)
	assert.EqualValues(t, 4, agg.GetTotalEvents(), "answered from memory")
}

func TestBatchLimits(t *testing.T) {
	assert.Equal(t, 100, batchLimit(0, maxRecentBatches))
	assert.Equal(t, 7, batchLimit(7, maxRecentBatches))
	assert.Equal(t, 1000, batchLimit(math.MaxUint32, maxRecentBatches))
	assert.Equal(t, 10_000, batchLimit(1<<20, maxStorageBatches))
}

func TestTimes(t *testing.T) {
	assert.EqualValues(t, 0, startTime(0))
	assert.EqualValues(t, 5*nsPerMS, startTime(5))
	assert.EqualValues(t, 1e15, startTime(1e15))
	assert.EqualValues(t, int64(math.MaxInt64), startTime(999_999_999_999_999), "beyond what nanoseconds can say")
	assert.EqualValues(t, 6*nsPerMS, endTime(5))
	assert.EqualValues(t, nsPerMS, endTime(0), "the first millisecond, not unbounded")
	assert.EqualValues(t, 1e15+1, endTime(1e15))
	assert.Zero(t, endTime(math.MaxInt64))
	assert.Zero(t, endTime(999_999_999_999_999))
}

func TestViews(t *testing.T) {
	var v views
	a := fixedView{stats: apertureapi.BufferStats{Batches: 1, Bytes: 10, CapacityBatches: 100, Utilization: 0.5, QueueUtilization: 0.1}, batches: []apertureapi.BatchInfo{{AgentID: "a", ReceivedAt: 1}, {AgentID: "a", ReceivedAt: 3}}}
	b := fixedView{stats: apertureapi.BufferStats{Batches: 2, Bytes: 20, CapacityBatches: 100, Utilization: 0.2, QueueUtilization: 0.9, Dropped: 4}, batches: []apertureapi.BatchInfo{{AgentID: "b", ReceivedAt: 2}}}
	removeA, removeB := v.add(a), v.add(b)
	assert.Equal(t, apertureapi.BufferStats{Batches: 3, Bytes: 30, CapacityBatches: 200, Utilization: 0.5, QueueUtilization: 0.9, Dropped: 4}, v.stats())
	assert.InDelta(t, 0.9, v.queueUtilization(), 0)
	recent := v.recent("t", nil, 2)
	require.Len(t, recent, 2)
	assert.EqualValues(t, []int64{2, 3}, []int64{recent[0].ReceivedAt, recent[1].ReceivedAt}, "the newest of both, oldest first")
	removeB()
	removeB()
	assert.Len(t, v.recent("t", nil, 10), 2)
	assert.Zero(t, v.stats().Dropped)
	removeA()
	assert.Empty(t, v.all())
}

type fixedView struct {
	stats   apertureapi.BufferStats
	batches []apertureapi.BatchInfo
}

func (v fixedView) RecentBatches(string, *string, int) []apertureapi.BatchInfo { return v.batches }
func (v fixedView) BufferStats() apertureapi.BufferStats                       { return v.stats }
func (v fixedView) Reader() profilestore.Reader                                { return nil }
