package writer

import (
	"time"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// batchRows are rows of the table batches.
type batchRows struct {
	tenant, agent   *lowCardinality
	received        *nanoseconds
	sequence, count proto.ColUInt64
	stored          seconds
	window, missing proto.ColUInt64
	hours           array[time.Time, *proto.ColDateTime]
	hourEvents      array[uint64, *proto.ColUInt64]

	input proto.Input
}

func newBatchRows() *batchRows {
	r := &batchRows{
		tenant: newLowCardinality(), agent: newLowCardinality(), received: newNanoseconds(),
		hours: newArray[time.Time](new(proto.ColDateTime)), hourEvents: newArray[uint64](new(proto.ColUInt64)),
	}
	r.input = proto.Input{
		{Name: "tenant", Data: r.tenant},
		{Name: "received_at", Data: r.received},
		{Name: "agent_id", Data: r.agent},
		{Name: "sequence", Data: &r.sequence},
		{Name: "event_count", Data: &r.count},
		{Name: "stored", Data: &r.stored},
		{Name: "window_id", Data: &r.window},
		{Name: "hours", Data: &r.hours},
		{Name: "hour_events", Data: &r.hourEvents},
		{Name: "missing", Data: &r.missing},
	}
	return r
}

// fill adds the batches of a window, whose accounts say what its rows have.
func (r *batchRows) fill(batches []profile.Batch, stored int64, window profile.ID, accounts *Accounts) {
	for i := range batches {
		b := &batches[i]
		r.tenant.Append(b.Tenant)
		r.received.add(b.ReceivedAt)
		r.agent.Append(b.AgentID)
		r.sequence = append(r.sequence, b.Sequence)
		r.count = append(r.count, b.EventCount)
		r.stored.add(stored)
		r.account(window, accounts.take(b))
	}
}

// account adds what one batch has for all of its tenant, nil for the others.
func (r *batchRows) account(window profile.ID, a *account) {
	var id, missing uint64
	if a != nil {
		var hours []int64
		var events []uint64
		hours, events, missing = a.sorted()
		id = max(window.Lo, 1)
		for i, h := range hours {
			r.hours.data.Data = append(r.hours.data.Data, proto.DateTime(h))
			*r.hourEvents.data = append(*r.hourEvents.data, events[i])
		}
	}
	r.window = append(r.window, id)
	r.missing = append(r.missing, missing)
	r.hours.end()
	r.hourEvents.end()
}
