package schema

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
)

// ErrNewer is the cause of errors that say a newer collector has changed the tables.
var ErrNewer = errors.New("schema is newer")

// Migrate creates the database and brings its tables up to date. Every
// statement is idempotent and steps only go forward, so any number of
// collectors may run it at once, and one that died half way is repeated.
func Migrate(ctx context.Context, pool *chconn.Pool, o Options) error {
	migrations, err := o.Migrations()
	if err != nil {
		return err
	}
	if err := createDatabase(ctx, pool, o); err != nil {
		return err
	}
	done, err := applied(ctx, pool, o)
	if err != nil {
		return err
	}
	for version := range done {
		if n := len(migrations); int(version) > n {
			return fmt.Errorf("%w: tables of %s are of version %d, this collector knows %d: it must be updated", ErrNewer, o.Database, version, n)
		}
	}
	for _, m := range migrations {
		if done[m.Version] {
			continue
		}
		for _, s := range m.Statements {
			if err := exec(ctx, pool, s); err != nil {
				return fmt.Errorf("apply migration %d (%s): %w", m.Version, m.Name, err)
			}
		}
		if err := record(ctx, pool, o, m); err != nil {
			return err
		}
	}
	return applyRetention(ctx, pool, o)
}

func exec(ctx context.Context, pool *chconn.Pool, sql string) error {
	return pool.Do(ctx, chconn.Query{Query: ch.Query{Body: sql}})
}

// createDatabase asks first, so that a user without the right to create
// databases can use one that is there.
func createDatabase(ctx context.Context, pool *chconn.Pool, o Options) error {
	q := chconn.Query{Query: ch.Query{Body: "SELECT count() FROM system.databases WHERE name = {name:String}"}}
	q.Params.String("name", o.Database)
	n, err := pool.UInt64(ctx, q)
	if err != nil {
		return fmt.Errorf("look for database %s: %w", o.Database, err)
	}
	if n == 0 {
		if err := exec(ctx, pool, "CREATE DATABASE IF NOT EXISTS `"+o.Database+"`"+o.onCluster()); err != nil {
			return fmt.Errorf("create database %s: %w", o.Database, err)
		}
	}
	q = chconn.Query{Query: ch.Query{Body: "SELECT count() FROM system.tables WHERE database = {name:String} AND name = 'schema_migrations'"}}
	q.Params.String("name", o.Database)
	if n, err = pool.UInt64(ctx, q); err != nil {
		return fmt.Errorf("look for table schema_migrations: %w", err)
	}
	if n > 0 {
		return nil
	}
	table := "CREATE TABLE IF NOT EXISTS " + o.Table("schema_migrations") + o.onCluster() +
		" (version UInt32, name String, applied_at DateTime('UTC') DEFAULT now())" +
		" ENGINE = " + o.engine("ReplacingMergeTree", "applied_at") + " ORDER BY version"
	if err := exec(ctx, pool, table); err != nil {
		return fmt.Errorf("create table schema_migrations: %w", err)
	}
	return nil
}

func applied(ctx context.Context, pool *chconn.Pool, o Options) (map[uint32]bool, error) {
	var version proto.ColUInt32
	done := make(map[uint32]bool)
	err := pool.Do(ctx, chconn.Query{Query: ch.Query{
		Body:   "SELECT version FROM " + o.Table("schema_migrations"),
		Result: proto.Results{{Name: "version", Data: &version}},
		OnResult: func(context.Context, proto.Block) error {
			for _, v := range version {
				done[v] = true
			}
			return nil
		},
	}})
	if err != nil {
		return nil, fmt.Errorf("read schema_migrations: %w", err)
	}
	return done, nil
}

func record(ctx context.Context, pool *chconn.Pool, o Options, m Migration) error {
	version := proto.ColUInt32{m.Version}
	var name proto.ColStr
	name.Append(m.Name)
	err := pool.Do(ctx, chconn.Query{Query: ch.Query{
		Body:     "INSERT INTO " + o.Table("schema_migrations") + " (version, name) VALUES",
		Input:    proto.Input{{Name: "version", Data: version}, {Name: "name", Data: &name}},
		Settings: []ch.Setting{chconn.Setting("async_insert", "0")},
	}})
	if err != nil {
		return fmt.Errorf("record migration %d (%s): %w", m.Version, m.Name, err)
	}
	return nil
}

// applyRetention changes the TTL of tables that were made with another one.
func applyRetention(ctx context.Context, pool *chconn.Pool, o Options) error {
	engines, err := o.engines(ctx, pool)
	if err != nil {
		return err
	}
	names := make([]string, 0, len(lifetimes))
	for name := range lifetimes {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if strings.Contains(engines[o.local(name)], o.interval(name)) {
			continue
		}
		if err := exec(ctx, pool, "ALTER TABLE "+o.local(name)+o.onCluster()+" MODIFY TTL "+o.ttl(name)); err != nil {
			return fmt.Errorf("change retention of table %s: %w", name, err)
		}
	}
	return nil
}

// engines returns the engine clause of every table of the database by its
// quoted name.
func (o Options) engines(ctx context.Context, pool *chconn.Pool) (map[string]string, error) {
	var name, engine proto.ColStr
	out := make(map[string]string)
	q := chconn.Query{Query: ch.Query{
		Body:   "SELECT name, engine_full FROM system.tables WHERE database = {name:String}",
		Result: proto.Results{{Name: "name", Data: &name}, {Name: "engine_full", Data: &engine}},
		OnResult: func(context.Context, proto.Block) error {
			for i := range name.Rows() {
				out[o.Table(name.Row(i))] = engine.Row(i)
			}
			return nil
		},
	}}
	q.Params.String("name", o.Database)
	if err := pool.Do(ctx, q); err != nil {
		return nil, fmt.Errorf("read engines of tables: %w", err)
	}
	return out, nil
}
