package main

import (
	"context"
	"errors"
	"fmt"
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

func (b *bench) storeHour(context.Context) (err error) {
	f := b.fleet.hour
	if b.report.hour, err = b.load(loadCall{Dir: b.path("hour"), N: f.windows, Concurrency: 2}, f); err != nil {
		return err
	}
	return b.peak("storing OTLP")
}

func (b *bench) storePprof(context.Context) (err error) {
	f := b.fleet.pprof
	if b.report.pprof, err = b.load(loadCall{Dir: b.path("pprof"), N: f.windows, Pprof: true, Concurrency: 1}, f); err != nil {
		return err
	}
	return b.peak("storing pprof")
}

// readOTLP measures what is not the store's part of storing the hour.
func (b *bench) readOTLP(context.Context) (err error) {
	f := b.fleet.hour
	n := min(f.windows, 24)
	b.report.read, err = b.load(loadCall{Dir: b.path("hour"), N: n, Discard: true, Concurrency: 2}, f)
	return err
}

// compact waits until the hours are compacted and the replaced rows could go, and
// takes the size.
func (b *bench) compact(ctx context.Context) (err error) {
	ep := b.server.Endpoint()
	b.report.compacted, err = b.use(func() error {
		const waiting = "SELECT count() FROM " + database + ".chunks WHERE level < 2 AND id NOT IN (SELECT arrayJoin(covers) FROM " + database + ".chunks WHERE level = 2)"
		for {
			n, err := benchkit.QueryUint(ctx, ep, waiting)
			if err != nil || n == 0 {
				return err
			}
			if err := benchkit.Sleep(ctx, time.Second); err != nil {
				return err
			}
		}
	})
	if err != nil {
		return err
	}
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
	b.report.sizes, err = sizes(ctx, ep, database)
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
	out := make(map[string]uint64)
	err := benchkit.Query(ctx, ep, "SELECT table, sum(bytes_on_disk) FROM system.parts WHERE active AND database = '"+database+"' GROUP BY table", func(c []string) error {
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
