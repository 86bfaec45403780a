package chunkreader

import (
	"context"
	"fmt"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/stackdict"
)

// numbered spells out stacks of rows that have numbers instead of hashes. Rows
// whose dictionary is not known yet wait until the query that found them is over:
// one that waits for another could wait for its connection, too.
type numbered struct {
	*Reader
	scan *scan
	held *held
	rows []*chunkrow.Row
}

// later spells out a row, or keeps a copy and returns true.
func (n *numbered) later(row *chunkrow.Row) (waits bool, err error) {
	if len(row.Dense) == 0 {
		return false, nil
	}
	d := n.base.Dictionaries().Known(n.scan.tenant, n.ref(row))
	if d == nil || row.Spell(d.IDs()) != nil {
		// Its stacks take 16 bytes each once they are spelled out.
		if err := n.held.take(row.Bytes() + 16*len(row.Dense)); err != nil {
			return false, err
		}
		n.rows = append(n.rows, row.Clone())
		return true, nil
	}
	return false, nil
}

func (n *numbered) ref(row *chunkrow.Row) stackdict.Ref {
	service := n.scan.service
	if service == "" {
		service = row.Service
	}
	return stackdict.Ref{Service: service, ID: row.Dictionary, Stacks: row.Stacks()}
}

// each calls f with the rows that waited.
func (n *numbered) each(ctx context.Context, f func(*chunkrow.Row) error) error {
	if len(n.rows) == 0 {
		return nil
	}
	refs := make([]stackdict.Ref, len(n.rows))
	for i, row := range n.rows {
		refs[i] = n.ref(row)
	}
	dicts, err := n.base.Dictionaries().Get(ctx, n.scan.tenant, refs)
	if err != nil {
		return fmt.Errorf("read chunks: %w", err)
	}
	for i, row := range n.rows {
		n.rows[i] = nil
		if err := row.Spell(dicts[i].IDs()); err != nil {
			return fmt.Errorf("row %016x: %w", row.ID, err)
		}
		if err := f(row); err != nil {
			return err
		}
	}
	return nil
}

// loadDictionaries reads those of rows before the rows, of which many need few.
func (g *gathering) loadDictionaries(ctx context.Context, rows []*chunkrow.Row) error {
	seen := make(map[stackdict.Ref]struct{})
	var refs []stackdict.Ref
	for _, row := range rows {
		ref := stackdict.Ref{Service: row.Service, ID: row.Dictionary, Stacks: 2}
		if _, ok := seen[ref]; ok || row.Dictionary == 0 {
			continue
		}
		seen[ref] = struct{}{}
		refs = append(refs, ref)
	}
	if len(refs) == 0 {
		return nil
	}
	_, err := g.base.Dictionaries().Get(ctx, g.tenant, refs)
	return err
}
