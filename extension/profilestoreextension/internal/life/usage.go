package life

import (
	"context"
	"errors"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// usageAge is how old figures may be.
const usageAge = 10 * time.Second

// Usage implements [profilestore.Keeper]. Who asks while others have asked waits
// for their answer, also for one that there is none: a server that hangs must not
// hold up one caller after the other.
func (k *Keeper) Usage(ctx context.Context) (*profilestore.Usage, error) {
	u := &k.usage
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.last != nil && time.Since(u.took) < usageAge {
		return u.last, nil
	}
	if u.failed != nil && time.Since(u.took) < usageAge {
		return nil, u.failed
	}
	now, err := k.measure(ctx)
	if err != nil {
		if !errors.Is(ctx.Err(), context.Canceled) { // else it is the caller who is gone
			u.failed, u.took = err, time.Now()
		}
		return nil, err
	}
	u.failed = nil
	now.Dropped, now.Oldest, now.Short = u.dropped, u.oldest, u.short
	u.last, u.took = now, time.Now()
	return now, nil
}

// parts is where the server lists parts: of all shards, one replica each.
func (k *Keeper) system(table string) string {
	if c := k.t.options.Cluster; c != "" {
		return "cluster(`" + c + "`, system." + table + ")"
	}
	return "system." + table
}

// measure asks the server, which has these figures in memory.
func (k *Keeper) measure(ctx context.Context) (*profilestore.Usage, error) {
	out := &profilestore.Usage{At: time.Now().UTC()}
	name := new(proto.ColStr)
	var parts, rows, bytes proto.ColUInt64
	q := chconn.Query{Query: ch.Query{
		Body: "SELECT table, count() AS parts, sum(rows) AS r, sum(bytes_on_disk) AS b FROM " + k.system("parts") +
			" WHERE database = {database:String} AND active GROUP BY table ORDER BY table",
		Result: proto.Results{{Name: "table", Data: name}, {Name: "parts", Data: &parts}, {Name: "r", Data: &rows}, {Name: "b", Data: &bytes}},
		OnResult: func(context.Context, proto.Block) error {
			for i := range parts {
				out.Tables = append(out.Tables, profilestore.TableUsage{Table: name.Row(i), Parts: parts[i], Rows: rows[i], Bytes: bytes[i]})
			}
			return nil
		},
	}}
	q.Params.String("database", k.t.options.Database)
	if err := k.t.read(ctx, "sizes of tables", q); err != nil {
		return nil, err
	}
	disk := new(proto.ColStr)
	var free, total proto.ColUInt64
	err := k.t.read(ctx, "space of disks", chconn.Query{Query: ch.Query{
		Body:   "SELECT name, free_space AS f, total_space AS t FROM system.disks ORDER BY name",
		Result: proto.Results{{Name: "name", Data: disk}, {Name: "f", Data: &free}, {Name: "t", Data: &total}},
		OnResult: func(context.Context, proto.Block) error {
			for i := range free {
				out.Disks = append(out.Disks, profilestore.DiskUsage{Name: disk.Row(i), Free: free[i], Total: total[i]})
			}
			return nil
		},
	}})
	return out, err
}
