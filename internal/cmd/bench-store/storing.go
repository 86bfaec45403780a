package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/chserver"
	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit"
)

// stored is what storing some windows took.
type stored struct {
	used   benchkit.Usage
	took   time.Duration
	values uint64
}

// load has the worker store windows, and checks how many values there were.
func (b *bench) load(c loadCall, f *facts) (out stored, err error) {
	begin := time.Now()
	out.used, err = b.use(func() error {
		r, err := b.worker.call(call{Load: &c})
		if err != nil {
			return err
		}
		out.values = r.Values
		return nil
	})
	out.took = time.Since(begin)
	if err == nil && c.N == f.windows {
		err = equal("number of values read", out.values, f.Values)
	}
	return out, err
}

// storeHour ends when the rows that the hour left are merged and compacted as they
// are before the hour is closed.
func (b *bench) storeHour(ctx context.Context) (err error) {
	f := b.fleet.hour
	if b.report.hour, err = b.load(loadCall{Dir: b.path("hour"), N: f.windows, Concurrency: 2}, f); err != nil {
		return err
	}
	rest, err := b.use(func() error {
		if err := benchkit.Sleep(ctx, passes); err != nil {
			return err
		}
		return settle(ctx, b.server.Endpoint())
	})
	b.report.hour.used = b.report.hour.used.Plus(rest)
	if err != nil {
		return err
	}
	return b.peak("storing OTLP")
}

// passes is longer than the compactor pauses.
const passes = 12 * time.Second

// storePprof stores the same files twice, and measures the second time: which stacks,
// locations and functions there are is known then, as it is most of the time. The
// first time they are of the hour after the others.
func (b *bench) storePprof(ctx context.Context) (err error) {
	f := b.fleet.pprof
	c := loadCall{Dir: b.path("pprof"), N: f.windows, Pprof: true, Concurrency: 1}
	first := c
	first.Shift = 2 * time.Hour
	if b.report.known, err = b.load(first, f); err != nil {
		return err
	}
	if err := benchkit.Sleep(ctx, passes); err != nil {
		return err
	}
	if err := settle(ctx, b.server.Endpoint()); err != nil {
		return err
	}
	if b.report.pprof, err = b.load(c, f); err != nil {
		return err
	}
	return b.peak("storing pprof")
}

// readOTLP measures what is not the store's part of storing the hour.
func (b *bench) readOTLP(context.Context) (err error) {
	f := b.fleet.hour
	n := min(f.windows, 24)
	if b.report.read, err = b.load(loadCall{Dir: b.path("hour"), N: n, Discard: true, Concurrency: 2}, f); err != nil {
		return err
	}
	return os.RemoveAll(b.path("hour"))
}

// compact waits until the hours are compacted and the replaced rows could go, and
// takes the size.
func (b *bench) compact(ctx context.Context) (err error) {
	if b.report.compacted, err = b.untilCompacted(ctx); err != nil {
		return err
	}
	ep := b.server.Endpoint()
	if err := b.peak("compacting"); err != nil {
		return err
	}
	// The compactor deletes them ten minutes after they were replaced.
	var partitions []string
	err = benchkit.Query(ctx, ep, "SELECT DISTINCT partition_id FROM system.parts WHERE active AND database = '"+database+"' AND table = 'chunks' AND NOT startsWith(partition, '(2,')", func(c []string) error {
		partitions = append(partitions, c[0])
		return nil
	})
	if err != nil {
		return err
	}
	for _, p := range partitions {
		if err := b.sql(ctx, "ALTER TABLE %s.chunks DROP PARTITION ID '%s'", database, p); err != nil {
			return err
		}
	}
	optimized, err := b.use(func() error { return optimize(ctx, ep, database) })
	if err != nil {
		return err
	}
	b.report.optimized = optimized.Total()
	if b.report.sizes, err = sizes(ctx, ep, database); err != nil {
		return err
	}
	b.report.columns, err = bytesBy(ctx, ep, "column", "column_bytes_on_disk", "system.parts_columns", database+"' AND table = 'chunks")
	return err
}

// optimize merges all parts of all tables.
func optimize(ctx context.Context, ep chserver.Endpoint, database string) error {
	var tables []string
	err := benchkit.Query(ctx, ep, "SELECT name FROM system.tables WHERE engine LIKE '%MergeTree' AND database = '"+database+"'", func(c []string) error {
		tables = append(tables, c[0])
		return nil
	})
	for _, t := range tables {
		err = errors.Join(err, benchkit.Query(ctx, ep, fmt.Sprintf("OPTIMIZE TABLE `%s`.`%s` FINAL", database, t), nil))
	}
	return err
}

// sizes returns the bytes of each table.
func sizes(ctx context.Context, ep chserver.Endpoint, database string) (map[string]uint64, error) {
	return bytesBy(ctx, ep, "table", "bytes_on_disk", "system.parts", database)
}

// bytesBy sums up a column of a system table of parts.
func bytesBy(ctx context.Context, ep chserver.Endpoint, by, sum, from, database string) (map[string]uint64, error) {
	out := make(map[string]uint64)
	sql := fmt.Sprintf("SELECT %s AS k, sum(%s) FROM %s WHERE active AND database = '%s' GROUP BY k", by, sum, from, database)
	err := benchkit.Query(ctx, ep, sql, func(c []string) error {
		var n uint64
		_, err := fmt.Sscan(c[1], &n)
		out[c[0]] = n
		return err
	})
	return out, err
}

// copyHours makes the other hours out of the first.
func (b *bench) copyHours(ctx context.Context) error {
	for h := 1; h < b.hours; h++ {
		err := b.sql(ctx, `INSERT INTO %[1]s.chunks SELECT * REPLACE(hour + %[2]d AS hour, id + %[2]d AS id,
			first_time + toIntervalSecond(%[2]d) AS first_time, last_time + toIntervalSecond(%[2]d) AS last_time, arrayMap(t -> t + %[2]d000000000, times) AS times)
			FROM (SELECT * FROM %[1]s.chunks WHERE hour = toDateTime(%[3]d, 'UTC')) SETTINGS insert_deduplicate = 0, max_insert_threads = 1, max_partitions_per_insert_block = 0`,
			database, h*3600, b.fleet.start/second)
		if err != nil {
			return err
		}
	}
	return settle(ctx, b.server.Endpoint())
}

// settle waits until no merge has run for three seconds.
func settle(ctx context.Context, ep chserver.Endpoint) error {
	for quiet := 0; quiet < 6; {
		n, err := benchkit.QueryUint(ctx, ep, "SELECT count() FROM system.merges")
		if err != nil {
			return err
		}
		quiet++
		if n > 0 {
			quiet = 0
		}
		if err := benchkit.Sleep(ctx, 500*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}
