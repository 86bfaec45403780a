package apertureapi

import (
	"context"

	"github.com/aperture-collector/aperture-collector/internal/profilestore"
	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
)

// QueryServer answers the read methods of the Aggregator service. The context
// carries the client's metadata (go.opentelemetry.io/collector/client), of which
// x-scope-orgid is the tenant, its cancellation and its deadline.
//
// An error is a gRPC status or becomes one. Methods are safe for concurrent use.
type QueryServer interface {
	// Query lists recent batches, oldest first.
	Query(context.Context, *aggregatorv1.QueryRequest) (*aggregatorv1.QueryResponse, error)
	// QueryStorage lists stored batches, newest first.
	QueryStorage(context.Context, *aggregatorv1.QueryStorageRequest) (*aggregatorv1.QueryResponse, error)
	// Aggregate merges the profiles of a time range.
	Aggregate(context.Context, *aggregatorv1.AggregateRequest) (*aggregatorv1.AggregateResponse, error)
	// Diff compares two time ranges.
	Diff(context.Context, *aggregatorv1.DiffRequest) (*aggregatorv1.DiffResponse, error)
}

// BatchInfo describes one push.
type BatchInfo struct {
	// Tenant owns the batch.
	Tenant string
	// AgentID names the sender.
	AgentID string
	// Sequence is the sender's number of the batch.
	Sequence uint64
	// EventCount is the number of observations in the batch.
	EventCount uint64
	// ReceivedAt is when the batch arrived, in Unix nanoseconds.
	ReceivedAt int64
}

// BufferStats says how full a buffer of recent batches and the queue behind it
// are.
type BufferStats struct {
	// Batches is the number of batches held, CapacityBatches the most it can be.
	Batches, CapacityBatches int
	// Bytes is the estimated size of what is held, CapacityBytes the most it can
	// be.
	Bytes, CapacityBytes int64
	// Dropped counts the batches that made room for newer ones since the start.
	Dropped uint64
	// Utilization is how full the buffer is, from 0 to 1. A buffer that drops
	// its oldest batches is normally full; that alone is no reason to worry.
	Utilization float64
	// QueueUtilization is how full the queue of accepted but not yet forwarded
	// data is, from 0 to 1.
	QueueUtilization float64
}

// LiveView is the memory of recent batches. Methods are safe for concurrent use
// and do not block.
type LiveView interface {
	// RecentBatches returns up to limit of the newest batches of a tenant, oldest
	// first; of one agent only if agentID is not nil.
	RecentBatches(tenant string, agentID *string, limit int) []BatchInfo
	// BufferStats returns how full the buffer is.
	BufferStats() BufferStats
	// Reader answers queries from the recent profiles kept in memory; nil when
	// none are kept.
	Reader() profilestore.Reader
}

// BackpressureThreshold is the queue utilization above which agents are asked
// to push less often.
const BackpressureThreshold = 0.8

// Backpressure tells whether the pipelines are close to refusing data.
type Backpressure interface {
	// Backpressure reports whether the queue of any registered [LiveView] is
	// fuller than [BackpressureThreshold]. It is called for every push, is safe
	// for concurrent use and does not block.
	Backpressure() bool
}

// Readiness tells whether queries can be answered in full.
type Readiness interface {
	// Unready says why not, nil if they can: the pipelines do not run, or the
	// store is away. It is safe for concurrent use and does not block.
	Unready() error
}

// Registry is where live views are registered. It is safe for concurrent use.
type Registry interface {
	Backpressure
	// RegisterLiveView adds a view until the returned function is called.
	// Calling that function again does nothing.
	RegisterLiveView(LiveView) (unregister func())
}
