package pyroscopeapiextension

import (
	"context"
	"fmt"

	"github.com/aperture-collector/aperture-collector/internal/export"
	"github.com/aperture-collector/aperture-collector/internal/flame"
	"github.com/aperture-collector/aperture-collector/internal/flamebearer"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/selector"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/typemap"
)

// stackQuery asks for sums by stack of one profile type.
type stackQuery struct {
	tenant   string
	id       typemap.ID
	matchers []*selector.Matcher
	times    timeRange
	stacks   stackFilter
	pgo      *goPGO // nil unless the profile is for a compiler
	only     observations
}

// merged are sums by stack, in one or several parts that are to be added up.
type merged []mergedPart

// mergedPart is a kind of a merge, of which one of the values counts.
type mergedPart struct {
	merge  *profilestore.Merge
	kind   *profilestore.KindMerge
	column int
	scale  int64
}

// selector returns what the store is asked for; ok is false if no profile can be meant.
func (a *api) selector(ctx context.Context, q *stackQuery) (sel profilestore.Selector, ok bool, err error) {
	times, some, err := a.cfg.Limits.checkRange(q.times, a.now())
	if err != nil || !some {
		return sel, false, err
	}
	asked, err := a.ask(ctx, q.tenant, q.matchers)
	if err != nil || asked.nothing || !asked.hasType(q.id) {
		return sel, false, err
	}
	times.bound(&asked.sel)
	target{q.id}.restrict(&asked.sel)
	return asked.sel, true, nil
}

// mergeStacks sums by stack.
func (a *api) mergeStacks(ctx context.Context, q *stackQuery) (merged, error) {
	sel, ok, err := a.selector(ctx, q)
	if err != nil || !ok {
		return nil, err
	}
	t := target{q.id}
	isSyscall := sel.Kinds[0] == profile.KindSyscall
	m, err := a.store.MergeStacks(ctx, sel, profilestore.MergeOptions{
		ByPeriod: t.byPeriod(), BySyscall: isSyscall, MaxStacks: a.cfg.MaxStacks,
		SpanIDs: q.only.spans, TraceIDs: q.only.traces, ProfileIDs: q.only.profiles,
	})
	if err != nil {
		return nil, err
	}
	var out merged
	for i := range m.Kinds {
		k := &m.Kinds[i]
		column, scale, ok := t.column(k.Types, k.Period)
		if q.only.some() {
			column = 0
			if scale, ok, err = t.observed(k.Types, k.Period); err != nil {
				return nil, err
			}
		}
		if !ok {
			continue
		}
		if k.TotalRows > len(k.Rows) {
			return nil, fmt.Errorf("%w: there are %d stacks; `max_stacks` is %d", profilestore.ErrLimit, k.TotalRows, a.cfg.MaxStacks)
		}
		part := mergedPart{m, k, column, scale}
		if isSyscall && k.StacklessEvents == k.Events {
			// They are told apart by what was called.
			calls := export.Syscalls(k)
			part.merge, part.kind = calls.Merge, calls.Kind
		}
		out = append(out, part)
	}
	return q.stacks.apply(out), nil
}

// tree returns the call tree.
func (a *api) tree(ctx context.Context, q *stackQuery) (*flamebearer.Tree, error) {
	parts, err := a.mergeStacks(ctx, q)
	if err != nil {
		return nil, err
	}
	_, step := profilestore.StartStep(ctx, "tree")
	defer step.End(nil)
	if len(parts) == 1 {
		p := &parts[0]
		return flamebearer.New(a.forest.Build(p.merge, p.kind), p.column, p.scale), nil
	}
	one := parts.join()
	return flamebearer.New(flame.Build(one.merge, one.kind, flame.Options{}), 0, 1), nil
}

// join returns all parts as one with a single value, without the rows that have none.
// Rows of one stack in several parts are one row.
func (m merged) join() mergedPart {
	all := &profilestore.Merge{Kinds: make([]profilestore.KindMerge, 1)}
	k := &all.Kinds[0]
	var known map[profile.ID]int // rows, if there are several parts
	if len(m) > 1 {
		known = make(map[profile.ID]int)
	}
	for i := range m {
		p := &m[i]
		first := int32(len(all.Stacks))
		all.Stacks = append(all.Stacks, p.merge.Stacks...)
		for j := range p.kind.Rows {
			from := &p.kind.Rows[j]
			v := flamebearer.Scaled(from.Values[p.column], p.scale)
			if v == 0 {
				continue
			}
			k.Totals[0] = profile.Add(k.Totals[0], v)
			// System calls have no ids.
			if id := p.merge.Stacks[from.Stack].ID; known != nil && !id.IsZero() {
				if at, ok := known[id]; ok {
					k.Rows[at].Values[0] = profile.Add(k.Rows[at].Values[0], v)
					continue
				}
				known[id] = len(k.Rows)
			}
			row := profilestore.Row{Stack: first + from.Stack, Syscall: profilestore.NoSyscall}
			row.Values[0] = v
			k.Rows = append(k.Rows, row)
		}
	}
	k.TotalRows = len(k.Rows)
	return mergedPart{all, k, 0, 1}
}
