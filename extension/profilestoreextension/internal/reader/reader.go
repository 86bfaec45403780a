package reader

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/stackdict"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// Options configure a [Reader].
type Options struct {
	// Tables say where to read.
	Tables schema.Options
	// MaxExecutionTime, MaxMemoryUsage (bytes) and MaxRows (of a result) bound
	// every query.
	MaxExecutionTime time.Duration
	MaxMemoryUsage   int64
	MaxRows          int64
	// MaxStacks bounds the rows of a merge by kind when the caller does not.
	MaxStacks int
	// StackCacheSize bounds all caches together, in bytes: half of it is for
	// dictionaries of stacks, of which queries of all services need all, a quarter for
	// resolved stacks, and a quarter is left to whoever remembers more.
	StackCacheSize int64
	// Limits returns those of a tenant; nil if all have the same.
	Limits func(tenant string) Limits
	// Lifetimes leave out rows whose retention is over and that are still there; nil
	// leaves out none.
	Lifetimes Lifetimes
	// OnQuery is told about every query that ended.
	OnQuery func(ctx context.Context, name string, took time.Duration, err error)
}

// Lifetimes say which rows are not too old to be seen.
type Lifetimes interface {
	// Alive returns a condition for rows of chunks of a tenant and service, or of all
	// its services if that is empty, and adds what it binds to p. BatchesAlive is the
	// same for batches.
	Alive(tenant, service string, p *chconn.Params) string
	BatchesAlive(tenant string) string
}

// Reader runs queries over a pool. It is safe for concurrent use.
type Reader struct {
	pool   *chconn.Pool
	opts   Options
	stacks *Stacks
	dicts  *stackdict.Cache

	tenants tenants
}

// New returns a reader.
func New(pool *chconn.Pool, o Options) *Reader {
	r := &Reader{pool: pool, opts: o, stacks: newStacks(o.StackCacheSize / 4)}
	r.stacks.load = r.loadStacks
	r.dicts = stackdict.New(stackdict.Options{Tables: o.Tables, Do: r.Do, Bytes: o.StackCacheSize / 2})
	return r
}

// Stacks returns the cache of resolved stacks.
func (r *Reader) Stacks() *Stacks { return r.stacks }

// Dictionaries returns the cache of stacks by their numbers.
func (r *Reader) Dictionaries() *stackdict.Cache { return r.dicts }

// maxBatches bounds one answer of Batches.
const maxBatches = 100_000

// Batches does what [profilestore.Reader] says.
func (r *Reader) Batches(ctx context.Context, sel profilestore.Selector, limit int) ([]profile.Batch, error) {
	if sel.Tenant == "" {
		return nil, fmt.Errorf("%w: tenant is empty; every query needs one", profile.ErrInvalid)
	}
	if limit <= 0 {
		return nil, nil
	}
	var received proto.ColInt64
	var sequence, count proto.ColUInt64
	agent := lowCardinality()
	var out []profile.Batch
	q := chconn.Query{Query: ch.Query{
		Result: proto.Results{
			{Name: "at", Data: &received},
			{Name: "agent_id", Data: agent},
			{Name: "sequence", Data: &sequence},
			{Name: "event_count", Data: &count},
		},
		OnResult: func(context.Context, proto.Block) error {
			for i := range received {
				out = append(out, profile.Batch{
					Tenant: sel.Tenant, AgentID: agent.Row(i), Sequence: sequence[i],
					EventCount: count[i], ReceivedAt: received[i],
				})
			}
			return nil
		},
	}}
	where := "tenant = {tenant:String}"
	q.Params.String("tenant", sel.Tenant)
	if sel.AgentID != nil {
		where += " AND agent_id = {agent:String}"
		q.Params.String("agent", *sel.AgentID)
	}
	if sel.Start > 0 {
		where += " AND received_at >= fromUnixTimestamp64Nano({start:Int64}, 'UTC')"
		q.Params.Int("start", sel.Start)
	}
	if sel.End != 0 {
		where += " AND received_at < fromUnixTimestamp64Nano({end:Int64}, 'UTC')"
		q.Params.Int("end", sel.End)
	}
	if r.opts.Lifetimes != nil {
		where += " AND " + r.opts.Lifetimes.BatchesAlive(sel.Tenant)
	}
	q.Params.Int("limit", int64(min(limit, maxBatches)))
	q.Body = "SELECT toUnixTimestamp64Nano(received_at) AS at, agent_id, sequence, event_count FROM " + r.opts.Tables.Table("batches") +
		" WHERE " + where + " ORDER BY received_at DESC, agent_id DESC, sequence DESC LIMIT {limit:UInt64}"
	if err := r.Do(ctx, "batches", q); err != nil {
		return nil, fmt.Errorf("read batches: %w", err)
	}
	return out, nil
}
