package stackdict

import (
	"context"
	"fmt"
	"slices"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
)

// Drain adds all stacks of the log to dictionaries of this week, and drops from the
// log what it has read: parts by their names, so that what came meanwhile stays. It
// returns the number of parts it dropped. now is as in [Author.Number].
//
// It does nothing on a cluster, where parts of different servers share names.
func (a *Author) Drain(ctx context.Context, now int64) (dropped int, err error) {
	t := &a.cache.tables
	if t.Cluster != "" {
		return 0, nil
	}
	parts, err := t.parts(ctx)
	if err != nil || len(parts) == 0 {
		return 0, err
	}
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = p.name
	}
	services, err := t.services(ctx, names)
	if err != nil {
		return 0, err
	}
	for _, k := range services {
		ids, err := t.stacksOf(ctx, k, names)
		if err != nil {
			return 0, err
		}
		for part := range slices.Chunk(ids, atOnce) {
			if _, _, err := a.Number(ctx, k.tenant, k.name, now, part); err != nil {
				return 0, err
			}
		}
	}
	// A name could be given again only after a restart of the server.
	after, err := t.parts(ctx)
	if err != nil {
		return 0, err
	}
	for _, p := range parts {
		if !slices.Contains(after, p) {
			continue // merged with others
		}
		if err := t.drop(ctx, p.name); err != nil {
			return dropped, err
		}
		dropped++
	}
	return dropped, nil
}

// part is a part of the log.
type part struct{ name, hash string }

// parts lists those of the log.
func (t *tables) parts(ctx context.Context) (out []part, err error) {
	var names, hashes proto.ColStr
	q := chconn.Query{Query: ch.Query{
		Body:   "SELECT name, hash_of_all_files AS hash FROM system.parts WHERE active AND database = {database:String} AND table = {table:String}",
		Result: proto.Results{{Name: "name", Data: &names}, {Name: "hash", Data: &hashes}},
		OnResult: func(context.Context, proto.Block) error {
			for i := range names.Rows() {
				out = append(out, part{names.Row(i), hashes.Row(i)})
			}
			return nil
		},
	}}
	q.Params.String("database", t.Database)
	q.Params.String("table", Log)
	if err := t.do(ctx, "stack_parts", q); err != nil {
		return nil, fmt.Errorf("list parts of %s: %w", Log, err)
	}
	return out, nil
}

// services lists whose stacks are in parts of the log.
func (t *tables) services(ctx context.Context, parts []string) (out []service, err error) {
	tenant, name := proto.NewLowCardinality[string](new(proto.ColStr)), proto.NewLowCardinality[string](new(proto.ColStr))
	q := chconn.Query{Query: ch.Query{
		Body:   "SELECT tenant, service FROM " + t.Table(Log) + " WHERE _part IN {parts:Array(String)} GROUP BY tenant, service",
		Result: proto.Results{{Name: "tenant", Data: tenant}, {Name: "service", Data: name}},
		OnResult: func(context.Context, proto.Block) error {
			for i := range tenant.Rows() {
				out = append(out, service{tenant.Row(i), name.Row(i)})
			}
			return nil
		},
	}}
	q.Params.Strings("parts", parts)
	if err := t.do(ctx, "stack_services", q); err != nil {
		return nil, fmt.Errorf("list services of %s: %w", Log, err)
	}
	return out, nil
}

// stacksOf lists the stacks of a service in parts of the log.
func (t *tables) stacksOf(ctx context.Context, k service, parts []string) (out []proto.UInt128, err error) {
	var id proto.ColUInt128
	q := chconn.Query{Query: ch.Query{
		Body: "SELECT DISTINCT stack FROM " + t.Table(Log) +
			" WHERE tenant = {tenant:String} AND service = {service:String} AND _part IN {parts:Array(String)}",
		Result: proto.Results{{Name: "stack", Data: &id}},
		OnResult: func(context.Context, proto.Block) error {
			out = append(out, id...)
			return nil
		},
	}}
	q.Params.String("tenant", k.tenant)
	q.Params.String("service", k.name)
	q.Params.Strings("parts", parts)
	if err := t.do(ctx, "stack_ids", q); err != nil {
		return nil, fmt.Errorf("list stacks of %s: %w", Log, err)
	}
	return out, nil
}

// drop drops a part of the log, if it is still there.
func (t *tables) drop(ctx context.Context, name string) error {
	err := t.do(ctx, "drop_part", chconn.Query{Query: ch.Query{Body: "ALTER TABLE " + t.Table(Log) + " DROP PART '" + name + "'"}})
	if err != nil && !ch.IsErr(err, proto.ErrNoSuchDataPart) {
		return fmt.Errorf("drop part %s of %s: %w", name, Log, err)
	}
	return nil
}
