package chunkreader

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/chunk"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// kindKey is what the kinds of a merge are told apart by.
type kindKey struct {
	kind, types string
	period      int64 // 0 if periods are not kept apart
}

// kindSums is what is known of one kind.
type kindSums struct {
	types      int
	period     int64
	periods    bool // there are several
	start, end int64
	sums       *sums
	syscalls   map[int64]*syscallSums
	// numbered are the sums of rows whose stacks are numbers in dictionaries.
	numbered map[bookKey]*numberedSums
	// largest is there if sums has the largest rows only.
	largest *largest
}

// largest is what is known of all rows where sums has some.
type largest struct {
	all, stackless figures
	rows           int
}

// total sums all rows and those without a stack, and counts the rows.
func (s *kindSums) total() (all, stackless figures, rows int) {
	if l := s.largest; l != nil {
		return l.all, l.stackless, l.rows
	}
	all, stackless = s.sums.total()
	return all, stackless, s.sums.len()
}

// kinds is the sink of a merge.
type kinds struct {
	opts profilestore.MergeOptions
	// limit bounds the rows of all kinds together.
	limit int64
	// keep is how many of the largest rows are needed of each kind, 0 for all.
	keep int
	// values is true if counts and extremes are not needed.
	values bool

	mu    sync.Mutex
	kinds map[kindKey]*kindSums
}

func newKinds(opts profilestore.MergeOptions, limit int64) *kinds {
	return &kinds{opts: opts, limit: limit, kinds: make(map[kindKey]*kindSums)}
}

// keys returns the kinds that were found, in order.
func (k *kinds) keys() []kindKey {
	out := make([]kindKey, 0, len(k.kinds))
	for key, s := range k.kinds {
		if s.sums.len()+len(s.numbered) > 0 {
			out = append(out, key)
		}
	}
	slices.SortFunc(out, func(a, b kindKey) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.types, b.types), cmp.Compare(a.period, b.period))
	})
	return out
}

// columnsFor returns what must be read for a merge.
func columnsFor(opts profilestore.MergeOptions) columns {
	f := chunkrow.Totals | chunkrow.Counts | chunkrow.Bounds
	if !opts.NoStacks {
		f |= chunkrow.Stacks
	}
	if opts.ByLock || opts.SyscallRows || opts.BySyscall {
		f |= chunkrow.Attributes
	}
	return columns{whole: f, cut: f | chunkrow.Decodable}
}

// key returns what rows are kept apart by.
func (k *kinds) key(row *chunkrow.Row) kindKey {
	key := kindKey{kind: row.Kind, types: row.Types}
	if k.opts.ByPeriod {
		key.period = row.Period
	}
	return key
}

// of returns the sums that a row belongs to.
func (k *kinds) of(row *chunkrow.Row, start, end int64) *kindSums {
	key := k.key(row)
	s := k.kinds[key]
	if s == nil {
		types := len(layout.DecodeTypes(row.Types))
		s = &kindSums{types: types, period: row.Period, start: start, end: end, sums: newSums(types)}
		k.kinds[key] = s
	}
	s.periods = s.periods || s.period != row.Period
	s.start, s.end = min(s.start, start), max(s.end, end)
	return s
}

// whole implements [sink].
func (k *kinds) whole(row *chunkrow.Row) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.of(row, row.First, row.Last)
	if s.types < 1 || s.types > profile.MaxTypes {
		return fmt.Errorf("row %016x: %w: types are %q; there must be 1 to %d", row.ID, chunk.ErrInvalid, row.Types, profile.MaxTypes)
	}
	if err := checkTotals(row, s.types); err != nil {
		return err
	}
	if len(row.Dense) > 0 && len(row.Keys.Stacks) == 0 {
		if err := s.addNumbered(row); err != nil {
			return err
		}
		return k.bounded()
	}
	if !k.opts.NoStacks {
		if err := checkKeys(row); err != nil {
			return err
		}
	}
	if k.plain() {
		s.addStacks(row)
		return k.bounded()
	}
	e := &row.Columns.Entries
	for i := range int(row.Entries) {
		f := entryTotals(e, s.types, i)
		k.add(s, row, i, &f)
	}
	return k.bounded()
}

// plain reports whether rows are kept apart by stacks and nothing else.
func (k *kinds) plain() bool {
	return !k.opts.NoStacks && !k.opts.ByLock && !k.opts.SyscallRows && !k.opts.BySyscall
}

// bounded returns an error if there are more rows than allowed.
func (k *kinds) bounded() error {
	var n int64
	for _, s := range k.kinds {
		n += int64(s.sums.len())
		for _, book := range s.numbered {
			n += int64(book.stacks)
		}
		if s.largest != nil {
			n += int64(s.largest.rows - s.sums.len())
		}
	}
	if k.limit > 0 && n > k.limit {
		return fmt.Errorf("%w: more than %d rows", profilestore.ErrLimit, k.limit)
	}
	return nil
}

// addStacks sums a row by stack. It is what most queries do with most rows.
func (s *kindSums) addStacks(row *chunkrow.Row) {
	e := &row.Columns.Entries
	stacks := row.Keys.Stacks
	if s.sums.len() == 0 {
		s.sums.grow(len(stacks)) // rows of one kind have about the same
	}
	for first := 0; first < len(stacks); first += sumBlock {
		end := min(first+sumBlock, len(stacks))
		s.sums.grow(end - first)
		for i := first; i < end; i++ {
			f := entryTotals(e, s.types, i)
			s.sums.add(s.sums.row(layout.FromID(stacks[i])), &f)
		}
	}
}

// entryTotals returns the sums of an entry over all profiles.
func entryTotals(e *chunk.EntryColumns, types, i int) figures {
	f := none()
	for j := range types {
		f.values[j] = e.Totals[j][i]
	}
	f.count = uint64(f.values[0])
	if len(e.Counts) > 0 {
		f.count = e.Counts[i]
	}
	if len(e.Minima) > 0 {
		f.lo, f.hi = e.Minima[i], e.Maxima[i]
	}
	return f
}

// sumBlock is for how many entries room is made at once: most of a row are not new.
const sumBlock = 1024

// add sums up one entry of a row.
func (k *kinds) add(s *kindSums, row *chunkrow.Row, i int, f *figures) {
	key := entryKey(&row.Keys, i)
	if k.opts.BySyscall && key.syscall >= 0 {
		s.addSyscall(&key, f)
	}
	var stack profile.ID
	if !k.opts.NoStacks {
		stack = layout.FromID(row.Keys.Stacks[i])
	}
	s.sums.grow(1)
	to := 0
	if k.opts.ByLock || k.opts.SyscallRows {
		var a attributes
		if k.opts.ByLock {
			a.lock = key.lock
		}
		if k.opts.SyscallRows {
			a.syscall, a.bucket, a.failed = key.syscall, key.bucket, key.failed
		}
		to = s.sums.rowOf(stack, a)
	} else {
		to = s.sums.row(stack)
	}
	s.sums.add(to, f)
}

// entryKeyed are the attributes of an entry with the set they were taken from.
type entryKeyed struct {
	attributes
	set proto.UInt128
}

// entryKey returns the key of an entry but for its stack.
func entryKey(k *chunkrow.EntryKeys, i int) entryKeyed {
	out := entryKeyed{attributes: attributes{syscall: layout.NoSyscall}}
	if len(k.Sets) > 0 {
		out.set = k.Sets[i]
	}
	if len(k.Locks) > 0 {
		out.lock = k.Locks[i]
	}
	if len(k.Syscalls) > 0 {
		out.syscall = k.Syscalls[i]
	}
	if len(k.Buckets) > 0 {
		out.bucket = min(k.Buckets[i], profile.LatencyBuckets-1)
	}
	if len(k.Errors) > 0 && k.Errors[i] != 0 {
		out.failed = 1
	}
	return out
}

// cut implements [sink].
func (k *kinds) cut(row *chunkrow.Row, selected func(profile int) bool) error {
	c, err := decodable(row)
	if err != nil {
		return err
	}
	if !k.opts.NoStacks {
		if err := checkKeys(row); err != nil {
			return err
		}
	}
	d := decoders.Get().(*decoder)
	defer decoders.Put(d)
	list, err := d.sum(c, selected, make([]entryFigures, 0, c.Entries()))
	if err != nil {
		return fmt.Errorf("row %016x: %w", row.ID, err)
	}
	start, end := int64(layout.MaxTime), int64(0)
	for i := range c.Profiles() {
		if selected(i) {
			p := c.Profile(i)
			start, end = min(start, p.Time), max(end, p.Time+p.Duration)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.of(row, start, end)
	for i := range list {
		k.add(s, row, list[i].entry, &list[i].figures)
	}
	return k.bounded()
}
