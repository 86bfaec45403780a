package schema

import (
	"cmp"
	"strconv"
	"strings"
	"time"
)

// lifetime says how long the rows of a table live.
type lifetime struct {
	// column is the expression of the time that it counts from.
	column string
	age    func(Options) time.Duration
	// keep, if it is not nil, says that rows of the same key become one when they
	// are old, and that the last never goes.
	keep *newest
}

// newest are the columns of a table of versions, of which the row with the
// highest rank is kept.
type newest struct {
	keys    string   // that the table is ordered by
	columns []string // all others but rank
}

func retention(o Options) time.Duration { return o.Retention.Truncate(time.Second) }

// referred is that of what rows of observations refer to.
func referred(o Options) time.Duration { return 2*retention(o) + time.Hour }

// batchRetention is that of what they brought, unless they have one of their own.
func batchRetention(o Options) time.Duration {
	return cmp.Or(o.BatchRetention, o.Retention).Truncate(time.Second)
}

func fixed(d time.Duration) func(Options) time.Duration {
	return func(Options) time.Duration { return d }
}

func alertRetention(o Options) time.Duration { return o.AlertRetention.Truncate(time.Second) }

const (
	// superseded is how long versions of rules live that have newer ones: longer
	// than whoever wrote one needs to find out whether it was stored.
	superseded = 24 * time.Hour
	// Transitions is how long changes of phases live that have newer ones: longer
	// than events are delivered.
	Transitions = 48 * time.Hour
	// Deliveries is how long it is known what receivers were told.
	Deliveries = 7 * 24 * time.Hour
	// jobs is how long it is known what was asked to be deleted.
	jobs = 90 * 24 * time.Hour
)

// written is a DateTime64, which TTLs cannot count from in older servers.
const written = "toDateTime(written)"

// lifetimes are by table.
// Observations live from the hour they were stored in, not from their own time:
// profiles that are loaded later are kept as long as others.
// What rows refer to is written again when it has not been for a quarter of the
// retention (see writer.Known), and a stack, its frames and their functions are
// each up to that much older than what refers to them. Rows live from the end of the
// hour they were stored in: twice the retention and that hour are always enough.
var lifetimes = map[string]lifetime{
	"chunks":         {column: "stored", age: retention},
	"batches":        {column: "stored", age: batchRetention},
	"series":         {column: "last_seen", age: referred},
	"attribute_sets": {column: "last_seen", age: referred},
	"stacks":         {column: "last_seen", age: referred},
	"locations":      {column: "last_seen", age: referred},
	"functions":      {column: "last_seen", age: referred},

	"stack_segments": {column: "stored", age: referred},
	"chunk_leases":   {column: written, age: fixed(time.Hour)},
	"data_jobs":      {column: written, age: fixed(jobs)},

	"alert_rules": {column: written, age: fixed(superseded), keep: &newest{"dialect, tenant, id", []string{
		"revision", "deleted", "name", "severity", "enabled", "created_at", "operator", "threshold",
		"for_ns", "rearm_ns", "labels", "annotations", "spec", "bytes", "first", "nonce", "written",
	}}},
	"alert_transitions": {column: written, age: fixed(Transitions), keep: &newest{"dialect, tenant, id", []string{
		"seq", "phase", "since", "fired_at", "revision", "episode", "event", "rule_name", "severity", "operator",
		"threshold", "value", "message", "metric", "at", "starts_at", "labels", "annotations", "link", "nonce", "written",
	}}},
	"alert_ids": {column: written, age: fixed(superseded), keep: &newest{"dialect", []string{"n", "nonce", "written"}}},
	"alert_leases": {column: written, age: fixed(time.Hour), keep: &newest{"dialect", []string{
		"epoch", "holder", "ttl_ns", "nonce", "written",
	}}},
	"alert_history":    {column: written, age: alertRetention},
	"alert_deliveries": {column: written, age: fixed(Deliveries)},
	"alert_published":  {column: written, age: fixed(time.Hour)},
}

// interval is the part of the TTL that says how long, as the server writes it.
func (o Options) interval(name string) string {
	return "toIntervalSecond(" + strconv.FormatInt(int64(lifetimes[name].age(o)/time.Second), 10) + ")"
}

// ttl returns the TTL of a table, as the server writes it.
func (o Options) ttl(name string) string {
	l := lifetimes[name]
	s := l.column + " + " + o.interval(name)
	if l.keep == nil {
		return s
	}
	var b strings.Builder
	b.WriteString(s + " GROUP BY " + l.keep.keys + " SET rank = max(rank)")
	for _, c := range l.keep.columns {
		b.WriteString(", " + c + " = argMax(" + c + ", rank)")
	}
	return b.String()
}
