package stackdict

import (
	"context"
	"fmt"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
)

// logTable is the log on one server.
type logTable struct {
	options schema.Options
	name    string
	table   string // name with the database, quoted
	do      Do
}

// newLogTable returns that of the server which on runs statements on; nil: of the one
// that has all tables.
func newLogTable(t *tables, on Do) *logTable {
	l := &logTable{options: t.Options, name: Log, do: on}
	if on == nil {
		l.do = t.do
	}
	if t.Cluster != "" {
		l.name += "_local"
	}
	l.table = t.Table(l.name)
	return l
}

// part is a part of the log.
type part struct {
	name, hash string
	rows       uint64
}

// parts lists those of the log.
func (t *logTable) parts(ctx context.Context) (out []part, err error) {
	var names, hashes proto.ColStr
	var rows proto.ColUInt64
	q := chconn.Query{Query: ch.Query{
		Body:   "SELECT name, hash_of_all_files AS hash, rows FROM system.parts WHERE active AND database = {database:String} AND table = {table:String}",
		Result: proto.Results{{Name: "name", Data: &names}, {Name: "hash", Data: &hashes}, {Name: "rows", Data: &rows}},
		OnResult: func(context.Context, proto.Block) error {
			for i := range names.Rows() {
				out = append(out, part{names.Row(i), hashes.Row(i), rows[i]})
			}
			return nil
		},
	}}
	q.Params.String("database", t.options.Database)
	q.Params.String("table", t.name)
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
func (t *logTable) services(ctx context.Context, parts []string) (out []drained, err error) {
	tenant, name := proto.NewLowCardinality[string](new(proto.ColStr)), proto.NewLowCardinality[string](new(proto.ColStr))
	in := proto.NewArray[string](new(proto.ColStr))
	q := chconn.Query{Query: ch.Query{
		Body: "SELECT tenant, service, groupUniqArray(CAST(_part AS String)) AS parts FROM " + t.table +
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
func (t *logTable) stacksOf(ctx context.Context, k service, parts []string) (out []sized, err error) {
	var id proto.ColUInt128
	var frames proto.ColUInt64
	q := chconn.Query{Query: ch.Query{
		Body: "SELECT stack, any(length(locations)) AS frames FROM " + t.table +
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
func (t *logTable) drop(ctx context.Context, name string) error {
	err := t.do(ctx, "drop_part", chconn.Query{Query: ch.Query{Body: "ALTER TABLE " + t.table + " DROP PART '" + name + "'"}})
	if err != nil && !ch.IsErr(err, proto.ErrNoSuchDataPart) {
		return fmt.Errorf("drop part %s of %s: %w", name, Log, err)
	}
	return nil
}
