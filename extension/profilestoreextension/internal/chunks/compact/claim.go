package compact

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktable"
)

// errLost ends a pass of which the lease is somebody else's by now.
var errLost = errors.New("the lease was lost")

// rowID is what a row is found by.
type rowID struct {
	chunkrow.Key
	id uint64
}

// attempts is how many tokens are tried for a number of which no row is there: one that
// was stored and deleted for good is remembered as stored.
const attempts = 4

// store inserts the row of a task's first job under the token of its number: of all who
// make a row of this number, only one gets it in.
func (c *Compactor) store(ctx context.Context, t *task, row *chunkrow.Row) error {
	// A compactor that is not the only one works for nothing.
	if ok, err := c.lead(ctx); err != nil {
		return err
	} else if !ok {
		return errLost
	}
	c.block.Reset()
	c.block.Append(row)
	return c.insert(ctx, chunktable.Name, c.block.Input(), chunkrow.CompactedToken(&t.Key, t.seq, t.attempt))
}

// claim finds out whose the numbers of rows are that were stored. A task whose row is
// the one that counts goes on with its next job, others end.
func (c *Compactor) claim(ctx context.Context, rows []made) error {
	if len(rows) == 0 {
		return nil
	}
	owners, err := c.owners(ctx, rows)
	if err != nil {
		return err
	}
	for i := range rows {
		m := &rows[i]
		switch owners[rowID{m.Key, m.id}] {
		case m.nonce:
			c.made(ctx, m)
			m.jobs, m.seq, m.attempt = m.jobs[1:], m.seq+1, 0
		case proto.UInt128{}:
			c.unseen(ctx, m.task)
		default:
			m.jobs = nil
		}
	}
	return nil
}

func (c *Compactor) made(ctx context.Context, m *made) {
	if c.opts.OnMade == nil {
		return
	}
	out := Made{Key: m.Key, Level: m.jobs[0].level, Rows: len(m.jobs[0].inputs), After: m.bytes, Took: m.took}
	for _, in := range m.jobs[0].inputs {
		out.Incidences += in.incidences
		out.Bytes += in.bytes
	}
	c.opts.OnMade(ctx, out)
}

// unseen decides what becomes of a task of whose number no row is there, though an
// insert of one went well. Either a row of its token was deleted: then the next round
// tries another token, and when all are used up the next pass another number. Or a
// replica answers that does not have the row yet: then another number must not be taken
// before the row would have come.
func (c *Compactor) unseen(ctx context.Context, t *task) {
	if c.opts.Lagging {
		if t.missing != t.seq {
			t.missing, t.missed = t.seq, time.Now()
		}
		if time.Since(t.missed) < c.opts.Rules.DeleteDelay {
			t.jobs, t.due = nil, t.snapshot.now+time.Minute.Milliseconds()
			return
		}
	} else if t.attempt++; t.attempt < attempts {
		return
	}
	c.failed(ctx, fmt.Errorf("store row %d of service %q, kind %q: all its tokens are those of rows that were deleted; the next number is tried",
		t.seq, t.Service, t.Kind))
	t.jobs, t.least = nil, t.seq+1
}

// owners returns the nonces of the rows that count of the numbers of rows.
func (c *Compactor) owners(ctx context.Context, rows []made) (map[rowID]proto.UInt128, error) {
	out := make(map[rowID]proto.UInt128, len(rows))
	keys := make([]chunkrow.Key, len(rows))
	var ids []byte
	for i := range rows {
		keys[i] = rows[i].Key
		ids = appendID(ids, rows[i].id)
	}
	columns := chunkrow.NewKeyColumns()
	var id proto.ColUInt64
	var nonce proto.ColUInt128
	q := chconn.Query{Query: ch.Query{
		Result: columns.Results(proto.ResultColumn{Name: "id", Data: &id}, proto.ResultColumn{Name: "nonce", Data: &nonce}),
		OnResult: func(context.Context, proto.Block) error {
			for i := range columns.Rows() {
				at := rowID{columns.Key(i), id[i]}
				if _, ok := out[at]; !ok {
					out[at] = nonce[i]
				}
			}
			return nil
		},
	}}
	q.Body = "SELECT " + columns.Select() + ", id, nonce FROM " + c.table + " WHERE " + chunkrow.Conditions(keys, &q.Params) +
		" AND level > 0 AND id IN (" + string(ids) + ") ORDER BY written, nonce"
	err := c.query(ctx, chunktable.Name, "owners", q)
	return out, err
}

// appendID appends an id to a list.
func appendID(list []byte, id uint64) []byte {
	if len(list) > 0 {
		list = append(list, ',')
	}
	return strconv.AppendUint(list, id, 10)
}
