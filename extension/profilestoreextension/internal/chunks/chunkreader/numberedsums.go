package chunkreader

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/stackdict"
	"github.com/aperture-collector/aperture-collector/internal/chunk"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// bookKey is a dictionary of a tenant.
type bookKey struct {
	service string
	id      uint64
}

func (k bookKey) compare(other bookKey) int {
	return cmp.Or(cmp.Compare(k.service, other.service), cmp.Compare(k.id, other.id))
}

// ref refers to the stacks that have sums.
func (k bookKey) ref(s *numberedSums) stackdict.Ref {
	return stackdict.Ref{Service: k.service, ID: k.id, Stacks: len(s.there)}
}

// numberedSums are the sums of the stacks of one dictionary by number: rows of many
// hours are added up without looking anything up.
type numberedSums struct {
	table
	there  []bool
	stacks int // that are there
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
		b = &numberedSums{table: newTable(s.types)}
		s.numbered[key] = b
	}
	if err := b.grow(row); err != nil {
		return err
	}
	b.addTotals(row)
	return nil
}

// addTotals adds a row of which everything is known to be there, and room for it.
func (b *numberedSums) addTotals(row *chunkrow.Row) {
	e := &row.Columns.Entries
	for _, number := range row.Dense {
		if !b.there[number] {
			b.there[number] = true
			b.stacks++
		}
	}
	if len(e.Counts) > 0 {
		b.countApart()
	}
	first := e.Totals[0][:len(row.Dense)]
	from := 0
	if b.counts == nil {
		from = addUntil(b.values[0], row.Dense, first)
	}
	if from < len(row.Dense) {
		b.countApart() // counts do not stop where values do
		for i, number := range row.Dense[from:] {
			n := uint64(first[from+i])
			if len(e.Counts) > 0 {
				n = e.Counts[from+i]
			}
			b.counts[number] = profile.AddCount(b.counts[number], n)
		}
		b.addFrom(0, row.Dense[from:], first[from:])
	}
	for j := 1; j < b.types; j++ {
		values := e.Totals[j][:len(row.Dense)]
		from := addUntil(b.values[j], row.Dense, values)
		b.addFrom(j, row.Dense[from:], values[from:])
	}
	if len(e.Minima) == 0 {
		return
	}
	b.bound()
	for i, number := range row.Dense {
		if e.Minima[i] <= e.Maxima[i] {
			b.lo[number], b.hi[number] = min(b.lo[number], e.Minima[i]), max(b.hi[number], e.Maxima[i])
		}
	}
}

func (b *numberedSums) addFrom(j int, at []uint32, values []int64) {
	for i, number := range at {
		b.addValue(j, int(number), values[i])
	}
}

// addUntil adds values until a sum would be beyond an int64, and returns how many it
// has added.
func addUntil(to []int64, at []uint32, values []int64) int {
	for i, number := range at {
		a, v := to[number], values[i]
		sum := a + v
		if (a^sum)&(v^sum) < 0 {
			return i
		}
		to[number] = sum
	}
	return len(at)
}

// grow makes room for the numbers of a row.
func (b *numberedSums) grow(row *chunkrow.Row) error {
	n := row.Stacks()
	if n > stackdict.MaxStacks {
		return fmt.Errorf("row %016x: %w: stack %d; a dictionary has at most %d", row.ID, chunk.ErrInvalid, n-1, stackdict.MaxStacks)
	}
	if more := n - len(b.there); more > 0 {
		b.extend(more)
		b.there = extended(b.there, n, false)
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
	slices.SortFunc(books, func(a, b book) int { return a.key.compare(b.key) })
	for batch := range slices.Chunk(books, spellAtOnce) {
		refs := make([]stackdict.Ref, len(batch))
		for i, b := range batch {
			refs[i] = b.key.ref(b.to.numbered[b.key])
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
	if s.sums.len() == 0 {
		s.sums.take(b, ids)
		return
	}
	s.sums.grow(b.stacks)
	for number, there := range b.there {
		if there {
			s.sums.addRow(s.sums.row(ids[number]), &b.table, number)
		}
	}
}

// take makes rows of all stacks of a dictionary that are there: they are not equal.
func (s *sums) take(b *numberedSums, ids []profile.ID) {
	s.stacks = slices.Grow(s.stacks, b.stacks)
	for number, there := range b.there {
		if there {
			s.stacks = append(s.stacks, ids[number])
		}
	}
	for j := range s.types {
		s.values[j] = taken(b.values[j], b)
		if b.carries[j] != nil {
			s.carries[j] = taken(b.carries[j], b)
		}
	}
	if b.counts != nil {
		s.counts = taken(b.counts, b)
	}
	if b.lo != nil {
		s.lo, s.hi = taken(b.lo, b), taken(b.hi, b)
	}
	s.n = b.stacks
}

// taken returns the elements that are there.
func taken[T any](from []T, b *numberedSums) []T {
	out := make([]T, 0, b.stacks)
	for number, there := range b.there {
		if there {
			out = append(out, from[number])
		}
	}
	return out
}
