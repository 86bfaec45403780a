package stackdict

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// Drain adds all stacks of the log to dictionaries of this week, and drops from the
// log what it has read: parts by their names, so that what came meanwhile stays. It
// returns the number of parts it dropped. now is as in [Author.Number].
//
// What cannot be added for a service is told, and does not hold up others: only the
// parts that it is in are kept.
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
	var errs []error
	kept := make(map[string]bool)
	for _, k := range services {
		err := a.drain(ctx, k.service, names, now)
		if err == nil {
			continue
		}
		if ctx.Err() != nil || errors.Is(err, profilestore.ErrUnavailable) {
			return 0, err
		}
		errs = append(errs, err)
		for _, name := range k.parts {
			kept[name] = true
		}
	}
	// A name could be given again only after a restart of the server.
	after, err := t.parts(ctx)
	if err != nil {
		return 0, errors.Join(append(errs, err)...)
	}
	for _, p := range parts {
		if kept[p.name] || !slices.Contains(after, p) {
			continue // or it was merged with others
		}
		if err := t.drop(ctx, p.name); err != nil {
			return dropped, errors.Join(append(errs, err)...)
		}
		dropped++
	}
	return dropped, errors.Join(errs...)
}

// drain adds the stacks of a service that are in parts of the log to dictionaries.
func (a *Author) drain(ctx context.Context, k service, parts []string, now int64) error {
	stacks, err := a.cache.tables.stacksOf(ctx, k, parts)
	if err != nil {
		return err
	}
	for len(stacks) > 0 {
		var ids []proto.UInt128
		for frames := 0; len(ids) < len(stacks) && (len(ids) == 0 || frames+stacks[len(ids)].frames <= atOnce); {
			frames += stacks[len(ids)].frames
			ids = append(ids, stacks[len(ids)].id)
		}
		stacks = stacks[len(ids):]
		if _, _, err := a.Number(ctx, k.tenant, k.name, now, ids); err != nil {
			return err
		}
	}
	return nil
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

// drained is a service and the parts that have stacks of it.
type drained struct {
	service
	parts []string
}

// services lists whose stacks are in parts of the log.
func (t *tables) services(ctx context.Context, parts []string) (out []drained, err error) {
	tenant, name := proto.NewLowCardinality[string](new(proto.ColStr)), proto.NewLowCardinality[string](new(proto.ColStr))
	in := proto.NewArray[string](new(proto.ColStr))
	q := chconn.Query{Query: ch.Query{
		Body: "SELECT tenant, service, groupUniqArray(CAST(_part AS String)) AS parts FROM " + t.Table(Log) +
			" WHERE _part IN {parts:Array(String)} GROUP BY tenant, service",
		Result: proto.Results{{Name: "tenant", Data: tenant}, {Name: "service", Data: name}, {Name: "parts", Data: in}},
		OnResult: func(context.Context, proto.Block) error {
			for i := range tenant.Rows() {
				out = append(out, drained{service{tenant.Row(i), name.Row(i)}, in.Row(i)})
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

// sized is a stack by its id, and how many frames it has.
type sized struct {
	id     proto.UInt128
	frames int
}

// stacksOf lists the stacks of a service in parts of the log.
func (t *tables) stacksOf(ctx context.Context, k service, parts []string) (out []sized, err error) {
	var id proto.ColUInt128
	var frames proto.ColUInt64
	q := chconn.Query{Query: ch.Query{
		Body: "SELECT stack, any(length(locations)) AS frames FROM " + t.Table(Log) +
			" WHERE tenant = {tenant:String} AND service = {service:String} AND _part IN {parts:Array(String)} GROUP BY stack",
		Result: proto.Results{{Name: "stack", Data: &id}, {Name: "frames", Data: &frames}},
		OnResult: func(context.Context, proto.Block) error {
			for i, n := range frames {
				out = append(out, sized{id[i], int(n)})
			}
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
