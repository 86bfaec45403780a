package check

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktable"
)

// place is what sums are compared by.
type place struct {
	tenant string
	hour   int64 // Unix seconds
}

// received is what batches say of a place.
type received struct {
	// events are what the windows had, missing what their batches had beyond that.
	events, missing uint64
}

// read runs a statement within small limits.
func (c *Checker) read(ctx context.Context, what string, q chconn.Query) error {
	q.Settings = append(q.Settings,
		chconn.SettingInt("max_threads", 1),
		chconn.SettingInt("max_execution_time", int64((c.opts.Timeout+time.Second-1)/time.Second)),
		chconn.SettingInt("max_memory_usage", c.opts.MaxMemoryUsage))
	q.Timeout = c.opts.Timeout
	if err := c.db.Do(ctx, q); err != nil {
		return fmt.Errorf("read %s: %w", what, err)
	}
	return nil
}

// received sums what batches say of hours. A window that was stored twice after its
// token had been forgotten counts once, as its rows do.
func (c *Checker) received(ctx context.Context, hours []int64) (map[place]received, error) {
	var tenant proto.ColStr
	var at proto.ColInt64
	var events, missing proto.ColUInt64
	out := make(map[place]received)
	list := make([]string, len(hours))
	first := hours[0]
	for i, h := range hours {
		list[i] = strconv.FormatInt(h, 10)
		first = min(first, h)
	}
	// What begins in an hour is stored after it began, or it would be of the future.
	err := c.read(ctx, "events of batches", chconn.Query{Query: ch.Query{
		Body: "SELECT tenant, at, sum(n) AS events, sum(m) AS missing FROM (" +
			"SELECT CAST(tenant AS String) AS tenant, window_id, any(arrayMap(h -> toInt64(toUnixTimestamp(h)), hours)) AS ats," +
			" any(hour_events) AS counts, any(missing) AS beyond FROM " + c.opts.Tables.Table("batches") +
			" WHERE window_id != 0 AND stored >= toDateTime(" + strconv.FormatInt(first, 10) + ", 'UTC') GROUP BY tenant, window_id)" +
			" ARRAY JOIN ats AS at, counts AS n, arrayMap(i -> if(i = 1, beyond, 0), arrayEnumerate(ats)) AS m" +
			" WHERE at IN (" + strings.Join(list, ",") + ") GROUP BY tenant, at",
		Result: proto.Results{{Name: "tenant", Data: &tenant}, {Name: "at", Data: &at}, {Name: "events", Data: &events}, {Name: "missing", Data: &missing}},
		OnResult: func(context.Context, proto.Block) error {
			for i := range at {
				out[place{tenant.Row(i), at[i]}] = received{events[i], missing[i]}
			}
			return nil
		},
	}})
	return out, err
}

// stored sums what the rows of an hour say that count, by tenant. Tenants of which
// that is not known for all rows are in unknown.
func (c *Checker) stored(ctx context.Context, hour int64) (sums map[string]uint64, unknown map[string]bool, err error) {
	var tenant proto.ColStr
	var events proto.ColUInt64
	var open proto.ColUInt8
	sums, unknown = make(map[string]uint64), make(map[string]bool)
	rows := c.opts.Tables.Table(chunktable.Name) + " WHERE hour = toDateTime(" + strconv.FormatInt(hour, 10) + ", 'UTC')" +
		" GROUP BY tenant, service, kind, types, period_type, period, id"
	// Of rows with one id the first counts, unless one that counts covers it: as
	// chunkrow.Visible has it, but in the server, because hours may have many rows.
	err = c.read(ctx, "events of chunks", chconn.Query{Query: ch.Query{
		Body: "SELECT CAST(tenant AS String) AS who, sum(n) AS events, toUInt8(max(n = " + unknownEvents + ")) AS open FROM (" +
			"SELECT tenant, id, argMin(batch_events, (written, nonce)) AS n FROM " + rows + ")" +
			" WHERE id GLOBAL NOT IN (SELECT arrayJoin(argMin(covers, (written, nonce))) FROM " + rows + " UNION ALL SELECT toUInt64(0))" +
			" GROUP BY who",
		Result: proto.Results{{Name: "who", Data: &tenant}, {Name: "events", Data: &events}, {Name: "open", Data: &open}},
		OnResult: func(context.Context, proto.Block) error {
			for i := range events {
				sums[tenant.Row(i)] = events[i]
				unknown[tenant.Row(i)] = open[i] != 0
			}
			return nil
		},
		// All of it sees one state of the table.
		Settings: []ch.Setting{chconn.Setting("enable_shared_storage_snapshot_in_query", "1")},
	}})
	return sums, unknown, err
}

// unknownEvents is [chunkrow.UnknownEvents] in SQL.
var unknownEvents = strconv.FormatUint(chunkrow.UnknownEvents, 10)

// deleted returns until when, in Unix seconds, something was deleted of tenants that
// had asked for it.
func (c *Checker) deleted(ctx context.Context) (map[string]int64, error) {
	var tenant proto.ColStr
	var cut proto.ColInt64
	out := make(map[string]int64)
	err := c.read(ctx, "jobs", chconn.Query{Query: ch.Query{
		Body:   "SELECT tenant, max(cut_ms) AS cut FROM " + c.opts.Tables.Table("data_jobs") + " GROUP BY tenant",
		Result: proto.Results{{Name: "tenant", Data: &tenant}, {Name: "cut", Data: &cut}},
		OnResult: func(context.Context, proto.Block) error {
			for i := range cut {
				out[tenant.Row(i)] = cut[i] / 1000
			}
			return nil
		},
	}})
	return out, err
}

// number runs a query with one number.
func (c *Checker) number(ctx context.Context, what, body string) (out int64, err error) {
	var col proto.ColInt64
	err = c.read(ctx, what, chconn.Query{Query: ch.Query{
		Body:   body,
		Result: proto.Results{{Data: &col}},
		OnResult: func(context.Context, proto.Block) error {
			for _, v := range col {
				out = v
			}
			return nil
		},
	}})
	return out, err
}

// now is the time of the server in Unix seconds.
func (c *Checker) now(ctx context.Context) (int64, error) {
	return c.number(ctx, "clock", "SELECT toInt64(toUnixTimestamp(now()))")
}

// since is when the tables got what is compared: older windows may be there in part.
func (c *Checker) since(ctx context.Context) (int64, error) {
	return c.number(ctx, "migrations", "SELECT toInt64(toUnixTimestamp(min(applied_at))) FROM "+
		c.opts.Tables.Table("schema_migrations")+" WHERE version = "+strconv.Itoa(version))
}

// version is the migration of the columns.
const version = 6

// oldest is the first hour that is stored: what was before may have been dropped
// because a limit was reached.
func (c *Checker) oldest(ctx context.Context) (int64, error) {
	return c.number(ctx, "first hour", "SELECT toInt64(toUnixTimestamp(min(hour))) FROM "+c.opts.Tables.Table(chunktable.Name))
}
