package life

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktable"
)

// owner is whose rows live equally long.
type owner struct{ tenant, service string }

// group are the rows of an owner in a partition.
type group struct {
	owner
	partition string
	level     uint8
	oldest    int64 // stored, Unix seconds
}

// sweep deletes rows that live shorter than the TTL of their table. Rows that
// others have replaced go first: a row that replaces them has the latest time of
// all, and so they are old when it is. Tenants of which a job deletes something are
// left alone until it is done, because of several rows of one id the one that counts
// must not go before the others.
func (k *Keeper) sweep(ctx context.Context, busy map[string]bool) error {
	if k.opts.Retention.uniform() {
		return nil
	}
	now, err := k.now(ctx)
	if err != nil {
		return err
	}
	now /= 1000
	groups, err := k.groups(ctx, chunktable.Name, "service, level", "service", "level")
	if err != nil {
		return err
	}
	due := k.due(groups, now, busy, func(o owner) time.Duration { return k.opts.Retention.of(o.tenant, o.service) })
	if err := k.deleteOld(ctx, chunktable.Name, due); err != nil {
		return err
	}
	if groups, err = k.groups(ctx, "batches", "tenant", "''", "toUInt8(0)"); err != nil {
		return err
	}
	due = k.due(groups, now, busy, func(o owner) time.Duration { return k.opts.Retention.ofBatches(o.tenant) })
	return k.deleteOld(ctx, "batches", due)
}

// groups lists who has rows in which partition.
func (k *Keeper) groups(ctx context.Context, table, by, service, level string) (out []group, err error) {
	tenant, services, partition := newText(), new(proto.ColStr), new(proto.ColStr)
	var levels proto.ColUInt8
	var oldest proto.ColInt64
	err = k.t.read(ctx, "ages of "+table, chconn.Query{Query: ch.Query{
		Body: "SELECT tenant, CAST(" + service + " AS String) AS s, " + level + " AS l, CAST(_partition_id AS String) AS partition, toInt64(toUnixTimestamp(min(stored))) AS oldest FROM " +
			k.t.name(table) + " GROUP BY tenant, " + by + ", partition ORDER BY tenant, s, l, partition",
		Result: proto.Results{
			{Name: "tenant", Data: tenant},
			{Name: "s", Data: services},
			{Name: "l", Data: &levels},
			{Name: "partition", Data: partition},
			{Name: "oldest", Data: &oldest},
		},
		OnResult: func(context.Context, proto.Block) error {
			for i := range levels {
				out = append(out, group{owner{tenant.Row(i), services.Row(i)}, partition.Row(i), levels[i], oldest[i]})
			}
			return nil
		},
	}})
	return out, err
}

// old is a delete: of rows of owners in a partition that were stored before a time.
type old struct {
	partition string
	before    int64 // Unix seconds
}

// due says which rows are to be deleted, of each owner those of the lowest levels
// first.
func (k *Keeper) due(groups []group, now int64, busy map[string]bool, retention func(owner) time.Duration) map[old][]owner {
	lower := make(map[owner]bool) // has old rows of levels that are replaced
	out := make(map[old][]owner)
	for _, pass := range []bool{true, false} {
		for _, g := range groups {
			if busy[g.tenant] || (g.level < chunkrow.ClosedHour) != pass {
				continue
			}
			r := retention(g.owner)
			before := now - int64(r/time.Second)
			switch {
			case g.oldest >= before:
			case pass:
				lower[g.owner] = true
				out[old{g.partition, before}] = append(out[old{g.partition, before}], g.owner)
			case !lower[g.owner] && g.oldest < before-int64(lateness(r)/time.Second):
				out[old{g.partition, before}] = append(out[old{g.partition, before}], g.owner)
			}
		}
	}
	return out
}

// ownersPerDelete bounds the length of a statement.
const ownersPerDelete = 100

func (k *Keeper) deleteOld(ctx context.Context, table string, due map[old][]owner) error {
	keys := slices.SortedFunc(maps.Keys(due), func(a, b old) int { return strings.Compare(a.partition, b.partition) })
	for _, o := range keys {
		for owners := range slices.Chunk(due[o], ownersPerDelete) {
			var list []string
			for _, w := range owners {
				item := literal(w.tenant)
				if table == chunktable.Name {
					item = "(" + item + "," + literal(w.service) + ")"
				}
				list = append(list, item)
			}
			columns := "tenant"
			if table == chunktable.Name {
				columns = "(tenant, service)"
			}
			where := fmt.Sprintf("stored < toDateTime(%d, 'UTC') AND %s IN (%s)", o.before, columns, strings.Join(list, ","))
			n, err := k.t.number(ctx, "old rows of "+table, chconn.Query{Query: ch.Query{
				Body: "SELECT count() FROM " + k.t.name(table) + " WHERE _partition_id = " + literalID(o.partition) + " AND " + where,
			}})
			if err != nil {
				return err
			}
			if n == 0 || !k.once("sweep "+table+o.partition+list[0], n) {
				continue
			}
			if err := k.t.alter(ctx, table, "DELETE IN PARTITION ID "+literalID(o.partition)+" WHERE "+where); err != nil {
				return err
			}
			k.dropped(ctx, Dropped{Reason: ByRetention, Table: table, Rows: n})
		}
	}
	return nil
}
