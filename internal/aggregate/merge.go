package aggregate

import (
	"cmp"
	"context"
	"slices"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// maxRows bounds the rows of a kind when the query does not.
const maxRows = 100_000

// MergeStacks implements [profilestore.Reader].
func (r *Recent) MergeStacks(ctx context.Context, sel profilestore.Selector, opts profilestore.MergeOptions) (*profilestore.Merge, error) {
	m := merger{opts: opts, kinds: make(map[string]*kindSums)}
	err := r.groupsOf(ctx, sel, func(w *Window, g *group) error {
		m.add(w, g)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return m.result(), nil
}

type merger struct {
	opts  profilestore.MergeOptions
	kinds map[string]*kindSums
}

type kindSums struct {
	profilestore.KindMerge
	mixedPeriods bool
	rows         map[rowKey]*rowSum
	syscalls     map[int64]*profilestore.SyscallStats
}

type rowKey struct {
	stack   profile.ID
	lock    uint64
	syscall int64
	bucket  uint8
	failed  bool
}

func (k *rowKey) compare(o *rowKey) int {
	number := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	return cmp.Or(
		k.stack.Compare(o.stack), cmp.Compare(k.lock, o.lock), cmp.Compare(k.syscall, o.syscall),
		cmp.Compare(k.bucket, o.bucket), cmp.Compare(number(k.failed), number(o.failed)),
	)
}

type rowSum struct {
	entry
	content *Stack
}

func (m *merger) add(w *Window, g *group) {
	sh := &w.shapes[g.shape]
	k := m.kinds[sh.kind]
	if k == nil {
		k = &kindSums{
			KindMerge: profilestore.KindMerge{Kind: sh.kind, Types: sh.types, Period: sh.period, Start: g.start, End: g.end},
			rows:      make(map[rowKey]*rowSum),
			syscalls:  make(map[int64]*profilestore.SyscallStats),
		}
		m.kinds[sh.kind] = k
	}
	if len(sh.types) > len(k.Types) {
		k.Types = sh.types
	}
	k.mixedPeriods = k.mixedPeriods || k.Period != sh.period
	k.Start, k.End = min(k.Start, g.start), max(k.End, g.end)
	for i := range g.entries {
		e := &g.entries[i]
		a := &w.attrs[e.attrs]
		profile.AddValues(&k.Totals, &e.values)
		k.Events = profile.AddCount(k.Events, e.count)
		k.row(m.opts, w.stacks[e.stack], a).sum(e)
		if m.opts.BySyscall && a.Syscall >= 0 {
			k.syscall(a, e)
		}
	}
}

func (k *kindSums) row(opts profilestore.MergeOptions, s *Stack, a *profile.SampleAttributes) *rowSum {
	var key rowKey
	if opts.NoStacks {
		s = nil
	} else {
		key.stack = s.id
	}
	if opts.ByLock {
		key.lock = a.LockAddress
	}
	if opts.SyscallRows {
		key.syscall, key.bucket, key.failed = a.Syscall, a.Bucket, a.Error
	}
	r := k.rows[key]
	if r == nil {
		r = &rowSum{content: s}
		k.rows[key] = r
	}
	return r
}

func (e *entry) sumValues(values *[profile.MaxTypes]int64, count uint64) {
	profile.AddValues(&e.values, values)
	e.count = profile.AddCount(e.count, count)
}

// sum adds another sum.
func (e *entry) sum(o *entry) {
	e.sumValues(&o.values, o.count)
	if o.bounded {
		if !e.bounded {
			e.min, e.max, e.bounded = o.min, o.max, true
		}
		e.min, e.max = min(e.min, o.min), max(e.max, o.max)
	}
}

func (k *kindSums) syscall(a *profile.SampleAttributes, e *entry) {
	s := k.syscalls[a.Syscall]
	if s == nil {
		s = &profilestore.SyscallStats{Number: a.Syscall, Min: e.min, Max: e.max}
		k.syscalls[a.Syscall] = s
	}
	if s.Name == "" {
		s.Name = a.Label(profile.AttrSyscallName)
	}
	s.Count = profile.AddCount(s.Count, e.count)
	if a.Error {
		s.Errors = profile.AddCount(s.Errors, e.count)
	}
	s.Total = profile.Add(s.Total, e.values[0])
	s.Min, s.Max = min(s.Min, e.min), max(s.Max, e.max)
	s.Histogram[a.Bucket] = profile.AddCount(s.Histogram[a.Bucket], e.count)
}

func (m *merger) result() *profilestore.Merge {
	out := &profilestore.Merge{}
	stacks := make(map[profile.ID]int32)
	for _, k := range m.kinds {
		if k.mixedPeriods {
			k.Period = 0
		}
		k.finish(m.opts, out, stacks)
		out.Kinds = append(out.Kinds, k.KindMerge)
	}
	slices.SortFunc(out.Kinds, func(a, b profilestore.KindMerge) int { return cmp.Compare(a.Kind, b.Kind) })
	return out
}

func (k *kindSums) finish(opts profilestore.MergeOptions, out *profilestore.Merge, stacks map[profile.ID]int32) {
	type keyed struct {
		rowKey
		*rowSum
	}
	rows := make([]keyed, 0, len(k.rows))
	for key, r := range k.rows {
		rows = append(rows, keyed{key, r})
		if key.stack.IsZero() && !opts.NoStacks {
			k.StacklessValue = profile.Add(k.StacklessValue, r.values[0])
			k.StacklessEvents = profile.AddCount(k.StacklessEvents, r.count)
		}
	}
	slices.SortFunc(rows, func(a, b keyed) int {
		return cmp.Or(cmp.Compare(b.values[0], a.values[0]), a.compare(&b.rowKey))
	})
	k.TotalRows = len(rows)
	limit := opts.MaxStacks
	if limit <= 0 {
		limit = maxRows
	}
	for _, r := range rows[:min(limit, len(rows))] {
		i, ok := stacks[r.stack]
		if !ok {
			i = int32(len(out.Stacks))
			stacks[r.stack] = i
			out.Stacks = append(out.Stacks, r.content.resolve())
		}
		k.Rows = append(k.Rows, profilestore.Row{
			Stack: i, LockAddress: r.lock, Syscall: r.syscall, Bucket: r.bucket, Failed: r.failed,
			Values: r.values, Count: r.count, Min: r.min, Max: r.max,
		})
	}
	for _, s := range k.syscalls {
		k.Syscalls = append(k.Syscalls, *s)
	}
	slices.SortFunc(k.Syscalls, func(a, b profilestore.SyscallStats) int { return cmp.Compare(a.Number, b.Number) })
}

// resolve returns the stack as queries answer it; nil is the empty stack.
func (s *Stack) resolve() profilestore.Stack {
	if s == nil {
		return profilestore.Stack{}
	}
	out := profilestore.Stack{ID: s.id, Frames: make([]*profile.Frame, len(s.frames))}
	for i, f := range s.frames {
		out.Frames[i] = &f.Frame
	}
	return out
}
