package chunkreader

import (
	"context"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/reader"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// MergeStacks implements [profilestore.Reader].
func (r *Reader) MergeStacks(ctx context.Context, sel profilestore.Selector, opts profilestore.MergeOptions) (*profilestore.Merge, error) {
	s, err := r.newScan(sel)
	if err != nil {
		return nil, err
	}
	if s.start >= s.end {
		return &profilestore.Merge{}, nil
	}
	ctx, done, err := r.begin(ctx, sel, "merge_stacks")
	if err != nil {
		return nil, err
	}
	out, err := r.mergeStacks(ctx, sel, s, opts)
	return out, done(err)
}

func (r *Reader) mergeStacks(ctx context.Context, sel profilestore.Selector, s *scan, opts profilestore.MergeOptions) (*profilestore.Merge, error) {
	leave, err := r.turns.wait(ctx, s.service)
	if err != nil {
		return nil, err
	}
	defer leave()
	limit := r.opts.MaxStacks
	if opts.MaxStacks > 0 {
		limit = opts.MaxStacks
	}
	k, err := r.mergeKinds(ctx, sel, s, opts, limit)
	if err != nil {
		return nil, err
	}
	if err := k.spell(ctx, r, sel.Tenant); err != nil {
		return nil, err
	}
	var names map[int64]string
	if opts.BySyscall {
		if names, err = r.syscallNames(ctx, sel.Tenant, k.kinds); err != nil {
			return nil, err
		}
	}
	sel.Service = s.service // which labels may have told
	ctx, step := profilestore.StartStep(ctx, "assemble")
	before := r.Stacks().Stats()
	merge, err := r.assemble(ctx, sel, k, names, limit)
	if merge != nil && step != nil {
		step.Add("stacks", int64(len(merge.Stacks)))
		// Other queries at the same time may count, too.
		step.Add("stacks_missed", r.Stacks().Stats().Misses-before.Misses)
	}
	step.End(err)
	return merge, err
}

// mergeKinds sums what is selected: profiles, or exemplars if there are ids of them.
func (r *Reader) mergeKinds(ctx context.Context, sel profilestore.Selector, s *scan, opts profilestore.MergeOptions, limit int) (*kinds, error) {
	if len(opts.SpanIDs)+len(opts.TraceIDs)+len(opts.ProfileIDs) > 0 {
		return r.mergeExemplars(ctx, sel, opts)
	}
	out, err := r.gather(ctx, s, "merge", columnsFor(opts), func() sink {
		k := newKinds(opts, r.opts.MaxRows)
		k.keep = limit
		return k
	})
	if err != nil {
		return nil, err
	}
	return out.(*kinds), nil
}

// assemble makes the answer and resolves the stacks it refers to.
func (r *Reader) assemble(ctx context.Context, sel profilestore.Selector, kinds *kinds, names map[int64]string, limit int) (*profilestore.Merge, error) {
	keys := kinds.keys()
	out := &profilestore.Merge{Kinds: make([]profilestore.KindMerge, len(keys))}
	stacks := reader.StackNumbers{Unique: len(keys) == 1 && !kinds.opts.ByLock && !kinds.opts.SyscallRows}
	for i, key := range keys {
		k := kinds.kinds[key]
		all, stackless, total := k.total()
		m := profilestore.KindMerge{
			Kind: key.kind, Types: layout.DecodeTypes(key.types), Start: k.start, End: k.end,
			Totals: all.values, Events: all.count, TotalRows: total, Syscalls: k.stats(names),
		}
		if !k.periods {
			m.Period = k.period
		}
		if !kinds.opts.NoStacks {
			m.StacklessValue, m.StacklessEvents = stackless.values[0], stackless.count
		}
		rows := k.sums.top(limit)
		m.Rows = make([]profilestore.Row, len(rows))
		stacks.Grow(len(rows))
		for j, row := range rows {
			a, f := k.sums.of(int(row)), k.sums.at(int(row))
			lo, hi := known(f.lo, f.hi)
			m.Rows[j] = profilestore.Row{
				Stack: stacks.Number(k.sums.stacks[row]), LockAddress: a.lock, Syscall: a.syscall,
				Bucket: a.bucket, Failed: a.failed != 0, Values: f.values, Count: f.count, Min: lo, Max: hi,
			}
		}
		out.Kinds[i] = m
	}
	frames, err := r.Stacks().Resolve(ctx, sel.Tenant, sel.Service, stacks.IDs)
	if err != nil {
		return nil, err
	}
	out.Stacks = make([]profilestore.Stack, len(stacks.IDs))
	for i, id := range stacks.IDs {
		out.Stacks[i] = profilestore.Stack{ID: id, Frames: frames[i]}
	}
	return out, nil
}
