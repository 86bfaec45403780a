package life

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktable"
)

// Limits bound what the tables take. 0 is none.
type Limits struct {
	// MaxBytes is the most bytes of all tables on disk, MinFree the fewest that are
	// to be free on the fullest disk.
	MaxBytes, MinFree int64
}

// hourSize is about what the rows of an hour in a partition take.
type hourSize struct {
	partition string
	level     uint8
	hour      int64
	rows      uint64
	bytes     int64
}

// limit drops the oldest hours while the tables take too much, never the newest.
func (k *Keeper) limit(ctx context.Context) error {
	if k.opts.Limits == (Limits{}) {
		return nil
	}
	excess, free, err := k.excess(ctx)
	if err != nil {
		return err
	}
	if excess <= 0 {
		k.note("", 0, false)
		return nil
	}
	// What was asked for before is done first.
	working, err := k.working(ctx)
	if err != nil || working {
		return err
	}
	sizes, err := k.hourSizes(ctx)
	if err != nil {
		return err
	}
	last, found := oldest(sizes, excess)
	if !found {
		k.note(fmt.Sprintf("%d bytes too many are stored, and there is nothing older than the newest hour", excess), 0, false)
		return nil
	}
	k.note("", last+3600, true)
	return k.dropUntil(ctx, sizes, last, free)
}

// note keeps for [Keeper.Usage] what was done.
func (k *Keeper) note(short string, oldest int64, dropped bool) {
	u := &k.usage
	u.mu.Lock()
	defer u.mu.Unlock()
	u.short = short
	if dropped {
		u.dropped, u.oldest = time.Now().UTC(), time.Unix(oldest, 0).UTC()
	}
	u.last, u.failed = nil, nil
}

// excess returns how many bytes are too many, and how many are free on the fullest
// disk. Parts that the server has not deleted yet count as deleted.
func (k *Keeper) excess(ctx context.Context) (excess, free int64, err error) {
	u, err := k.measure(ctx)
	if err != nil {
		return 0, 0, err
	}
	free = int64(1) << 62
	for _, d := range u.Disks {
		free = min(free, int64(min(d.Free, 1<<62)))
	}
	leaving, err := k.numberOf(ctx, "sum(bytes_on_disk)", "parts", "NOT active")
	if err != nil {
		return 0, 0, err
	}
	free += int64(leaving)
	if l := k.opts.Limits.MaxBytes; l > 0 {
		excess = int64(u.Bytes()) - l
	}
	if l := k.opts.Limits.MinFree; l > 0 {
		excess = max(excess, l-free)
	}
	return excess, free, nil
}

func (k *Keeper) numberOf(ctx context.Context, what, table, where string) (uint64, error) {
	q := chconn.Query{Query: ch.Query{
		Body: "SELECT toUInt64(" + what + ") FROM " + k.system(table) + " WHERE database = {database:String} AND " + where,
	}}
	q.Params.String("database", k.t.options.Database)
	return k.t.number(ctx, table, q)
}

// working reports whether rows are being deleted.
func (k *Keeper) working(ctx context.Context) (bool, error) {
	n, err := k.numberOf(ctx, "count()", "mutations", "NOT is_done AND command LIKE '%DELETE%'")
	return n > 0, err
}

// hourSizes returns the sizes of all hours, the oldest first. Rows take as much of a
// partition as their numbers of profiles and entries say.
func (k *Keeper) hourSizes(ctx context.Context) (out []hourSize, err error) {
	partitions, err := k.partitionBytes(ctx)
	if err != nil {
		return nil, err
	}
	partition := new(proto.ColStr)
	var level proto.ColUInt8
	var hour proto.ColInt64
	var rows, weight proto.ColUInt64
	weights := make(map[string]float64)
	var own []float64
	err = k.t.read(ctx, "sizes of hours", chconn.Query{Query: ch.Query{
		Body: "SELECT CAST(_partition_id AS String) AS partition, level, toInt64(toUnixTimestamp(hour)) AS at, count() AS n, sum(64 + toUInt64(profiles_n) * 8 + toUInt64(entries_n) * 16) AS w FROM " +
			k.t.name(chunktable.Name) + " GROUP BY partition, level, hour ORDER BY at, level, partition",
		Result: proto.Results{
			{Name: "partition", Data: partition}, {Name: "level", Data: &level}, {Name: "at", Data: &hour}, {Name: "n", Data: &rows}, {Name: "w", Data: &weight},
		},
		OnResult: func(context.Context, proto.Block) error {
			for i := range rows {
				out = append(out, hourSize{partition: partition.Row(i), level: level[i], hour: hour[i], rows: rows[i]})
				own = append(own, float64(weight[i]))
				weights[partition.Row(i)] += float64(weight[i])
			}
			return nil
		},
	}})
	for i := range out {
		s := &out[i]
		s.bytes = int64(float64(partitions[s.partition]) * own[i] / weights[s.partition])
	}
	return out, err
}

func (k *Keeper) partitionBytes(ctx context.Context) (map[string]uint64, error) {
	id := new(proto.ColStr)
	var bytes proto.ColUInt64
	out := make(map[string]uint64)
	table := chunktable.Name
	if k.t.options.Cluster != "" {
		table += "_local"
	}
	q := chconn.Query{Query: ch.Query{
		Body: "SELECT partition_id AS id, sum(bytes_on_disk) AS b FROM " + k.system("parts") +
			" WHERE database = {database:String} AND table = {table:String} AND active GROUP BY id",
		Result: proto.Results{{Name: "id", Data: id}, {Name: "b", Data: &bytes}},
		OnResult: func(context.Context, proto.Block) error {
			for i := range bytes {
				out[id.Row(i)] = bytes[i]
			}
			return nil
		},
	}}
	q.Params.String("database", k.t.options.Database)
	q.Params.String("table", table)
	return out, k.t.read(ctx, "sizes of partitions", q)
}

// oldest returns the last of the oldest hours that together have so many bytes, or
// else the last before the newest.
func oldest(sizes []hourSize, bytes int64) (last int64, found bool) {
	if len(sizes) == 0 {
		return 0, false
	}
	newest := sizes[len(sizes)-1].hour
	for _, s := range sizes {
		if s.hour == newest || found && bytes <= 0 && s.hour > last {
			break
		}
		last, found = s.hour, true
		bytes -= s.bytes
	}
	return last, found
}

// dropUntil drops all rows of hours until last: partitions that have nothing else as
// a whole, which takes nothing and frees space at once. Of others the rows are
// deleted, for which the server writes what stays again: where there is no room for
// that, the whole partition goes, unless it has the newest hour. Rows that replace
// others go last, and what they replaced must not come back.
func (k *Keeper) dropUntil(ctx context.Context, sizes []hourSize, last, free int64) error {
	type content struct {
		level       uint8
		rows, going uint64
		bytes, last int64
		newest      bool
		whole       bool
	}
	contents := make(map[string]*content)
	newest := sizes[len(sizes)-1].hour
	for _, s := range sizes {
		c := contents[s.partition]
		if c == nil {
			c = &content{level: s.level}
			contents[s.partition] = c
		}
		c.rows += s.rows
		c.bytes += s.bytes
		c.last = max(c.last, s.hour)
		c.newest = c.newest || s.hour == newest
		if s.hour <= last {
			c.going += s.rows
		}
	}
	for _, c := range contents {
		c.whole = c.going > 0 && (c.going == c.rows || c.bytes >= free && !c.newest)
	}
	replaced := make(map[int64]bool) // what of these hours others replace
	for _, s := range sizes {
		if s.level >= chunkrow.ClosedHour && s.hour > last && contents[s.partition].whole {
			replaced[s.hour] = true
		}
	}
	for _, s := range sizes {
		if s.level < chunkrow.ClosedHour && replaced[s.hour] {
			contents[s.partition].whole = true
		}
	}
	var ids []string
	for id, c := range contents {
		if c.going > 0 || c.whole {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b string) int {
		if x, y := contents[a].level, contents[b].level; x != y {
			return int(x) - int(y)
		}
		return slices.Compare([]byte(a), []byte(b))
	})
	for _, id := range ids {
		c := contents[id]
		command, rows, until := "DROP PARTITION ID "+literalID(id), c.rows, max(c.last, last)
		if !c.whole {
			rows, until = c.going, last
			command = fmt.Sprintf("DELETE IN PARTITION ID %s WHERE hour <= toDateTime(%d, 'UTC')", literalID(id), last)
			if c.level < chunkrow.ClosedHour {
				// Nothing of a higher level may go before it is done.
				command += " SETTINGS mutations_sync = 1"
			}
		}
		if err := k.t.alter(ctx, chunktable.Name, command); err != nil {
			return err
		}
		k.dropped(ctx, Dropped{Reason: ByLimit, Table: chunktable.Name, Rows: rows, Until: time.Unix(until+3600, 0).UTC()})
	}
	return nil
}
