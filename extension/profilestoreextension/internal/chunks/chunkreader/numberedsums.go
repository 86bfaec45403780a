package chunkreader

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/stackdict"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/chunk"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// bookKey is a dictionary of a tenant.
type bookKey struct {
	service string
	id      uint64
}

// numberedSums are the sums of the stacks of one dictionary by number: rows of many
// hours are added up without looking anything up.
type numberedSums struct {
	figures []figures
	there   []bool
	n       int // stacks that are there
}

// addNumbered sums a row by the numbers of its stacks.
func (s *kindSums) addNumbered(row *chunkrow.Row) error {
	if len(row.Dense) != int(row.Entries) {
		return fmt.Errorf("row %016x: %w: dense has %d elements for %d entries", row.ID, chunk.ErrInvalid, len(row.Dense), row.Entries)
	}
	key := bookKey{row.Service, row.Dictionary}
	b := s.numbered[key]
	if b == nil {
		if s.numbered == nil {
			s.numbered = make(map[bookKey]*numberedSums)
		}
		b = new(numberedSums)
		s.numbered[key] = b
	}
	if err := b.grow(row); err != nil {
		return err
	}
	e := &row.Columns.Entries
	for i, number := range row.Dense {
		f := &b.figures[number]
		if !b.there[number] {
			b.there[number] = true
			b.n++
			f.lo, f.hi = layout.NoMinimum, layout.NoMaximum
		}
		for j := range s.types {
			f.values[j] += e.Totals[j][i]
		}
		if len(e.Counts) > 0 {
			f.count += e.Counts[i]
		} else {
			f.count += uint64(e.Totals[0][i])
		}
		if len(e.Minima) > 0 && e.Minima[i] <= e.Maxima[i] {
			f.lo, f.hi = min(f.lo, e.Minima[i]), max(f.hi, e.Maxima[i])
		}
	}
	return nil
}

// grow makes room for the numbers of a row.
func (b *numberedSums) grow(row *chunkrow.Row) error {
	n := row.Stacks()
	if n > stackdict.MaxStacks {
		return fmt.Errorf("row %016x: %w: stack %d; a dictionary has at most %d", row.ID, chunk.ErrInvalid, n-1, stackdict.MaxStacks)
	}
	if more := n - len(b.figures); more > 0 {
		b.figures = append(slices.Grow(b.figures, more), make([]figures, more)...)
		b.there = append(slices.Grow(b.there, more), make([]bool, more)...)
	}
	return nil
}

// spellAtOnce bounds the dictionaries that are in memory at once.
const spellAtOnce = 256

// spell adds what was summed by number to the sums by stack.
func (k *kinds) spell(ctx context.Context, r *Reader, tenant string) error {
	type book struct {
		to  *kindSums
		key bookKey
	}
	var books []book
	for _, s := range k.kinds {
		for key := range s.numbered {
			books = append(books, book{s, key})
		}
	}
	// Those of one dictionary together: most have several kinds.
	slices.SortFunc(books, func(a, b book) int {
		return cmp.Or(cmp.Compare(a.key.service, b.key.service), cmp.Compare(a.key.id, b.key.id))
	})
	for batch := range slices.Chunk(books, spellAtOnce) {
		refs := make([]stackdict.Ref, len(batch))
		for i, b := range batch {
			refs[i] = stackdict.Ref{Service: b.key.service, ID: b.key.id, Stacks: len(b.to.numbered[b.key].figures)}
		}
		dicts, err := r.base.Dictionaries().Get(ctx, tenant, refs)
		if err != nil {
			return fmt.Errorf("read stacks: %w", err)
		}
		for i, b := range batch {
			b.to.spell(b.to.numbered[b.key], dicts[i].IDs())
			delete(b.to.numbered, b.key) // they take memory twice for one dictionary only
		}
	}
	return k.bounded()
}

func (s *kindSums) spell(b *numberedSums, ids []profile.ID) {
	s.sums.reserve(b.n)
	s.sums.grow(b.n)
	for number, there := range b.there {
		if there {
			s.sums.at(ids[number]).add(&b.figures[number])
		}
	}
}
