package writer

import (
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// batchRows are rows of the table batches.
type batchRows struct {
	tenant, agent   *lowCardinality
	received        *nanoseconds
	sequence, count proto.ColUInt64
	stored          seconds

	input proto.Input
}

func newBatchRows() *batchRows {
	r := &batchRows{tenant: newLowCardinality(), agent: newLowCardinality(), received: newNanoseconds()}
	r.input = proto.Input{
		{Name: "tenant", Data: r.tenant},
		{Name: "received_at", Data: r.received},
		{Name: "agent_id", Data: r.agent},
		{Name: "sequence", Data: &r.sequence},
		{Name: "event_count", Data: &r.count},
		{Name: "stored", Data: &r.stored},
	}
	return r
}

func (r *batchRows) fill(batches []profile.Batch, stored int64) {
	for i := range batches {
		b := &batches[i]
		r.tenant.Append(b.Tenant)
		r.received.add(b.ReceivedAt)
		r.agent.Append(b.AgentID)
		r.sequence = append(r.sequence, b.Sequence)
		r.count = append(r.count, b.EventCount)
		r.stored.add(stored)
	}
}
