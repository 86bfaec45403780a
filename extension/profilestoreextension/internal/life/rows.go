package life

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktable"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/stackdict"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// headers reads all rows of a key with their covers and series. Rows of one id are
// in the order that decides which of them counts.
func (e *eraser) headers(ctx context.Context, k *chunkrow.Key) ([]*chunkrow.Row, error) {
	var q chconn.Query
	rows, err := e.rows(ctx, "headers", k.Condition(&q.Params), q, chunkrow.Covers|chunkrow.Series)
	slices.SortStableFunc(rows, func(a, b *chunkrow.Row) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Written, b.Written),
			cmp.Compare(a.Nonce.High, b.Nonce.High), cmp.Compare(a.Nonce.Low, b.Nonce.Low))
	})
	return rows, err
}

// load reads a row completely.
func (e *eraser) load(ctx context.Context, r *chunkrow.Row) (*chunkrow.Row, error) {
	var q chconn.Query
	where := r.Condition(&q.Params) + fmt.Sprintf(" AND level = %d AND id = %d AND toUnixTimestamp64Milli(written) = %d", r.Level, r.ID, r.Written)
	rows, err := e.rows(ctx, "row", where, q, chunkrow.All)
	if err != nil {
		return nil, err
	}
	// A repeated insert may have brought a row twice; one is as good as the other.
	for _, row := range rows {
		if row.Nonce == r.Nonce {
			return row, e.spell(ctx, row)
		}
	}
	return nil, fmt.Errorf("read row %016x: %w: it is gone", r.ID, profilestore.ErrUnavailable)
}

// spell fills in the hashes of stacks of a row that has numbers for them: what is
// left of it has no dictionary.
func (e *eraser) spell(ctx context.Context, row *chunkrow.Row) error {
	if row.Dictionary == 0 {
		return nil
	}
	found, err := e.dicts.Get(ctx, row.Tenant, []stackdict.Ref{{Service: row.Service, ID: row.Dictionary, Stacks: row.Stacks()}})
	if err == nil {
		err = row.Spell(found[0].IDs())
	}
	if err != nil {
		return fmt.Errorf("read row %016x: %w", row.ID, err)
	}
	row.Dictionary, row.Dense = 0, nil
	return nil
}

func (e *eraser) rows(ctx context.Context, what, where string, q chconn.Query, fields chunkrow.Fields) (out []*chunkrow.Row, err error) {
	result := chunkrow.NewResult(fields)
	q.Query = ch.Query{
		Body:   "SELECT " + result.Columns() + " FROM " + e.t.name(chunktable.Name) + " WHERE " + where,
		Result: result.Results(),
		OnResult: func(context.Context, proto.Block) error {
			for i := range result.Rows() {
				var row chunkrow.Row
				result.Row(i, &row)
				out = append(out, row.Clone())
			}
			return nil
		},
	}
	return out, e.t.read(ctx, what+" of chunks", q)
}
