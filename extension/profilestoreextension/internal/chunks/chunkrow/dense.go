package chunkrow

import (
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// Stacks returns how many stacks of its dictionary a row needs: one more than the
// largest number, 0 for a row without a dictionary.
func (r *Row) Stacks() int {
	n := 0
	for _, d := range r.Dense {
		n = max(n, int(d)+1)
	}
	return n
}

// Spell fills in the hashes of the stacks of a row with a dictionary, given those of
// all stacks of that. The error wraps [chunk.ErrInvalid].
func (r *Row) Spell(ids []profile.ID) error {
	stacks := make([]proto.UInt128, len(r.Dense))
	for i, n := range r.Dense {
		if int(n) >= len(ids) {
			return invalid("entry %d: stack %d; the dictionary has %d", i, n, len(ids))
		}
		stacks[i] = layout.ID(ids[n])
	}
	r.Keys.Stacks = stacks
	return nil
}
