package alerts

import (
	"context"
	"time"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/internal/alert"
)

// events reads events that meet a condition, in the given order, at most limit.
// The inner query finds them by narrow columns; it takes the first row of each
// version and leaves out what has outlived the history because it is a state.
func (s *Store) events(ctx context.Context, where, order string, limit int, q chconn.Query) ([]alert.Event, error) {
	if limit <= 0 {
		return nil, nil
	}
	rows := newTransitionRows()
	var events []alert.Event
	q.Params.Int("limit", int64(min(limit, maxEvents)))
	q.Params.Int("age", int64(s.opts.Tables.AlertRetention/time.Second))
	q.Body = "SELECT " + listOf(rows.fields) + " FROM " + s.table("alert_transitions") +
		" WHERE dialect = {dialect:String} AND (tenant, id, rank) GLOBAL IN (SELECT tenant, id, max(rank) AS top FROM " + s.table("alert_transitions") +
		" WHERE dialect = {dialect:String} AND written > now() - toIntervalSecond({age:Int64}) AND event = 1 AND " + where +
		" GROUP BY tenant, id, seq ORDER BY argMax(at, rank) " + order + ", seq " + order + ", tenant " + order + ", id " + order +
		" LIMIT {limit:UInt64}) ORDER BY at " + order + ", seq " + order + ", tenant " + order + ", id " + order
	q.Result = resultsOf(rows.fields)
	q.OnResult = eachRow(func(i int) { events = append(events, rows.eventAt(i)) })
	if err := s.read(ctx, "alert_transitions", "events", q); err != nil {
		return nil, err
	}
	return events, nil
}

// History implements [alert.Store]; limit is at most 10,000.
func (s *Store) History(ctx context.Context, dialect, tenant string, limit int) ([]alert.Event, error) {
	var q chconn.Query
	q.Params.String("dialect", dialect)
	q.Params.String("tenant", tenant)
	return s.events(ctx, "tenant = {tenant:String}", "DESC", limit, q)
}

// Undelivered implements [alert.Store]; limit is at most 10,000.
func (s *Store) Undelivered(ctx context.Context, dialect, receiver string, since time.Time, limit int) ([]alert.Event, error) {
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
	return s.events(ctx, "at >= fromUnixTimestamp64Nano({since:Int64}, 'UTC') AND (tenant, id, seq) GLOBAL NOT IN (SELECT tenant, id, seq FROM "+
		s.table("alert_deliveries")+" WHERE dialect = {dialect:String} AND receiver = {receiver:String})", "ASC", limit, q)
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
