package compact

import (
	"context"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktable"
)

// load reads the rows of the first jobs of tasks, in the order of the jobs. Some may be
// missing.
func (c *Compactor) load(ctx context.Context, tasks []*task) ([][]*chunkrow.Row, error) {
	found := make(map[*stored]*chunkrow.Row)
	wanted := make(map[rowID]*stored)
	keys := make([]chunkrow.Key, len(tasks))
	var ids []byte
	for i, t := range tasks {
		keys[i] = t.Key
		for _, h := range t.jobs[0].inputs {
			ids = appendID(ids, h.ID)
			wanted[rowID{t.Key, h.ID}] = h
		}
	}
	result := chunkrow.NewResult(chunkrow.All)
	q := chconn.Query{Query: ch.Query{
		Result: result.Results(),
		OnResult: func(context.Context, proto.Block) error {
			for i := range result.Rows() {
				var row chunkrow.Row
				result.Row(i, &row)
				// Of several with one id, the one that counts.
				if w := wanted[rowID{row.Key, row.ID}]; w != nil && found[w] == nil && row.Written == w.Written && row.Nonce == w.Nonce {
					found[w] = row.Clone()
				}
			}
			return nil
		},
	}}
	q.Body = "SELECT " + result.Columns() + " FROM " + c.table + " WHERE " + chunkrow.Conditions(keys, &q.Params) + " AND id IN (" + string(ids) + ")"
	if err := c.query(ctx, chunktable.Name, "rows", q); err != nil {
		return nil, err
	}
	out := make([][]*chunkrow.Row, len(tasks))
	for i, t := range tasks {
		for _, h := range t.jobs[0].inputs {
			if r := found[h]; r != nil {
				out[i] = append(out[i], r)
			}
		}
	}
	return out, nil
}
