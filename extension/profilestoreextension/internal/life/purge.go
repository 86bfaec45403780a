package life

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktable"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// version names one of the rows of an id.
type version struct{ id, high, low uint64 }

// purge deletes for good what does not count any more.
func (k *Keeper) purge(ctx context.Context, j *job) error {
	now, err := k.now(ctx)
	if err != nil || now < j.hidden+k.opts.DeleteDelay.Milliseconds() {
		return err
	}
	lost, bytes, err := k.lost(ctx, j)
	if err != nil {
		return err
	}
	j.rowsLeft, j.bytesLeft = 0, bytes
	for _, partition := range slices.Sorted(maps.Keys(lost)) {
		rows := lost[partition]
		j.rowsLeft += uint64(len(rows))
		if !k.once("purge "+j.id+partition, uint64(len(rows))) {
			continue
		}
		if err := k.deleteVersions(ctx, partition, rows); err != nil {
			return err
		}
		k.dropped(ctx, Dropped{Reason: ByJob, Table: chunktable.Name, Rows: uint64(len(rows))})
	}
	batches, err := k.purgeBatches(ctx, j)
	if err != nil {
		return err
	}
	if j.rowsLeft += batches; j.rowsLeft == 0 {
		j.state = done
		k.forget()
	}
	return k.save(ctx, j)
}

// lost returns by partition the rows in whose place rows of the job count, and about
// how many bytes they had when they were written.
func (k *Keeper) lost(ctx context.Context, j *job) (map[string][]version, uint64, error) {
	partition := new(proto.ColStr)
	var id, bytes proto.ColUInt64
	var winner proto.ColUInt128
	nonces := proto.NewArray[proto.UInt128](new(proto.ColUInt128))
	out := make(map[string][]version)
	total := uint64(0)
	q := chconn.Query{Query: ch.Query{
		Result: proto.Results{
			{Name: "partition", Data: partition},
			{Name: "id", Data: &id},
			{Name: "winner", Data: &winner},
			{Name: "nonces", Data: nonces},
			{Name: "bytes", Data: &bytes},
		},
		OnResult: func(context.Context, proto.Block) error {
			for i := range id {
				for _, n := range nonces.Row(i) {
					if n != winner[i] {
						p := partition.Row(i)
						out[p] = append(out[p], version{id[i], n.High, n.Low})
					}
				}
				total += bytes[i]
			}
			return nil
		},
	}}
	q.Params.String("tenant", j.target.Tenant)
	q.Body = "SELECT partition, id, argMin(nonce, (written, nonce)) AS winner, groupUniqArray(nonce) AS nonces, toUInt64(sum(size)) AS bytes" +
		" FROM (SELECT CAST(_partition_id AS String) AS partition, service, kind, types, period_type, period, hour, id, nonce, written, " +
		"40 * profiles_n + 80 * entries_n + length(positions) + length(v0) + length(v1) + length(v2) + length(v3) AS size FROM " +
		k.t.name(chunktable.Name) + " WHERE tenant = {tenant:String})" +
		" GROUP BY partition, service, kind, types, period_type, period, hour, id" +
		" HAVING count() > 1 AND toUInt64(bitShiftRight(winner, 64)) = " + strconv.FormatUint(j.mark(), 10)
	if err := k.t.read(ctx, "rows of chunks that do not count", q); err != nil {
		return nil, 0, err
	}
	// Those whose winner is the same row again cannot be told apart from it.
	for p, rows := range out {
		if len(rows) == 0 {
			delete(out, p)
		}
	}
	if len(out) == 0 {
		total = 0
	}
	return out, total, nil
}

// deleteVersions deletes rows of a partition, named one by one: what is written at
// the same time stays, whatever it is.
func (k *Keeper) deleteVersions(ctx context.Context, partition string, rows []version) error {
	for part := range slices.Chunk(rows, idsPerDelete) {
		list := make([]byte, 0, 64*len(part))
		for i, v := range part {
			if i > 0 {
				list = append(list, ',')
			}
			list = fmt.Appendf(list, "(%d,%d,%d)", v.id, v.high, v.low)
		}
		err := k.t.alter(ctx, chunktable.Name, fmt.Sprintf(
			"DELETE IN PARTITION ID %s WHERE (id, toUInt64(bitShiftRight(nonce, 64)), toUInt64(bitAnd(nonce, toUInt128(18446744073709551615)))) IN (%s)",
			literalID(partition), list))
		if err != nil {
			return err
		}
	}
	return nil
}

// purgeBatches deletes the batches that were received before the cut, and returns
// how many are left. Those of a service are not known.
func (k *Keeper) purgeBatches(ctx context.Context, j *job) (uint64, error) {
	if j.target.Scope == profilestore.ScopeService {
		return 0, nil
	}
	where := "tenant = " + literal(j.target.Tenant)
	if j.target.Scope == profilestore.ScopeAgent {
		where += " AND agent_id = " + literal(j.target.Name)
	}
	where += fmt.Sprintf(" AND received_at <= fromUnixTimestamp64Milli(%d, 'UTC')", j.cut)
	n, err := k.t.number(ctx, "batches", chconn.Query{Query: ch.Query{Body: "SELECT count() FROM " + k.t.name("batches") + " WHERE " + where}})
	if err != nil || n == 0 || !k.once("batches "+j.id, n) {
		return n, err
	}
	if err := k.t.alter(ctx, "batches", "DELETE WHERE "+where); err != nil {
		return n, err
	}
	k.dropped(ctx, Dropped{Reason: ByJob, Table: "batches", Rows: n})
	return n, nil
}
