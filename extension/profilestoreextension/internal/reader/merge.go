package reader

import (
	"cmp"
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// kindKey is the hash of a kind and its types, by which the queries of a merge
// are joined here: grouping by one integer is cheaper than by two strings.
type kindKey uint64

// kindInfo is what is known of one kind before its rows are read.
type kindInfo struct {
	profilestore.KindMerge
	types string // as stored
	// countsOnly is true if the counts of all rows are their values too, and no
	// minima and maxima are known.
	countsOnly bool
	stamp      stamp
	rows       topRows
}

// MergeStacks implements [profilestore.Reader]. It asks first which kinds there
// are, which takes little, so that the query for the rows reads no column and
// groups by no key that these kinds do not need; for a selector that has been
// seen before both run at once. An answer that is kept is not read again while
// the kinds say that nothing was stored since.
func (r *Reader) MergeStacks(ctx context.Context, sel profilestore.Selector, opts profilestore.MergeOptions) (*profilestore.Merge, error) {
	s, err := newScan(r.opts.Tables, sel)
	if err != nil {
		return nil, err
	}
	if s.empty {
		return &profilestore.Merge{}, nil
	}
	q := merging{Reader: r, sel: sel, scan: s, opts: opts, limit: r.opts.MaxStacks}
	if opts.MaxStacks > 0 {
		q.limit = opts.MaxStacks
	}
	key := r.mergeKey(s, sel, opts, q.limit)
	if key == "" {
		return q.read(ctx, nil)
	}
	known, epoch := r.merges.get(key)
	next := mergeEntry{key: key, changes: known.changes}
	var m *profilestore.Merge
	if known.merge == nil {
		// What was read is as new as the kinds were before, not as they are now.
		if m, err = q.read(ctx, nil); err != nil {
			return nil, err
		}
		if next.version = versionOf(q.kinds); next.version == known.version && q.resolved(m) {
			next.merge = m
		}
	} else {
		if err := q.readKinds(ctx); err != nil {
			return nil, err
		}
		if next.version = versionOf(q.kinds); next.version == known.version {
			r.merges.hit(key)
			return known.merge, nil
		}
		if m, err = q.read(ctx, q.kinds); err != nil {
			return nil, err
		}
		if next.changes++; next.changes < fewChanges && q.resolved(m) {
			next.merge = m
		}
	}
	r.merges.put(next, epoch)
	return m, nil
}

// merging is one merge on its way.
type merging struct {
	*Reader
	sel   profilestore.Selector
	scan  *scan
	opts  profilestore.MergeOptions
	limit int
	kinds map[kindKey]*kindInfo
}

func (q *merging) readKinds(ctx context.Context) (err error) {
	q.kinds, err = q.Reader.kinds(ctx, q.scan)
	return err
}

// read reads the rows, and the kinds too if they are nil.
func (q *merging) read(ctx context.Context, kinds map[kindKey]*kindInfo) (*profilestore.Merge, error) {
	var syscalls map[kindKey][]profilestore.SyscallStats
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		switch {
		case kinds == nil:
			return q.kindRows(gctx)
		case len(kinds) == 0:
			return nil
		}
		return q.mergeRows(gctx, q.scan, kinds, q.opts, q.limit)
	})
	if q.opts.BySyscall {
		g.Go(func() (err error) {
			syscalls, err = q.syscalls(gctx, q.scan)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	sorted := make([]*kindInfo, 0, len(q.kinds))
	for key, k := range q.kinds {
		if k.rows.total > 0 {
			k.Syscalls = syscalls[key]
			sorted = append(sorted, k)
		}
	}
	slices.SortFunc(sorted, func(a, b *kindInfo) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.types, b.types))
	})
	return q.assemble(ctx, q.sel, sorted, q.limit, q.opts)
}

// kindRows reads the kinds and their rows.
func (q *merging) kindRows(ctx context.Context) error {
	name := guessName(q.sel)
	guessed := q.guesses.kinds(name)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return q.readKinds(gctx) })
	if len(guessed) > 0 {
		g.Go(func() error { return q.mergeRows(gctx, q.scan, guessed, q.opts, q.limit) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if len(q.kinds) == 0 || confirms(q.kinds, guessed) {
		return nil
	}
	q.guesses.remember(name, q.kinds)
	return q.mergeRows(ctx, q.scan, q.kinds, q.opts, q.limit)
}

// resolved reports whether m can be kept: that it has something, and that all
// of its stacks were found.
func (q *merging) resolved(m *profilestore.Merge) bool {
	return len(m.Kinds) > 0 && !slices.ContainsFunc(m.Stacks, func(s profilestore.Stack) bool {
		return s.Frames == nil && !s.ID.IsZero()
	})
}

// assemble makes the answer and resolves the stacks it refers to.
func (r *Reader) assemble(ctx context.Context, sel profilestore.Selector, kinds []*kindInfo, limit int, opts profilestore.MergeOptions) (*profilestore.Merge, error) {
	out := &profilestore.Merge{Kinds: make([]profilestore.KindMerge, len(kinds))}
	stacks := StackNumbers{Unique: len(kinds) == 1 && !opts.ByLock && !opts.SyscallRows}
	for i, k := range kinds {
		rows := k.rows.sorted(limit)
		k.Totals, k.Events, k.TotalRows = k.rows.sums, k.rows.events, k.rows.total
		if !opts.NoStacks {
			k.StacklessValue, k.StacklessEvents = k.rows.stackless.value[0], k.rows.stackless.count
		}
		k.Rows = make([]profilestore.Row, len(rows))
		stacks.Grow(len(rows))
		for j, row := range rows {
			lo, hi := known(row.lo, row.hi)
			k.Rows[j] = profilestore.Row{
				Stack: stacks.Number(row.stack), LockAddress: row.lock, Values: row.value,
				Syscall: row.syscall, Bucket: row.bucket, Failed: row.failed,
				Count: row.count, Min: lo, Max: hi,
			}
		}
		out.Kinds[i] = k.KindMerge
	}
	frames, err := r.stacks.Resolve(ctx, sel.Tenant, sel.Service, stacks.IDs)
	if err != nil {
		return nil, err
	}
	out.Stacks = make([]profilestore.Stack, len(stacks.IDs))
	for i, id := range stacks.IDs {
		out.Stacks[i] = profilestore.Stack{ID: id, Frames: frames[i]}
	}
	return out, nil
}

// known turns bounds that no observation gave into 0.
func known(lo, hi int64) (int64, int64) {
	if lo > hi {
		return 0, 0
	}
	return lo, hi
}

// mergeRow is one row of the answer before its stack is resolved.
type mergeRow struct {
	stack   profile.ID
	lock    uint64
	syscall int64
	bucket  uint8
	failed  bool
	count   uint64
	value   [profile.MaxTypes]int64
	lo, hi  int64
}

func (r *mergeRow) compareKey(o *mergeRow) int {
	return cmp.Or(
		r.stack.Compare(o.stack), cmp.Compare(r.lock, o.lock), cmp.Compare(r.syscall, o.syscall),
		cmp.Compare(r.bucket, o.bucket), cmp.Compare(number(r.failed), number(o.failed)),
	)
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

// topRows sums all rows and keeps the largest.
type topRows struct {
	rows   []mergeRow
	total  int
	sums   [profile.MaxTypes]int64
	events uint64
	// stackless sums the first values and counts of rows without a stack.
	stackless mergeRow
	// cut is a value that every row of the answer reaches, once there has been
	// reason to find it out.
	cut     int64
	cutting bool
}

// minKept is the least number of rows to collect before the smallest are
// forgotten.
const minKept = 1 << 12

// add sums a row and keeps it if it may be among the largest. Memory is bounded
// by what was asked for, and small rows, which most are, cost a comparison.
func (t *topRows) add(row *mergeRow, limit int) {
	t.total++
	t.events = profile.AddCount(t.events, row.count)
	profile.AddValues(&t.sums, &row.value)
	if row.stack.IsZero() {
		t.stackless.value[0] = profile.Add(t.stackless.value[0], row.value[0])
		t.stackless.count = profile.AddCount(t.stackless.count, row.count)
	}
	if t.cutting && row.value[0] < t.cut {
		return
	}
	t.rows = append(t.rows, *row)
	if len(t.rows) >= max(2*limit, minKept) {
		kept := t.sorted(limit)
		rows := make([]mergeRow, len(kept), cap(t.rows))
		for i, row := range kept {
			rows[i] = *row
		}
		t.rows, t.cut, t.cutting = rows, rows[len(rows)-1].value[0], true
	}
}

// sorted returns the largest rows: by the first value, then by what tells them apart.
func (t *topRows) sorted(limit int) []*mergeRow {
	// What is compared most lies beside the pointer: the rows themselves are five
	// times as large and many have equal values.
	type ref struct {
		value int64
		stack uint64
		row   *mergeRow
	}
	refs := make([]ref, len(t.rows))
	for i := range t.rows {
		row := &t.rows[i]
		refs[i] = ref{row.value[0], row.stack.Hi, row}
	}
	slices.SortFunc(refs, func(a, b ref) int {
		switch {
		case a.value != b.value:
			return cmp.Compare(b.value, a.value)
		case a.stack != b.stack:
			return cmp.Compare(a.stack, b.stack)
		}
		return a.row.compareKey(b.row)
	})
	out := make([]*mergeRow, min(limit, len(refs)))
	for i := range out {
		out[i] = refs[i].row
	}
	return out
}

// columnsFor returns what must be read for these kinds.
func columnsFor(kinds map[kindKey]*kindInfo, opts profilestore.MergeOptions) columns {
	c := columns{stack: !opts.NoStacks, lock: opts.ByLock, syscall: opts.SyscallRows, kind: len(kinds) > 1}
	for _, k := range kinds {
		c.bounds = c.bounds || !k.countsOnly
		c.values = max(c.values, len(k.Types))
	}
	if !c.bounds {
		c.values = 0 // the counts are the values
	}
	return c
}

// only narrows s to one kind with one list of types: what is stored with
// another while the query runs must not be taken for it.
func (s *scan) only(k *kindInfo) *scan {
	one := *s
	one.params = s.params.Clone()
	one.filter += " AND kind = {kind:String} AND types = {types:String}"
	one.params.String("kind", k.Kind)
	one.params.String("types", k.types)
	return &one
}

var noBounds = mergeRow{lo: layout.NoMinimum, hi: layout.NoMaximum}
