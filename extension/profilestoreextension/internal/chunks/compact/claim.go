package compact

import (
	"context"
	"strconv"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktable"
)

// rowID is what a row is found by.
type rowID struct {
	chunkrow.Key
	id uint64
}

// claim stores the rows of the block. Of those of one number, which somebody else may
// have stored at the same time, the first counts: a task whose row is that one goes on
// with its next job, and others end.
func (c *Compactor) claim(ctx context.Context, block []made, begin time.Time) error {
	if len(block) == 0 {
		return nil
	}
	nonces := make([]proto.UInt128, len(block))
	for i := range block {
		nonces[i] = block[i].header.Nonce
	}
	if err := c.insert(ctx, chunktable.Name, c.block.Input(), chunkrow.CompactedToken(nonces)); err != nil {
		return err
	}
	owners, err := c.owners(ctx, block)
	if err != nil {
		return err
	}
	took := time.Since(begin) / time.Duration(len(block))
	for i := range block {
		m := &block[i]
		// There is none if a replica answers that does not have it yet, or if the
		// tables have been lost.
		if owners[rowID{m.Key, m.header.ID}] != m.header.Nonce {
			m.jobs = nil
			continue
		}
		if c.opts.OnMade != nil {
			out := Made{Key: m.Key, Level: m.header.Level, Rows: len(m.jobs[0].inputs), After: m.bytes, Took: took}
			for _, in := range m.jobs[0].inputs {
				out.Incidences += in.incidences
				out.Bytes += in.bytes
			}
			c.opts.OnMade(ctx, out)
		}
		m.jobs, m.seq = m.jobs[1:], m.seq+1
	}
	return nil
}

// owners returns the nonces of the rows that count of the numbers of those in a block.
func (c *Compactor) owners(ctx context.Context, block []made) (map[rowID]proto.UInt128, error) {
	out := make(map[rowID]proto.UInt128, len(block))
	keys := make([]chunkrow.Key, len(block))
	var ids []byte
	for i := range block {
		keys[i] = block[i].Key
		ids = appendID(ids, block[i].header.ID)
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
