package firstlayout

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
)

// DB is what [Convert] needs of a [chconn.Pool].
type DB interface {
	Do(ctx context.Context, q chconn.Query) error
}

// Options configure [Convert].
type Options struct {
	// Tables say where the rows are.
	Tables schema.Options
	// Everywhere runs statements on all servers that have rows of the tables; nil if
	// the servers see to that themselves.
	Everywhere DB
	// MaxMemoryUsage bounds the memory of every statement in bytes.
	MaxMemoryUsage int64
	// OnProgress is told how many hours of how many are done.
	OnProgress func(done, all int)
}

// tables are those of the first layout. The others are sums of the first.
var tables = [...]string{"profiles", "stack_hours", "kind_hours"}

// Convert moves everything to the table chunks and drops the tables of the first
// layout. It returns nil at once if they are not there.
func Convert(ctx context.Context, db DB, o Options) error {
	return convertBlocks(ctx, db, o, maxBlockBytes)
}

// convertBlocks is Convert with inserts of about that many bytes.
func convertBlocks(ctx context.Context, db DB, o Options, size int) error {
	if o.Everywhere == nil {
		o.Everywhere = db
	}
	c := &converter{db: db, opts: o, maxBlockBytes: size, rows: newRows()}
	there, err := c.there(ctx)
	if err != nil || len(there) == 0 {
		return err
	}
	for _, name := range there {
		if name != tables[0] {
			continue
		}
		weeks, err := c.weeks(ctx)
		if err == nil {
			err = c.convert(ctx, weeks)
		}
		if err != nil {
			return fmt.Errorf("convert table %s: %w", name, err)
		}
	}
	for _, name := range there {
		if err := c.drop(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

type converter struct {
	db            DB
	opts          Options
	maxBlockBytes int
	rows          *rows
}

// there returns which tables of the first layout there are.
func (c *converter) there(ctx context.Context) ([]string, error) {
	var name proto.ColStr
	var out []string
	q := chconn.Query{Query: ch.Query{
		Body: "SELECT name FROM system.tables WHERE database = {database:String} AND name IN ('" + strings.Join(tables[:], "', '") + "')" +
			" ORDER BY name = 'profiles' DESC, name",
		Result: proto.Results{{Name: "name", Data: &name}},
		OnResult: func(context.Context, proto.Block) error {
			for i := range name.Rows() {
				out = append(out, name.Row(i))
			}
			return nil
		},
	}}
	q.Params.String("database", c.opts.Tables.Database)
	if err := c.db.Do(ctx, q); err != nil {
		return nil, fmt.Errorf("look for tables of the first layout: %w", err)
	}
	return out, nil
}

// week is a partition of the table profiles.
type week struct {
	id    string
	hours []int64 // Unix hours
	rows  uint64
}

// weeks lists what is in the table profiles.
func (c *converter) weeks(ctx context.Context) ([]week, error) {
	var id proto.ColStr
	var hour proto.ColInt64
	var n proto.ColUInt64
	var out []week
	err := c.db.Do(ctx, chconn.Query{Query: ch.Query{
		Body: "SELECT CAST(_partition_id, 'String') AS id, " + hourOf + " AS h, count() AS n FROM " + c.opts.Tables.Table(tables[0]) +
			" GROUP BY id, h ORDER BY id, h",
		Result: proto.Results{{Name: "id", Data: &id}, {Name: "h", Data: &hour}, {Name: "n", Data: &n}},
		OnResult: func(context.Context, proto.Block) error {
			for i := range hour {
				if len(out) == 0 || out[len(out)-1].id != id.Row(i) {
					out = append(out, week{id: id.Row(i)})
				}
				w := &out[len(out)-1]
				w.hours, w.rows = append(w.hours, hour[i]), w.rows+n[i]
			}
			return nil
		},
	}})
	if err != nil {
		return nil, fmt.Errorf("list hours: %w", err)
	}
	return out, nil
}

// hourOf is the hour of a profile.
const hourOf = "intDiv(toUnixTimestamp64Nano(time), 3600000000000)"

var errChanged = errors.New("rows came or went meanwhile: every collector of an earlier version must be stopped")

func (c *converter) convert(ctx context.Context, weeks []week) error {
	done, all := 0, 0
	for _, w := range weeks {
		all += len(w.hours)
	}
	for _, w := range weeks {
		taken := uint64(0)
		for _, h := range w.hours {
			if c.opts.OnProgress != nil {
				c.opts.OnProgress(done, all)
			}
			n, err := c.hour(ctx, w.id, h)
			if err != nil {
				return fmt.Errorf("hour %d: %w", h, err)
			}
			taken += n
			done++
		}
		if err := c.finish(ctx, w.id, taken); err != nil {
			return fmt.Errorf("week %s: %w", w.id, err)
		}
	}
	return nil
}

// finish drops a week of which that many rows were converted.
func (c *converter) finish(ctx context.Context, id string, taken uint64) error {
	weeks, err := c.weeks(ctx)
	if err != nil {
		return err
	}
	for _, w := range weeks {
		if w.id != id {
			continue
		}
		if w.rows != taken {
			return fmt.Errorf("%w: %d of %d", errChanged, taken, w.rows)
		}
		// What it is made of are digits, by which the server names partitions.
		return c.alter(ctx, `ALTER TABLE {{ table "`+tables[0]+`" }} DROP PARTITION ID '`+id+`'`)
	}
	return nil // somebody else has dropped it
}

// drop drops a table.
func (c *converter) drop(ctx context.Context, name string) error {
	statements := `DROP TABLE IF EXISTS {{ table "` + name + `" }} SYNC`
	if c.opts.Tables.Cluster != "" {
		// The table over the others is what is looked for at the begin: it goes last.
		statements += ";\n" + `DROP TABLE IF EXISTS {{ view "` + name + `" }} SYNC`
	}
	return c.alter(ctx, statements)
}

func (c *converter) alter(ctx context.Context, script string) error {
	statements, err := c.opts.Tables.Render("conversion", script)
	if err != nil {
		return err
	}
	for _, s := range statements {
		// A server that protects large tables from being dropped does not know that
		// these are empty or summed from what was moved.
		q := chconn.Query{Query: ch.Query{Body: s, Settings: []ch.Setting{
			chconn.SettingInt("max_table_size_to_drop", 0), chconn.SettingInt("max_partition_size_to_drop", 0),
		}}}
		if err := c.opts.Everywhere.Do(ctx, q); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}
