package firstlayout

import (
	"context"
	"fmt"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktable"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// Limits of one row, and of the rows of one insert, in bytes as they are in memory.
const (
	maxProfiles   = 1 << 14
	maxRowBytes   = 32 << 20
	maxBlockBytes = 32 << 20
)

// hour converts the profiles of an hour of a partition and returns their number.
// They come in one order, so that whoever repeats it makes the same rows, and from
// one state of the table.
func (c *converter) hour(ctx context.Context, partition string, hour int64) (n uint64, err error) {
	in := newColumns()
	block := chunkrow.NewBlock()
	content := hasher{}
	insert := func() error {
		if block.Rows() == 0 {
			return nil
		}
		defer block.Reset()
		defer content.reset()
		return c.insert(ctx, block.Input(), content.sum())
	}
	add := func(row *chunkrow.Row) error {
		content.add(row.ID)
		block.Append(row)
		if block.Bytes() < c.maxBlockBytes {
			return nil
		}
		return insert()
	}
	q := chconn.Query{Query: ch.Query{
		Result: in.results,
		OnResult: func(context.Context, proto.Block) error {
			for i := range in.period {
				if err := c.rows.add(in, i, hour, add); err != nil {
					return err
				}
				n++
			}
			return nil
		},
		Settings: []ch.Setting{
			chconn.SettingInt("max_threads", 1),
			chconn.SettingInt("max_block_size", 256),
			chconn.SettingInt("max_execution_time", 0),
			chconn.SettingInt("max_memory_usage", c.opts.MaxMemoryUsage),
			chconn.SettingInt("max_bytes_before_external_sort", c.opts.MaxMemoryUsage/4),
		},
	}}
	q.Params.String("partition", partition)
	q.Params.Int("hour", hour)
	q.Body = "SELECT " + in.list + " FROM " + c.opts.Tables.Table(tables[0]) +
		" WHERE _partition_id = {partition:String} AND " + hourOf + " = {hour:Int64}" +
		" ORDER BY tenant, service, kind, types, period_type, period, time, series, end," +
		" cityHash64(stacks, attribute_sets, counts, v0, v1, v2, v3, lock_addresses, syscalls, buckets, errors)"
	c.rows.reset()
	if err := c.db.Do(ctx, q); err != nil {
		return 0, fmt.Errorf("read profiles: %w", err)
	}
	if err := c.rows.finish(add); err != nil {
		return 0, err
	}
	return n, insert()
}

// insert stores rows unless they have been.
func (c *converter) insert(ctx context.Context, input proto.Input, token profile.ID) error {
	settings := []ch.Setting{
		chconn.Setting("async_insert", "0"),
		chconn.Setting("insert_deduplicate", "1"),
		chconn.Setting("insert_deduplication_token", "first-"+chunkrow.WindowToken(token)),
		chconn.SettingInt("max_memory_usage", c.opts.MaxMemoryUsage),
	}
	err := c.db.Do(ctx, chconn.Query{Query: ch.Query{
		Body:     "INSERT INTO " + c.opts.Tables.Table(chunktable.Name) + " (" + chconn.ColumnNames(input) + ") VALUES",
		Input:    input,
		Settings: settings,
	}})
	if err != nil {
		return fmt.Errorf("write to %s: %w", chunktable.Name, err)
	}
	return nil
}
