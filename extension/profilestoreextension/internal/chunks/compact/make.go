package compact

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktable"
)

// make makes one row. It returns false if the state is another one by now.
func (c *Compactor) make(ctx context.Context, k *known, s *snapshot, j job, seq uint32) (bool, error) {
	begin := time.Now()
	rows, err := c.load(ctx, &k.Key, j.inputs)
	if err != nil || len(rows) < len(j.inputs) {
		return false, err
	}
	row, err := c.merger.Merge(rows)
	var damaged *DamagedError
	if errors.As(err, &damaged) {
		// They stay as they are; the others are compacted without them.
		for _, id := range damaged.IDs {
			k.damaged[id] = true
		}
		c.failed(ctx, err)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	row.Level, row.Seq, row.ID, row.Nonce = j.level, seq, chunkrow.CompactedRowID(&k.Key, seq), chunkrow.NewNonce()
	// What the row replaces was there when the snapshot was taken. It must not be
	// stored so late that others may have replaced and deleted that since.
	ctx, cancel := context.WithDeadlineCause(ctx, s.taken.Add(c.opts.Rules.DeleteDelay/2), errLate)
	defer cancel()
	if j.level == chunkrow.ClosedHour {
		if err := c.number(ctx, row, s.now); err != nil {
			return false, err
		}
		c.closed()
	}
	ok, err := c.claim(ctx, row)
	if err != nil || !ok {
		return false, err
	}
	if c.opts.OnMade != nil {
		m := Made{Key: k.Key, Level: j.level, Rows: len(rows), After: int64(row.Bytes()), Took: time.Since(begin)}
		for _, in := range j.inputs {
			m.Incidences += in.incidences
			m.Bytes += in.bytes
		}
		c.opts.OnMade(ctx, m)
	}
	return true, nil
}

var errLate = errors.New("compaction took too long")

// load reads rows, in the order of the headers. Some may be missing.
func (c *Compactor) load(ctx context.Context, k *chunkrow.Key, headers []*stored) ([]*chunkrow.Row, error) {
	result := chunkrow.NewResult(chunkrow.All)
	found := make(map[uint64]*chunkrow.Row, len(headers))
	wanted := make(map[uint64]*stored, len(headers))
	list := make([]byte, 0, 21*len(headers))
	for i, h := range headers {
		if i > 0 {
			list = append(list, ',')
		}
		list = strconv.AppendUint(list, h.ID, 10)
		wanted[h.ID] = h
	}
	q := chconn.Query{Query: ch.Query{
		Result: result.Results(),
		OnResult: func(context.Context, proto.Block) error {
			for i := range result.Rows() {
				var row chunkrow.Row
				result.Row(i, &row)
				// Of several with one id, the one that counts.
				if w := wanted[row.ID]; w != nil && found[row.ID] == nil && row.Written == w.Written && row.Nonce == w.Nonce {
					found[row.ID] = row.Clone()
				}
			}
			return nil
		},
	}}
	q.Body = "SELECT " + result.Columns() + " FROM " + c.table + " WHERE " + k.Condition(&q.Params) + " AND id IN (" + string(list) + ")"
	if err := c.query(ctx, chunktable.Name, "rows", q); err != nil {
		return nil, err
	}
	out := make([]*chunkrow.Row, 0, len(headers))
	for _, h := range headers {
		if r := found[h.ID]; r != nil {
			out = append(out, r)
		}
	}
	return out, nil
}

// attempts is how many tokens are tried for a number whose row is not there: one
// that was stored and deleted for good is remembered as stored.
const attempts = 4

// claim stores a row unless another of its number is there, and reports whether it
// is ours that counts.
func (c *Compactor) claim(ctx context.Context, row *chunkrow.Row) (bool, error) {
	c.block.Reset()
	c.block.Append(row)
	for attempt := range uint32(attempts) {
		token := chunkrow.CompactedToken(&row.Key, row.Seq, attempt)
		if err := c.insert(ctx, chunktable.Name, c.block.Input(), token); err != nil {
			return false, err
		}
		owner, err := c.owner(ctx, row)
		if err != nil || owner == row.Nonce {
			return err == nil, err
		}
		if owner != (proto.UInt128{}) || c.opts.Lagging {
			return false, nil
		}
	}
	return false, nil
}

// owner returns the nonce of the row that counts of those of a number, 0 if there
// is none.
func (c *Compactor) owner(ctx context.Context, row *chunkrow.Row) (owner proto.UInt128, err error) {
	var nonce proto.ColUInt128
	q := chconn.Query{Query: ch.Query{
		Result: proto.Results{{Name: "nonce", Data: &nonce}},
		OnResult: func(context.Context, proto.Block) error {
			if len(nonce) > 0 {
				owner = nonce[0]
			}
			return nil
		},
	}}
	q.Body = "SELECT nonce FROM " + c.table + " WHERE " + row.Condition(&q.Params) +
		" AND level > 0 AND seq = " + strconv.FormatUint(uint64(row.Seq), 10) +
		" ORDER BY written, nonce LIMIT 1"
	err = c.query(ctx, chunktable.Name, "owner", q)
	return owner, err
}
