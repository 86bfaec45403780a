package stackdict

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// fixture is tables of their own and what is known of them.
type fixture struct {
	testing.TB
	pool   *chconn.Pool
	tables schema.Options
	rng    *rand.Rand
	// known are all stacks that were written to the log, by service.
	known map[string][]stack
	// given are all numbers that authors gave.
	given []given
	// left is how many statements there are until the process dies; 0 for never.
	left     int
	answered bool
}

type given struct {
	service    string
	dictionary uint64
	number     uint32
	stack      stack
}

var errCrash = errors.New("crashed")

const tenant = "t"

// now is in the middle of this week: other rows may be too old.
var now = time.Now().Unix()/epoch*epoch + epoch/2

func newFixture(tb testing.TB) *fixture {
	f := &fixture{TB: tb, rng: rand.New(rand.NewPCG(1, 2)), known: make(map[string][]stack)}
	e := clickhousetest.Start(tb).Endpoint()
	f.pool = chconn.New(chconn.Options{Endpoints: []string{e.Addr}, Username: e.Username, Password: e.Password})
	tb.Cleanup(f.pool.Close)
	f.tables = schema.Options{Database: clickhousetest.Database(tb), Retention: time.Hour, AlertRetention: time.Hour}
	require.NoError(tb, schema.Migrate(context.Background(), f.pool, f.tables))
	return f
}

// do runs a query, unless the process is dead by then.
func (f *fixture) do(ctx context.Context, _ string, q chconn.Query) error {
	if f.left == 0 {
		return f.pool.Do(ctx, q)
	}
	f.left--
	if f.left > 0 {
		return f.pool.Do(ctx, q)
	}
	f.left = -1 // for ever
	if f.answered {
		if err := f.pool.Do(ctx, q); err != nil {
			return err
		}
	}
	return errCrash
}

func (f *fixture) insert(ctx context.Context, table string, input proto.Input, token string) error {
	return f.do(ctx, "insert", chconn.Query{Query: ch.Query{
		Body:  "INSERT INTO " + f.tables.Table(table) + " (" + chconn.ColumnNames(input) + ") VALUES",
		Input: input,
		Settings: []ch.Setting{
			chconn.Setting("async_insert", "0"), chconn.Setting("insert_deduplicate", "1"), chconn.Setting("insert_deduplication_token", token),
		},
	}})
}

func (f *fixture) cache(bytes int64) *Cache {
	return New(Options{Tables: f.tables, Do: f.do, Bytes: bytes})
}

func (f *fixture) author() *Author { return NewAuthor(f.cache(1<<30), f.insert, 1<<30) }

func (f *fixture) exec(sql string) {
	f.Helper()
	require.NoError(f, f.pool.Do(context.Background(), chconn.Query{Query: ch.Query{Body: sql}}), "%s", sql)
}

func (f *fixture) count(table string) int {
	f.Helper()
	n, err := f.pool.UInt64(context.Background(), chconn.Query{Query: ch.Query{Body: "SELECT count() FROM " + f.tables.Table(table)}})
	require.NoError(f, err)
	return int(n)
}

// log writes stacks of a service, as the writer of profiles does.
func (f *fixture) log(service string, stacks ...stack) {
	f.Helper()
	tenants, services := proto.NewLowCardinality[string](new(proto.ColStr)), proto.NewLowCardinality[string](new(proto.ColStr))
	var ids, data proto.ColUInt128
	locations := &proto.ColArr[proto.UInt128]{Data: &data}
	var seen proto.ColDateTime
	for _, s := range stacks {
		tenants.Append(tenant)
		services.Append(service)
		ids = append(ids, layout.ID(s.id))
		for _, l := range s.locations {
			data = append(data, layout.ID(l))
		}
		locations.Offsets = append(locations.Offsets, uint64(len(data)))
		seen.Append(time.Now())
		f.known[service] = append(f.known[service], s)
	}
	input := proto.Input{
		{Name: "tenant", Data: tenants},
		{Name: "service", Data: services},
		{Name: "stack", Data: ids},
		{Name: "locations", Data: locations},
		{Name: "last_seen", Data: seen},
	}
	require.NoError(f, f.pool.Do(context.Background(), chconn.Query{Query: ch.Query{
		Body: "INSERT INTO " + f.tables.Table(Log) + " (" + chconn.ColumnNames(input) + ") VALUES", Input: input,
	}}))
}

// number asks an author for stacks and notes its answer.
func (f *fixture) number(a *Author, service string, at int64, stacks ...stack) error {
	ids := []proto.UInt128{{}}
	for _, s := range stacks {
		ids = append(ids, layout.ID(s.id))
	}
	id, numbers, err := a.Number(context.Background(), tenant, service, at, ids)
	if err != nil {
		return err
	}
	require.Len(f, numbers, len(ids))
	require.Zero(f, numbers[0], "the empty stack")
	for i, s := range stacks {
		require.NotZero(f, numbers[i+1])
		f.given = append(f.given, given{service, id, numbers[i+1], s})
	}
	return nil
}

// check resolves everything: stacks by their hashes, and all numbers.
func (f *fixture) check() {
	f.Helper()
	f.left = 0
	c := f.cache(1 << 30)
	ctx := context.Background()
	for service, stacks := range f.known {
		ids := make([]profile.ID, len(stacks))
		for i, s := range stacks {
			ids[i] = s.id
		}
		for _, name := range []string{service, ""} {
			found, err := c.Find(ctx, tenant, name, ids)
			require.NoError(f, err)
			for _, s := range stacks {
				require.Equal(f, s.locations, found[s.id], "stack %s of %q, asked for %q", s.id, service, name)
			}
		}
	}
	refs := make([]Ref, len(f.given))
	for i, g := range f.given {
		refs[i] = Ref{g.service, g.dictionary, int(g.number) + 1}
	}
	dicts, err := c.Get(ctx, tenant, refs)
	require.NoError(f, err)
	for i, g := range f.given {
		require.Equal(f, g.stack.id, dicts[i].IDs()[g.number])
		require.Equal(f, g.stack.locations, dicts[i].AppendLocations(nil, g.number))
	}
}

// some draws stacks of a service that were written.
func (f *fixture) some(service string) (out []stack) {
	for _, s := range f.known[service] {
		if f.rng.IntN(2) == 0 {
			out = append(out, s)
		}
	}
	return out
}
