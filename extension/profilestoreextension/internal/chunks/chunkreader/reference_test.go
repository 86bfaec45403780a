package chunkreader

import (
	"cmp"
	"regexp"
	"slices"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// reference answers queries from the windows themselves, in the most obvious way.
type reference struct{ windows []*profilestore.Window }

func holds(m profilestore.Matcher, v string) bool {
	switch m.Op {
	case profilestore.MatchEqual:
		return v == m.Value
	case profilestore.MatchNotEqual:
		return v != m.Value
	case profilestore.MatchRegexp:
		return regexp.MustCompile("^(?:" + m.Value + ")$").MatchString(v)
	default:
		return !regexp.MustCompile("^(?:" + m.Value + ")$").MatchString(v)
	}
}

func selects(sel profilestore.Selector, g *profile.Group) bool {
	return len(g.Entries) > 0 && g.Series.Tenant == sel.Tenant &&
		(sel.Service == "" || sel.Service == g.Series.Service) &&
		(len(sel.Kinds) == 0 || slices.Contains(sel.Kinds, g.Kind)) &&
		(sel.AgentID == nil || *sel.AgentID == g.Series.AgentID()) &&
		g.Start >= sel.Start && (sel.End == 0 || g.Start < sel.End) &&
		!slices.ContainsFunc(sel.Matchers, func(m profilestore.Matcher) bool { return !holds(m, g.Series.Label(m.Name)) })
}

func (r *reference) each(sel profilestore.Selector, f func(g *profile.Group, d *profile.Dictionary)) {
	for _, w := range r.windows {
		for _, g := range w.Groups.Groups {
			if selects(sel, g) {
				f(g, w.Groups.Dict)
			}
		}
	}
}

func (r *reference) count(sel profilestore.Selector) (n uint64) {
	r.each(sel, func(g *profile.Group, _ *profile.Dictionary) { n += g.Events() })
	return n
}

// wantRow is a row with the frames of its stack.
type wantRow struct {
	profilestore.Row
	ID     profile.ID
	Frames []profile.Frame
}

type wantKind struct {
	profilestore.KindMerge
	Rows []wantRow
}

func want(opts profilestore.MergeOptions, d *profile.Dictionary, e *profile.Entry) wantRow {
	a := &d.Attributes[e.Attrs]
	var row wantRow
	if !opts.NoStacks {
		row.ID = d.StackIDs[e.Stack]
		for _, f := range d.Stacks[e.Stack] {
			row.Frames = append(row.Frames, d.Frames[f])
		}
	}
	if opts.ByLock {
		row.LockAddress = a.LockAddress
	}
	if opts.SyscallRows {
		row.Syscall, row.Bucket, row.Failed = a.Syscall, a.Bucket, a.Error
	}
	row.Min, row.Max = layout.NoMinimum, layout.NoMaximum
	return row
}

type rowKey struct {
	id      profile.ID
	lock    uint64
	syscall int64
	bucket  uint8
	failed  bool
}

func (r *wantRow) key() rowKey { return rowKey{r.ID, r.LockAddress, r.Syscall, r.Bucket, r.Failed} }

// addBounds adds the extremes of an entry if they are known.
func addBounds(lo, hi *int64, g *profile.Group, e *profile.Entry) {
	if e.Min == 0 && e.Max == 0 && (e.Values[0] != 0 || len(profile.Types(g.Kind)) != 2) {
		return
	}
	*lo, *hi = min(*lo, e.Min), max(*hi, e.Max)
}

// merge computes what MergeStacks must answer, without a limit.
func (r *reference) merge(sel profilestore.Selector, opts profilestore.MergeOptions) []wantKind {
	kinds := map[string]*wantKind{}
	rows := map[string]map[rowKey]*wantRow{}
	calls := map[string]map[int64]*profilestore.SyscallStats{}
	sums := exactSums{}
	r.each(sel, func(g *profile.Group, d *profile.Dictionary) {
		k := kinds[g.Kind]
		if k == nil {
			k = &wantKind{}
			k.Kind, k.Types, k.Period, k.Start, k.End = g.Kind, g.Types, g.Period, g.Start, g.End
			kinds[g.Kind], rows[g.Kind], calls[g.Kind] = k, map[rowKey]*wantRow{}, map[int64]*profilestore.SyscallStats{}
		}
		k.Start, k.End = min(k.Start, g.Start), max(k.End, g.End)
		if k.Period != g.Period {
			k.Period = 0
		}
		for i := range g.Entries {
			e := &g.Entries[i]
			row := want(opts, d, e)
			if rows[g.Kind][row.key()] == nil {
				rows[g.Kind][row.key()] = &row
			}
			to := rows[g.Kind][row.key()]
			for v := range e.Values {
				sums.add(&to.Values[v], e.Values[v])
				sums.add(&k.Totals[v], e.Values[v])
			}
			to.Count += e.Count
			k.Events += e.Count
			addBounds(&to.Min, &to.Max, g, e)
			if row.ID.IsZero() && !opts.NoStacks {
				sums.add(&k.StacklessValue, e.Values[0])
				k.StacklessEvents += e.Count
			}
			a := &d.Attributes[e.Attrs]
			if !opts.BySyscall || a.Syscall < 0 {
				continue
			}
			st := calls[g.Kind][a.Syscall]
			if st == nil {
				st = &profilestore.SyscallStats{Number: a.Syscall, Name: a.Label(profile.AttrSyscallName), Min: layout.NoMinimum, Max: layout.NoMaximum}
				calls[g.Kind][a.Syscall] = st
			}
			st.Count += e.Count
			sums.add(&st.Total, e.Values[0])
			st.Histogram[a.Bucket] += e.Count
			if a.Error {
				st.Errors += e.Count
			}
			addBounds(&st.Min, &st.Max, g, e)
		}
	})
	sums.settle()
	var out []wantKind
	for name, k := range kinds {
		for _, row := range rows[name] {
			row.Min, row.Max = known(row.Min, row.Max)
			k.Rows = append(k.Rows, *row)
		}
		for _, st := range calls[name] {
			st.Min, st.Max = known(st.Min, st.Max)
			k.Syscalls = append(k.Syscalls, *st)
		}
		slices.SortFunc(k.Syscalls, func(a, b profilestore.SyscallStats) int { return cmp.Compare(a.Number, b.Number) })
		slices.SortFunc(k.Rows, func(a, b wantRow) int {
			failed := func(r *wantRow) int {
				if r.Failed {
					return 1
				}
				return 0
			}
			return cmp.Or(cmp.Compare(b.Values[0], a.Values[0]), a.ID.Compare(b.ID), cmp.Compare(a.LockAddress, b.LockAddress),
				cmp.Compare(a.Syscall, b.Syscall), cmp.Compare(a.Bucket, b.Bucket), cmp.Compare(failed(&a), failed(&b)))
		})
		k.TotalRows = len(k.Rows)
		out = append(out, *k)
	}
	slices.SortFunc(out, func(a, b wantKind) int { return cmp.Compare(a.Kind, b.Kind) })
	return out
}

// got turns an answer into the form of the reference.
func got(m *profilestore.Merge) []wantKind {
	var out []wantKind
	for _, k := range m.Kinds {
		w := wantKind{KindMerge: k}
		w.KindMerge.Rows = nil
		for _, row := range k.Rows {
			st := m.Stacks[row.Stack]
			row.Stack = 0
			r := wantRow{Row: row, ID: st.ID}
			for _, f := range st.Frames {
				r.Frames = append(r.Frames, *f)
			}
			w.Rows = append(w.Rows, r)
		}
		out = append(out, w)
	}
	return out
}
