package integration

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// reference answers the queries of a store from the windows themselves, in the
// most obvious way.
type reference struct {
	windows []*profilestore.Window
}

func (r *reference) add(w *profilestore.Window) { r.windows = append(r.windows, w) }

func selects(sel profilestore.Selector, g *profile.Group) bool {
	if g.Series.Tenant != sel.Tenant || sel.Service != "" && sel.Service != g.Series.Service {
		return false
	}
	if len(sel.Kinds) > 0 && !slices.Contains(sel.Kinds, g.Kind) {
		return false
	}
	if sel.AgentID != nil && *sel.AgentID != g.Series.AgentID() {
		return false
	}
	if g.Start < sel.Start || sel.End != 0 && g.Start >= sel.End {
		return false
	}
	for _, m := range sel.Matchers {
		v := g.Series.Label(m.Name)
		var ok bool
		switch m.Op {
		case profilestore.MatchEqual:
			ok = v == m.Value
		case profilestore.MatchNotEqual:
			ok = v != m.Value
		case profilestore.MatchRegexp:
			ok = regexp.MustCompile("^(?:" + m.Value + ")$").MatchString(v)
		case profilestore.MatchNotRegexp:
			ok = !regexp.MustCompile("^(?:" + m.Value + ")$").MatchString(v)
		}
		if !ok {
			return false
		}
	}
	return true
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

// wantRow is a row with its stack spelled out.
type wantRow struct {
	Stack    string
	ID       profile.ID
	Lock     uint64
	Syscall  int64
	Bucket   uint8
	Failed   bool
	Values   [profile.MaxTypes]int64
	Count    uint64
	Min, Max int64
}

type wantKind struct {
	Kind       string
	Types      []profile.ValueType
	Period     int64
	Start, End int64
	Totals     [profile.MaxTypes]int64
	Events     uint64
	Rows       []wantRow
	TotalRows  int
	Syscalls   []profilestore.SyscallStats
}

type rowKey struct {
	id      profile.ID
	lock    uint64
	syscall int64
	bucket  uint8
	failed  bool
}

// extremes of what is known so far.
type extremes struct {
	known    bool
	min, max int64
}

func (x *extremes) add(g *profile.Group, e *profile.Entry) {
	if e.Min == 0 && e.Max == 0 && (e.Values[0] != 0 || len(profile.Types(g.Kind)) != 2) {
		return
	}
	if !x.known {
		x.known, x.min, x.max = true, e.Min, e.Max
		return
	}
	x.min, x.max = min(x.min, e.Min), max(x.max, e.Max)
}

func spell(d *profile.Dictionary, stack int32) string {
	var b strings.Builder
	for _, f := range d.Stacks[stack] {
		spellFrame(&b, &d.Frames[f])
	}
	return b.String()
}

// merge computes what MergeStacks must answer, without a limit.
func (r *reference) merge(sel profilestore.Selector, opts profilestore.MergeOptions) []wantKind {
	kinds := map[string]*wantKind{}
	rows := map[string]map[rowKey]*wantRow{}
	bounds := map[*wantRow]*extremes{}
	calls := map[string]map[int64]*profilestore.SyscallStats{}
	callBounds := map[*profilestore.SyscallStats]*extremes{}
	r.each(sel, func(g *profile.Group, d *profile.Dictionary) {
		k := kinds[g.Kind]
		if k == nil {
			k = &wantKind{Kind: g.Kind, Types: g.Types, Period: g.Period, Start: g.Start, End: g.End}
			kinds[g.Kind] = k
			rows[g.Kind] = map[rowKey]*wantRow{}
			calls[g.Kind] = map[int64]*profilestore.SyscallStats{}
		}
		k.Start, k.End = min(k.Start, g.Start), max(k.End, g.End)
		if k.Period != g.Period {
			k.Period = 0
		}
		for i := range g.Entries {
			e := &g.Entries[i]
			a := &d.Attributes[e.Attrs]
			var key rowKey
			if !opts.NoStacks {
				key.id = d.StackIDs[e.Stack]
			}
			if opts.ByLock {
				key.lock = a.LockAddress
			}
			if opts.SyscallRows {
				key.syscall, key.bucket, key.failed = a.Syscall, a.Bucket, a.Error
			}
			row := rows[g.Kind][key]
			if row == nil {
				row = &wantRow{ID: key.id, Lock: key.lock, Syscall: key.syscall, Bucket: key.bucket, Failed: key.failed}
				if !opts.NoStacks {
					row.Stack = spell(d, e.Stack)
				}
				rows[g.Kind][key] = row
				bounds[row] = &extremes{}
			}
			for v := range e.Values {
				row.Values[v] += e.Values[v]
				k.Totals[v] += e.Values[v]
			}
			row.Count += e.Count
			k.Events += e.Count
			bounds[row].add(g, e)
			if !opts.BySyscall || a.Syscall < 0 {
				continue
			}
			st := calls[g.Kind][a.Syscall]
			if st == nil {
				st = &profilestore.SyscallStats{Number: a.Syscall, Name: a.Label(profile.AttrSyscallName)}
				calls[g.Kind][a.Syscall] = st
				callBounds[st] = &extremes{}
			}
			st.Count += e.Count
			st.Total += e.Values[0]
			st.Histogram[a.Bucket] += e.Count
			if a.Error {
				st.Errors += e.Count
			}
			callBounds[st].add(g, e)
		}
	})
	var out []wantKind
	for name, k := range kinds {
		for _, row := range rows[name] {
			row.Min, row.Max = bounds[row].min, bounds[row].max
			k.Rows = append(k.Rows, *row)
		}
		for _, st := range calls[name] {
			st.Min, st.Max = callBounds[st].min, callBounds[st].max
			k.Syscalls = append(k.Syscalls, *st)
		}
		slices.SortFunc(k.Syscalls, func(a, b profilestore.SyscallStats) int { return cmp.Compare(a.Number, b.Number) })
		slices.SortFunc(k.Rows, func(a, b wantRow) int {
			return cmp.Or(cmp.Compare(b.Values[0], a.Values[0]), a.ID.Compare(b.ID), cmp.Compare(a.Lock, b.Lock),
				cmp.Compare(a.Syscall, b.Syscall), cmp.Compare(a.Bucket, b.Bucket), cmp.Compare(fmt.Sprint(a.Failed), fmt.Sprint(b.Failed)))
		})
		k.TotalRows = len(k.Rows)
		out = append(out, *k)
	}
	slices.SortFunc(out, func(a, b wantKind) int { return cmp.Compare(a.Kind, b.Kind) })
	return out
}
