package alerts

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
	"github.com/aperture-collector/aperture-collector/internal/alert"
)

// keepEvery is how often events without a copy in the history are looked for.
const keepEvery = time.Hour

// History implements [alert.Store]; limit is at most 1,000. What happened lately is
// read from where it happened, since its copy may not be there yet.
func (s *Store) History(ctx context.Context, dialect, tenant string, limit int) ([]alert.Event, error) {
	if limit <= 0 {
		return nil, nil
	}
	limit = min(limit, maxEvents)
	var q chconn.Query
	q.Params.String("dialect", dialect)
	q.Params.String("tenant", tenant)
	events, err := s.events(ctx, "tenant = {tenant:String}", "DESC", limit, min(s.opts.Tables.AlertRetention, schema.Transitions),
		chconn.Query{Params: q.Params.Clone()})
	if err != nil {
		return nil, err
	}
	rows := newTransitionRows()
	q.Params.Int("limit", int64(limit))
	q.Params.Int("age", int64(s.opts.Tables.AlertRetention/time.Second))
	q.Body = "SELECT " + listOf(rows.eventFields()) + " FROM " + s.table("alert_history") +
		" WHERE dialect = {dialect:String} AND tenant = {tenant:String} AND written > now() - toIntervalSecond({age:Int64})" +
		" ORDER BY at DESC, seq DESC, id DESC LIMIT 1 BY id, seq LIMIT {limit:UInt64}"
	old, err := s.readEvents(ctx, "alert_history", rows, q)
	if err != nil {
		return nil, err
	}
	type version struct {
		alert.Key
		seq uint64
	}
	seen := make(map[version]bool, len(events)+len(old))
	events = slices.DeleteFunc(append(events, old...), func(e alert.Event) bool {
		v := version{e.Key, e.Seq}
		again := seen[v]
		seen[v] = true
		return again
	})
	slices.SortFunc(events, func(a, b alert.Event) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.Seq, a.Seq), cmp.Compare(b.Key.ID, a.Key.ID))
	})
	return events[:min(limit, len(events))], nil
}

// completeHistory copies the events that have no copy because their writers died, or
// lost the connection. It does so once in a while.
func (s *Store) completeHistory(ctx context.Context, dialect string) error {
	s.mu.Lock()
	due := time.Since(s.kept[dialect]) > keepEvery
	if due {
		s.kept[dialect] = time.Now()
	}
	s.mu.Unlock()
	if !due {
		return nil
	}
	rows := newTransitionRows()
	columns := listOf(rows.eventFields()) + ", written"
	q := chconn.Query{
		Query: ch.Query{Body: strings.Join([]string{
			"INSERT INTO", s.table("alert_history"), "(" + columns + ") SELECT", columns, "FROM", s.table("alert_transitions"),
			"WHERE dialect = {dialect:String} AND event = 1 AND written > now() - toIntervalSecond({age:Int64})",
			"AND (tenant, id, seq) GLOBAL NOT IN (SELECT tenant, id, seq FROM", s.table("alert_history"),
			"WHERE dialect = {dialect:String} AND written > now() - toIntervalSecond({age:Int64} + 3600))",
		}, " "), Settings: s.settings()},
		Timeout: s.opts.MaxExecutionTime + grace,
	}
	q.Params.String("dialect", dialect)
	q.Params.Int("age", int64(schema.Transitions/time.Second))
	begin := time.Now()
	err := s.pool.Do(ctx, q)
	s.opts.OnQuery(ctx, "alert_history", time.Since(begin), err)
	return err
}
