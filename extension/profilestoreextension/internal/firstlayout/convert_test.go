package firstlayout

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
)

func TestMain(m *testing.M) { clickhousetest.Main(m) }

// first are the statements that made the tables of the first layout.
//
//go:embed testdata/first.sql
var first string

// fixture is a database of the first layout.
type fixture struct {
	*testing.T
	pool   *chconn.Pool
	tables schema.Options
	rnd    *rand.Rand
	// profiles and stacks are sums by what the views tell apart.
	profiles, stacks map[string][6]int64
}

// open makes a database as collectors of a version did.
func open(t *testing.T, version int) *fixture {
	e := clickhousetest.Start(t).Endpoint()
	f := &fixture{
		T: t, pool: chconn.New(chconn.Options{Endpoints: []string{e.Addr}, Username: e.Username, Password: e.Password}),
		tables:   schema.Options{Database: clickhousetest.Database(t), Retention: 20 * 365 * 24 * time.Hour, AlertRetention: time.Hour},
		rnd:      rand.New(rand.NewPCG(uint64(version), 1)),
		profiles: make(map[string][6]int64), stacks: make(map[string][6]int64),
	}
	t.Cleanup(f.pool.Close)
	f.exec("CREATE DATABASE " + f.tables.Database)
	f.exec("CREATE TABLE " + f.tables.Table("schema_migrations") + " (version UInt32, name String, applied_at DateTime('UTC') DEFAULT now())" +
		" ENGINE = ReplacingMergeTree(applied_at) ORDER BY version")
	statements, err := f.tables.Render("first", first)
	require.NoError(t, err)
	migrations, err := f.tables.Migrations()
	require.NoError(t, err)
	for _, m := range migrations[:version] {
		statements = append(statements, m.Statements...)
		statements = append(statements, fmt.Sprintf("INSERT INTO %s (version) VALUES (%d)", f.tables.Table("schema_migrations"), m.Version))
	}
	for _, s := range statements {
		f.exec(s)
	}
	return f
}

func (f *fixture) exec(sql string) {
	f.Helper()
	require.NoError(f, f.pool.Do(context.Background(), chconn.Query{Query: ch.Query{Body: sql}}), "%s", sql)
}

// base is the begin of an hour and of a week.
const base = int64(1_699_833_600)

func list[T any](vs []T) string {
	return "[" + strings.Trim(strings.ReplaceAll(fmt.Sprint(vs), " ", ","), "[]") + "]"
}

func add(to map[string][6]int64, key string, vs [6]int64) {
	sum := to[key]
	for i, v := range vs {
		sum[i] += v
	}
	to[key] = sum
}

// fill adds n profiles to an hour. Each array is there or left out at random, as
// the values allow it.
func (f *fixture) fill(hour, n int) {
	var rows []string
	for range n {
		at := (base + int64(hour)*3600) * 1_000_000_000
		at += f.rnd.Int64N(3600 * 1_000_000_000)
		service, kind, types := fmt.Sprint("s", f.rnd.IntN(2)), "heap", []string{"a/count", "a/count,b/bytes", "a/n,b/n,c/n,d/n"}[f.rnd.IntN(3)]
		if f.rnd.IntN(3) == 0 {
			kind, types = "cpu", "samples/count,cpu/nanoseconds"
		}
		width := strings.Count(types, "/")
		stacks := make([]int, 1+f.rnd.IntN(6))
		for i := range stacks {
			stacks[i] = f.rnd.IntN(10)
		}
		stacks = slices.Compact(slices.Sorted(slices.Values(stacks)))
		counts, ones := make([]uint64, len(stacks)), make([]int64, len(stacks))
		var values [4][]int64
		same, equal := uint8(0), f.rnd.IntN(2) == 0
		attributes, bounds := f.rnd.IntN(2) == 0, f.rnd.IntN(2) == 0
		var events uint64
		for i := range stacks {
			counts[i], ones[i] = f.rnd.Uint64N(5), int64(i+1)
			events += counts[i]
		}
		for k := range width {
			if k == 0 && equal {
				same |= 1
				continue
			}
			if k == 3 { // all are 0
				continue
			}
			values[k] = make([]int64, len(stacks))
			for i := range values[k] {
				values[k][i] = f.rnd.Int64N(1000) - 300
			}
		}
		syscalls, low := "[]", "[]"
		if attributes {
			syscalls = list(ones)
		}
		if bounds {
			low = list(ones)
		}
		var totals [6]int64
		for i, s := range stacks {
			sum := [6]int64{1, int64(counts[i])}
			for k := range width {
				switch {
				case values[k] != nil:
					sum[2+k] = values[k][i]
				case same>>k&1 != 0:
					sum[2+k] = int64(counts[i])
				}
				totals[2+k] += sum[2+k]
			}
			call, lo := int64(-1), "\\N"
			if attributes {
				call = ones[i]
			}
			if bounds {
				lo = fmt.Sprint(ones[i])
			}
			add(f.stacks, fmt.Sprintf("%s\t%s\t%s\t%d\t%d\t%d\t%s", service, kind, types, hour, s, call, lo), sum)
		}
		series := f.rnd.IntN(3)
		totals[0], totals[1] = 1, int64(events)
		add(f.profiles, fmt.Sprintf("%s\t%s\t%s\t%d\t%d", service, kind, types, at, series), totals)
		end := fmt.Sprintf("fromUnixTimestamp64Nano(%d, 'UTC')", at+5)
		rows = append(rows, fmt.Sprintf("('t', '%s', '%s', fromUnixTimestamp64Nano(%d, 'UTC'), %s, %d, '%s', 'p/n', 7, %d, %s, [], %s, %d, %s, %s, %s, %s, %s, %s, [], %s, [], [], now())",
			service, kind, at, end, series, types, events, list(stacks), list(counts), same,
			list(values[0]), list(values[1]), list(values[2]), list(values[3]), low, low, syscalls))
	}
	f.exec("INSERT INTO " + f.tables.Table("profiles") + " VALUES " + strings.Join(rows, ", "))
}

// text is how a table answers the same.
func text(all map[string][6]int64) string {
	lines := make([]string, 0, len(all))
	for k, s := range all {
		lines = append(lines, k+"\t"+strings.ReplaceAll(strings.Trim(fmt.Sprint(s), "[]"), " ", "\t"))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// check compares the sums, and that the tables of the first layout are gone.
func (f *fixture) check() {
	f.Helper()
	server := clickhousetest.Start(f)
	query := func(sql string) string {
		lines := strings.Split(clickhousetest.Exec(f, server, strings.ReplaceAll(sql, "db.", f.tables.Database+".")+" FORMAT TSV"), "\n")
		slices.Sort(lines)
		return strings.Join(lines, "\n")
	}
	require.Equal(f, text(f.profiles), query("SELECT service, kind, types, toUnixTimestamp64Nano(time) AS ns, series, count(), sum(events), sum(v0), sum(v1), sum(v2), sum(v3)"+
		" FROM db.chunk_profiles WHERE tenant = 't' AND period_type = 'p/n' AND period = 7 AND duration = 5 GROUP BY service, kind, types, ns, series"))
	stacks := make(map[string][6]int64)
	for k, s := range f.stacks { // which lower bounds there were is summed away
		add(stacks, k[:strings.LastIndexByte(k, '\t')], s)
	}
	require.Equal(f, text(stacks), query("SELECT service, kind, types, intDiv(toUnixTimestamp(hour) - "+fmt.Sprint(base)+", 3600) AS h, stack, syscall,"+
		" sum(profiles), sum(count), sum(v0), sum(v1), sum(v2), sum(v3) FROM db.chunk_stacks GROUP BY service, kind, types, h, stack, syscall"))
	assert.Equal(f, "0", query("SELECT count() FROM system.tables WHERE database = '"+f.tables.Database+"' AND name IN ('profiles', 'stack_hours', 'kind_hours')"))
}

func (f *fixture) options() Options {
	return Options{Tables: f.tables, MaxMemoryUsage: 256 << 20}
}

// TestEveryVersion converts databases that every version made.
func TestEveryVersion(t *testing.T) {
	for version := 1; version <= 3; version++ {
		f := open(t, version)
		require.NoError(t, schema.Migrate(t.Context(), f.pool, f.tables))
		for _, hour := range []int{0, 1, 5, 24 * 7} {
			f.fill(hour, 40)
		}
		o, progress := f.options(), []string(nil)
		o.OnProgress = func(done, all int) { progress = append(progress, fmt.Sprint(done, "/", all)) }
		require.NoError(t, Convert(t.Context(), f.pool, o))
		assert.Equal(t, []string{"0/4", "1/4", "2/4", "3/4"}, progress)
		f.check()
		require.NoError(t, Convert(t.Context(), f.pool, o))
	}
}

var errCrash = errors.New("crashed")

// crashing is a DB whose user dies at a statement: before it is sent, or before its
// answer comes.
type crashing struct {
	DB
	left     int
	answered bool
}

func (c *crashing) Do(ctx context.Context, q chconn.Query) error {
	c.left--
	if c.left > 0 {
		return c.DB.Do(ctx, q)
	}
	if c.left == 0 && c.answered {
		if err := c.DB.Do(ctx, q); err != nil {
			return err
		}
	}
	return errCrash
}

// TestCrash ends a collector at every statement and lets another one go on.
func TestCrash(t *testing.T) {
	f := open(t, 3)
	require.NoError(t, schema.Migrate(t.Context(), f.pool, f.tables))
	statements, err := f.tables.Render("first", first)
	require.NoError(t, err)
	for n := 1; ; n++ {
		for _, s := range statements {
			f.exec(s)
		}
		f.exec("TRUNCATE TABLE " + f.tables.Table("chunks"))
		clear(f.profiles)
		clear(f.stacks)
		f.fill(0, 10)
		f.fill(1, 10)
		f.fill(24*7, 10)
		// Small blocks make several inserts of an hour.
		run := func(db DB) error { return convertBlocks(t.Context(), db, f.options(), 1000) }
		err := run(&crashing{DB: f.pool, left: n, answered: n%2 == 0})
		if err == nil {
			require.Greater(t, n, 15)
			break
		}
		require.ErrorIs(t, err, errCrash)
		require.NoError(t, run(f.pool))
		f.check()
	}
}

// TestAtOnce lets several collectors convert at once, some with other limits.
func TestAtOnce(t *testing.T) {
	f := open(t, 3)
	require.NoError(t, schema.Migrate(t.Context(), f.pool, f.tables))
	for hour := range 6 {
		f.fill(hour*50, 20)
	}
	var all sync.WaitGroup
	for i := range 3 {
		all.Go(func() {
			// Who finds a table gone repeats it, as when the connection was lost.
			var err error
			for range 1000 {
				if err = convertBlocks(t.Context(), f.pool, f.options(), 1000*(i+1)); err == nil {
					return
				}
			}
			assert.NoError(t, err)
		})
	}
	all.Wait()
	f.check()
}

// TestOlderCollector: rows that come meanwhile are not dropped.
func TestOlderCollector(t *testing.T) {
	f := open(t, 3)
	require.NoError(t, schema.Migrate(t.Context(), f.pool, f.tables))
	f.fill(0, 10)
	o := f.options()
	rows := maps.Clone(f.profiles)
	o.OnProgress = func(int, int) {
		if len(f.profiles) == len(rows) {
			f.fill(1, 1)
		}
	}
	require.ErrorIs(t, Convert(t.Context(), f.pool, o), errChanged)
	require.NoError(t, Convert(t.Context(), f.pool, f.options()))
	f.check()
}

// TestDamaged: arrays that do not fit together are an error, which names them.
func TestDamaged(t *testing.T) {
	f := open(t, 3)
	require.NoError(t, schema.Migrate(t.Context(), f.pool, f.tables))
	f.exec("INSERT INTO " + f.tables.Table("profiles") + " (tenant, time, stored, types, stacks, counts, v0) VALUES ('t', now(), now(), 'a/b', [1, 2], [1, 2], [1])")
	require.ErrorContains(t, Convert(t.Context(), f.pool, f.options()), "v0 has 1 elements, stacks 2")
}
