package compact

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktable"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktest"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
	"github.com/aperture-collector/aperture-collector/internal/chunk"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// fixture is a table of its own and what it must hold.
type fixture struct {
	testing.TB
	pool    *chconn.Pool
	tables  schema.Options
	rng     *rand.Rand
	builder chunk.Builder
	want    contents
}

// contents are single values and exemplars by everything that tells them apart.
type contents map[string]cell

type cell struct {
	values   [chunk.MaxTypes]int64
	count    uint64
	min, max int64
	n        int
}

func (c contents) add(key string, e chunk.Entry) {
	old, ok := c[key]
	if !ok {
		old.min, old.max = chunk.NoMinimum, chunk.NoMaximum
	}
	for i, v := range e.Values {
		old.values[i] += v
	}
	old.count += e.Count
	old.n++
	if e.Min <= e.Max {
		old.min, old.max = min(old.min, e.Min), max(old.max, e.Max)
	}
	c[key] = old
}

func newFixture(tb testing.TB) *fixture {
	e := clickhousetest.Start(tb).Endpoint()
	f := &fixture{
		TB:     tb,
		pool:   chconn.New(chconn.Options{Endpoints: []string{e.Addr}, Username: e.Username, Password: e.Password}),
		tables: schema.Options{Database: clickhousetest.Database(tb), Retention: 1000 * 24 * time.Hour, AlertRetention: time.Hour},
		rng:    rand.New(rand.NewPCG(1, 2)),
		want:   make(contents),
	}
	tb.Cleanup(f.pool.Close)
	require.NoError(tb, schema.Migrate(context.Background(), f.pool, f.tables))
	return f
}

func (f *fixture) exec(sql string) {
	f.Helper()
	require.NoError(f, f.pool.Do(context.Background(), chconn.Query{Query: ch.Query{Body: sql}}), "%s", sql)
}

func (f *fixture) number(sql string) int {
	f.Helper()
	n, err := f.pool.UInt64(context.Background(), chconn.Query{Query: ch.Query{Body: "SELECT assumeNotNull(toUInt64(" + sql + "))"}})
	require.NoError(f, err, "%s", sql)
	return int(n)
}

func (f *fixture) table() string { return f.tables.Table(chunktable.Name) }

// rows counts rows of a level.
func (f *fixture) rows(level uint8) int {
	return f.number("(SELECT count() FROM " + f.table() + " WHERE level = " + strconv.Itoa(int(level)) + ")")
}

// age makes all rows older.
func (f *fixture) age(d time.Duration) {
	f.exec(fmt.Sprintf("ALTER TABLE %s UPDATE written = written - INTERVAL %d MILLISECOND WHERE 1 SETTINGS mutations_sync = 2", f.table(), d.Milliseconds()))
}

func hourAgo(hours int) int64 { return (time.Now().Unix()/3600 - int64(hours)) * 3600 }

func keyOf(service string, hour int64) chunkrow.Key {
	return chunkrow.Key{
		Tenant: "t", Service: service, Kind: "cpu", Types: "samples/count,cpu/nanoseconds",
		PeriodType: "cpu/nanoseconds", Period: 10_000_000, Hour: hour,
	}
}

var tokens uint64

// row makes a row of level 0 of some profiles.
func (f *fixture) row(key chunkrow.Key) *chunkrow.Row {
	tokens++
	token := profile.ID{Hi: tokens, Lo: 1}
	types := len(key.SampleTypes())
	require.NoError(f, f.builder.Reset(types))
	pool := f.entryKeys()
	r := &chunkrow.Row{Header: chunkrow.Header{Key: key, ID: chunkrow.WindowRowID(token, &key, 0), Stored: hourAgo(0)}}
	for _, k := range pool {
		r.Keys.Append(&k)
	}
	for i := range 1 + f.rng.IntN(3) {
		r.SeriesIDs = append(r.SeriesIDs, proto.UInt128{High: uint64(i), Low: uint64(f.rng.IntN(3))})
	}
	indices := make([]uint32, len(pool))
	for i := range indices {
		indices[i] = uint32(i)
	}
	for range f.rng.IntN(5) {
		p := chunk.Profile{
			Series: uint32(f.rng.IntN(len(r.SeriesIDs))),
			Time:   (key.Hour*1000 + f.rng.Int64N(3600_000)) * 1_000_000, Duration: f.rng.Int64N(3) * 1_000_000_000,
		}
		var entries []chunk.Entry
		for i := range pool {
			if f.rng.IntN(3) == 0 {
				continue
			}
			e := chunk.Entry{Index: uint32(i), Count: uint64(f.rng.IntN(4)), Min: chunk.NoMinimum, Max: chunk.NoMaximum}
			for j := range types {
				e.Values[j] = f.rng.Int64N(20) - 5
			}
			if f.rng.IntN(4) == 0 {
				e.Min, e.Max = f.rng.Int64N(10), 10+f.rng.Int64N(10)
			}
			entries = append(entries, e)
		}
		require.NoError(f, f.builder.Add(p, entries))
		if len(pool) > 0 && f.rng.IntN(4) == 0 {
			x := chunk.Exemplar{Time: p.Time + 1, Value: f.rng.Int64N(9), SpanID: [8]byte{1, byte(f.rng.IntN(5))}}
			require.NoError(f, f.builder.AddExemplar(uint32(f.rng.IntN(len(pool))), x))
		}
	}
	c, err := f.builder.Build(indices, nil)
	require.NoError(f, err)
	r.Columns = *c.Columns()
	r.Profiles, r.Entries = uint32(c.Profiles()), uint32(len(pool))
	r.First, r.Last = key.Hour*1e9, key.Hour*1e9
	for i := range c.Profiles() {
		p := c.Profile(i)
		if i == 0 {
			r.First, r.Last = p.Time, p.Time+p.Duration
		}
		r.First, r.Last = min(r.First, p.Time), max(r.Last, p.Time+p.Duration)
		r.Events += c.Events(i)
	}
	return r.Clone()
}

// entryKeys draws some of a few.
func (f *fixture) entryKeys() []chunkrow.EntryKey {
	var out []chunkrow.EntryKey
	plain := f.rng.IntN(2) == 0
	for i := range 12 {
		if f.rng.IntN(3) == 0 {
			continue
		}
		k := chunkrow.EntryKey{Stack: stackID(i), Syscall: layout.NoSyscall}
		if !plain && i%3 == 0 {
			k.Set, k.Lock, k.Syscall, k.Bucket, k.Error = profile.ID{Lo: uint64(i)}, uint64(i%2), int64(i), uint8(i), uint8(i%2)
		}
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b chunkrow.EntryKey) int { return a.Compare(&b) })
	return out
}

// stackLocations are those of one of the stacks.
func stackLocations(i int) []profile.ID { return []profile.ID{{Lo: uint64(i)}, {Hi: uint64(i / 5)}} }

func stackID(i int) profile.ID {
	id, _ := profile.StackID(stackLocations(i), nil)
	return id
}

// log stores the stacks of rows of a service, as windows do before their rows.
func (f *fixture) log(service string) {
	f.Helper()
	values := make([]string, 12)
	for i := range values {
		locations := stackLocations(i)
		values[i] = fmt.Sprintf("('t', '%s', %s, [%s, %s], now())", service, number(stackID(i)), number(locations[0]), number(locations[1]))
	}
	f.exec("INSERT INTO " + f.tables.Table("stacks") + " (tenant, service, stack, locations, last_seen) VALUES " + strings.Join(values, ", "))
}

// number writes an id as SQL has it.
func number(id profile.ID) string {
	return new(big.Int).SetBytes(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, id.Hi), id.Lo)).String()
}

// write stores rows in one insert, as a window does.
func (f *fixture) write(rows ...*chunkrow.Row) {
	f.Helper()
	tokens++
	c := New(f.pool, Options{Tables: f.tables})
	for _, r := range rows {
		c.block.Append(r)
	}
	require.NoError(f, c.insert(context.Background(), chunktable.Name, c.block.Input(), fmt.Sprintf("window-%d", tokens)))
}

// add stores n rows of a key, each in an insert of its own, and expects them.
func (f *fixture) add(key chunkrow.Key, n int) []*chunkrow.Row {
	f.Helper()
	rows := make([]*chunkrow.Row, n)
	for i := range rows {
		rows[i] = f.row(key)
		f.spell(rows[i], f.want)
	}
	half := n / 2
	f.write(rows[:half]...)
	f.write(rows[half:]...)
	return rows
}

// spell adds what is in a row.
func (f *fixture) spell(r *chunkrow.Row, to contents) {
	c, err := r.Chunk()
	require.NoError(f, err)
	var reader chunk.Reader
	require.NoError(f, reader.Verify(c))
	name := func(profile int, entry uint32) string {
		p := c.Profile(profile)
		return fmt.Sprint(r.Key, r.SeriesIDs[p.Series], p.Time, p.Duration, r.Keys.At(int(entry)))
	}
	require.NoError(f, reader.Profiles(c, nil, func(i int, entries []chunk.Entry) error {
		p := c.Profile(i)
		to.add(fmt.Sprint("profile", r.Key, r.SeriesIDs[p.Series], p.Time, p.Duration), chunk.Entry{Min: 1})
		for _, e := range entries {
			to.add(name(i, e.Index), e)
		}
		return nil
	}))
	require.NoError(f, c.EachExemplar(func(at chunk.Place, x *chunk.Exemplar) error {
		to.add(fmt.Sprint("exemplar", name(int(at.Profile), at.Entry), *x), chunk.Entry{Min: 1})
		return nil
	}))
}

// check compares the table with what it must hold.
func (f *fixture) check() {
	f.Helper()
	result := chunkrow.NewResult(chunkrow.All)
	var rows []*chunkrow.Row
	require.NoError(f, f.pool.Do(context.Background(), chconn.Query{Query: ch.Query{
		Body:   "SELECT " + result.Columns() + " FROM " + f.table(),
		Result: result.Results(),
		OnResult: func(context.Context, proto.Block) error {
			for i := range result.Rows() {
				var r chunkrow.Row
				result.Row(i, &r)
				rows = append(rows, r.Clone())
			}
			return nil
		},
	}}))
	chunktest.Spell(f, f.pool, f.tables, rows)
	got := make(contents)
	for i, ok := range chunkrow.Visible(rows) {
		if ok {
			f.spell(rows[i], got)
		}
	}
	if !maps.Equal(f.want, got) {
		assert.Equal(f, len(f.want), len(got))
		for k, v := range f.want {
			require.Equal(f, v, got[k], "%s", k)
		}
		for k := range got {
			require.Contains(f, f.want, k)
		}
	}
}

// quick are rules under which little is waited for.
var quick = Rules{MinRows: 5, Quiet: time.Millisecond, Latest: time.Millisecond}

// compactor returns one that never fails, with a lease of its own.
func (f *fixture) compactor(db DB, rules Rules) *Compactor {
	c := New(db, Options{
		Tables: f.tables, Rules: rules, Holder: "test",
		OnError: func(_ context.Context, err error) { f.Errorf("compact: %v", err) },
	})
	c.renew = time.Now().Add(time.Hour)
	return c
}

// pass lets a compactor work until nothing is due.
func (f *fixture) passes(c *Compactor, n int) {
	f.Helper()
	for range n {
		require.NoError(f, c.Pass(context.Background()))
	}
}

// snapshotOf reads the rows of a key.
func snapshotOf(c *Compactor, k chunkrow.Key) (*snapshot, error) {
	all, err := c.snapshots(context.Background(), []*known{{candidate: candidate{Key: k}}})
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// makeOne makes a row of that number, and reports whether it is the one that counts.
func makeOne(c *Compactor, k chunkrow.Key, s *snapshot, j job, seq uint32) (ours bool, err error) {
	c.opts.OnMade = func(context.Context, Made) { ours = true }
	err = c.make(context.Background(), []*task{{known: &known{candidate: candidate{Key: k}, full: make(map[uint64]bool)}, snapshot: s, jobs: []job{j}, seq: seq}})
	return ours, err
}

// settled waits until the deletes that were asked for are done.
func (f *fixture) settled() {
	f.Helper()
	require.Eventually(f, func() bool {
		return f.number("(SELECT count() FROM system.mutations WHERE NOT is_done AND database = '"+f.tables.Database+"')") == 0
	}, time.Minute, 20*time.Millisecond)
}
