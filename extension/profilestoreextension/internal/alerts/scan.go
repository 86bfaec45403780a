package alerts

import (
	"context"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/internal/alert"
)

// How many rows are read at once, so that the answer stays below maxReadBytes
// whatever is in them: one that does not would stop all alerts.
const (
	rulePage  = 4000
	statePage = 1000
)

// scan reads the newest row of each key of a dialect, or of one tenant of it, in
// the order of the keys.
type scan struct {
	dialect string
	tenant  *string
	table   string
	// having leaves out keys.
	having string
	limit  int
	// after is the last key that was read.
	after alert.Key
}

// pages calls read until it has read fewer rows than the limit. read sets after.
func (s *Store) pages(ctx context.Context, c *scan, read func(*scan) (int, error)) error {
	for {
		n, err := read(c)
		if err != nil || n < c.limit {
			return err
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
	}
}

// page reads what comes next. The inner query finds the rows by narrow columns, so
// that of the wide ones no others are read.
func (s *Store) page(ctx context.Context, c *scan, what string, fields []field, row func(i int)) error {
	var q chconn.Query
	where := "dialect = {dialect:String}"
	q.Params.String("dialect", c.dialect)
	if c.tenant != nil {
		where += " AND tenant = {tenant:String}"
		q.Params.String("tenant", *c.tenant)
	}
	if c.after != (alert.Key{}) {
		where += " AND tenant >= {after_tenant:String} AND (tenant > {after_tenant:String} OR id > {after_id:String})"
		q.Params.String("after_tenant", c.after.Tenant)
		q.Params.String("after_id", c.after.ID)
	}
	q.Params.Int("limit", int64(c.limit))
	q.Body = "SELECT " + listOf(fields) + " FROM " + s.table(c.table) + " WHERE " + where +
		" AND (tenant, id, rank) GLOBAL IN (SELECT tenant, id, max(rank) FROM " + s.table(c.table) + " WHERE " + where +
		" GROUP BY tenant, id HAVING " + c.having + " ORDER BY tenant, id LIMIT {limit:UInt64})" +
		" ORDER BY tenant, id LIMIT 1 BY tenant, id"
	q.Result = resultsOf(fields)
	q.OnResult = eachRow(row)
	return s.read(ctx, c.table, what, q)
}
