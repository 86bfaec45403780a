package alerts

import (
	"context"
	"time"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
	"github.com/aperture-collector/aperture-collector/internal/alert"
)

// events reads events of the last days that meet a condition, in the given order,
// at most limit. The inner query finds them by narrow columns; it takes the first
// row of each version and leaves out what has outlived the history because it is a
// state.
func (s *Store) events(ctx context.Context, where, order string, limit int, age time.Duration, q chconn.Query) ([]alert.Event, error) {
	if limit <= 0 {
		return nil, nil
	}
	q.Params.Int("limit", int64(min(limit, maxEvents)))
	q.Params.Int("age", int64(age/time.Second))
	rows := newTransitionRows()
	q.Body = "SELECT " + listOf(rows.eventFields()) + " FROM " + s.table("alert_transitions") +
		" WHERE dialect = {dialect:String} AND (tenant, id, rank) GLOBAL IN (SELECT tenant, id, max(rank) AS top FROM " + s.table("alert_transitions") +
		" WHERE dialect = {dialect:String} AND written > now() - toIntervalSecond({age:Int64}) AND event = 1 AND " + where +
		" GROUP BY tenant, id, seq ORDER BY argMax(at, rank) " + order + ", seq " + order + ", tenant " + order + ", id " + order +
		" LIMIT {limit:UInt64}) ORDER BY at " + order + ", seq " + order + ", tenant " + order + ", id " + order
	return s.readEvents(ctx, "alert_transitions", rows, q)
}

func (s *Store) readEvents(ctx context.Context, table string, rows *transitionRows, q chconn.Query) ([]alert.Event, error) {
	var events []alert.Event
	q.Result = resultsOf(rows.eventFields())
	q.OnResult = eachRow(func(i int) { events = append(events, rows.eventAt(i)) })
	if err := s.read(ctx, table, "events", q); err != nil {
		return nil, err
	}
	return events, nil
}

// Undelivered implements [alert.Store]; limit is at most 1,000, and since at most two
// days ago.
func (s *Store) Undelivered(ctx context.Context, dialect, receiver string, since time.Time, skip []alert.Key, limit int) ([]alert.Event, error) {
	if epoch := time.Unix(1, 0); since.Before(epoch) {
		since = epoch
	}
	if err := checkTime("since", since); err != nil {
		return nil, err
	}
	var q chconn.Query
	q.Params.String("dialect", dialect)
	q.Params.String("receiver", receiver)
	q.Params.Int("since", since.UnixNano())
	q.Params.Int("known", int64((schema.Deliveries-schema.Transitions)/time.Second))
	marks := "(SELECT tenant, id, seq FROM " + s.table("alert_deliveries") + " WHERE dialect = {dialect:String} AND receiver = {receiver:String}"
	where := "at >= fromUnixTimestamp64Nano({since:Int64}, 'UTC')" +
		// A mark is written after its event, but by another clock.
		" AND (tenant, id, seq) GLOBAL NOT IN " + marks + " AND written > now() - toIntervalSecond({age:Int64} + 3600))" +
		" AND (phase != 'resolved' OR starts_at >= fromUnixTimestamp64Nano({since:Int64}, 'UTC')" +
		" OR starts_at < now() - toIntervalSecond({known:Int64}) OR (tenant, id, episode) GLOBAL IN " + marks + "))"
	if len(skip) > 0 {
		tenants, ids := make([]string, len(skip)), make([]string, len(skip))
		for i, k := range skip {
			tenants[i], ids[i] = k.Tenant, k.ID
		}
		q.Params.Strings("skip_tenants", tenants)
		q.Params.Strings("skip_ids", ids)
		where += " AND NOT has(arrayZip({skip_tenants:Array(String)}, {skip_ids:Array(String)}), (tenant, id))"
	}
	return s.events(ctx, where, "ASC", limit, schema.Transitions, q)
}

// Delivered implements [alert.Store].
func (s *Store) Delivered(ctx context.Context, dialect, receiver string, events []alert.Event) error {
	if len(events) == 0 {
		return nil
	}
	d := newDialects()
	var receivers, tenants, ids proto.ColStr
	var seqs proto.ColUInt64
	for i := range events {
		e := &events[i]
		d.Append(dialect)
		receivers.Append(receiver)
		tenants.Append(e.Key.Tenant)
		ids.Append(e.Key.ID)
		seqs.Append(e.Seq)
	}
	input := proto.Input{
		{Name: "dialect", Data: d},
		{Name: "receiver", Data: receivers},
		{Name: "tenant", Data: tenants},
		{Name: "id", Data: ids},
		{Name: "seq", Data: seqs},
	}
	return again(ctx, func() error { return s.insert(ctx, "alert_deliveries", input, "") })
}
