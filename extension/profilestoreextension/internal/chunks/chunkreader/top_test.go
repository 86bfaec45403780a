package chunkreader

import (
	"cmp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/reader"
	"github.com/aperture-collector/aperture-collector/internal/flame"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// top computes what TopFunctions must answer.
func (r *reference) top(sel profilestore.Selector, opts profilestore.TopOptions) []profilestore.TopFunctions {
	kinds := map[string]*profilestore.TopFunctions{}
	sums := map[string]map[string]*profilestore.FunctionSums{}
	exact := exactSums{}
	addTo := func(sum, values *[profile.MaxTypes]int64) {
		for i, v := range values {
			exact.add(&sum[i], v)
		}
	}
	r.each(sel, func(g *profile.Group, d *profile.Dictionary) {
		if kinds[g.Kind] == nil {
			kinds[g.Kind] = &profilestore.TopFunctions{Kind: g.Kind, Types: g.Types}
			sums[g.Kind] = map[string]*profilestore.FunctionSums{}
		}
		for i := range g.Entries {
			e := &g.Entries[i]
			addTo(&kinds[g.Kind].Totals, &e.Values)
			seen := map[string]bool{}
			for depth, f := range d.Stacks[e.Stack] {
				name := flame.Name(&d.Frames[f])
				to := sums[g.Kind][name]
				if to == nil {
					to = &profilestore.FunctionSums{Name: name}
					sums[g.Kind][name] = to
				}
				if depth == 0 {
					addTo(&to.Self, &e.Values)
				}
				if !seen[name] {
					addTo(&to.Total, &e.Values)
					seen[name] = true
				}
			}
		}
	})
	exact.settle()
	var out []profilestore.TopFunctions
	for kind, k := range kinds {
		for _, f := range sums[kind] {
			if f.Self != f.Total || f.Total != [profile.MaxTypes]int64{} {
				k.Functions = append(k.Functions, *f)
			}
		}
		slices.SortFunc(k.Functions, func(a, b profilestore.FunctionSums) int {
			x, y := a.Self, b.Self
			if opts.ByTotal {
				x, y = a.Total, b.Total
			}
			return cmp.Or(cmp.Compare(y[opts.Column], x[opts.Column]), cmp.Compare(a.Name, b.Name))
		})
		k.Count = len(k.Functions)
		k.Functions = k.Functions[:min(opts.Limit, k.Count)]
		out = append(out, *k)
	}
	slices.SortFunc(out, func(a, b profilestore.TopFunctions) int { return cmp.Compare(a.Kind, b.Kind) })
	return out
}

// TestTopEqualsReference compares sums by function with a computation of its own,
// with room for all call paths and with room for none.
func TestTopEqualsReference(t *testing.T) {
	s := newStore(t)
	s.compact(t)
	for _, budget := range []int64{16 << 20, 1} {
		r := newReader(s.pool, s.o, 64<<20)
		r.calls = newCalls(budget)
		for name, sel := range selectors() {
			for _, opts := range []profilestore.TopOptions{{Limit: 100}, {Limit: 2, ByTotal: true, Column: 1}} {
				got, err := r.TopFunctions(t.Context(), sel, opts)
				require.NoError(t, err)
				want := s.top(sel, opts)
				require.Len(t, got, len(want), name)
				for i := range want {
					require.Equal(t, want[i], got[i], name)
				}
			}
		}
	}
}

// TestRecursion: a function that calls itself counts once.
func TestRecursion(t *testing.T) {
	frame := func(name string) *profile.Frame { return &profile.Frame{Function: profile.Function{Name: name}} }
	a, b, c := frame("a"), frame("b"), frame("c")
	p := newCallPaths()
	ids := []profile.ID{{Lo: 1}, {Lo: 2}, {Lo: 3}, {}}
	scope := reader.ScopeOf("a")
	p.learn(scope, ids[:3], [][]*profile.Frame{{a, b, a}, {b, a, b, a}, {c}}) // leaf first
	p.learn(scope, ids[:3], [][]*profile.Frame{{c}, {c}, {c}})                // known already
	values := newTable(1)
	values.extend(len(ids))
	for i := range ids {
		values.values[0][i] = int64(1 + i)
	}
	tree, leaves, err := p.find(t.Context(), &callQuery{tenant: "a", ids: ids})
	require.NoError(t, err)
	sums := newFunctionSums(1)
	sums.add(tree, leaves, &values)
	list, n := sums.list(p, profilestore.TopOptions{Limit: 10})
	require.Equal(t, 3, n)
	one := func(v int64) [profile.MaxTypes]int64 { return [profile.MaxTypes]int64{v} }
	require.Equal(t, []profilestore.FunctionSums{
		{Name: "c", Self: one(3), Total: one(3)}, {Name: "b", Self: one(2), Total: one(3)}, {Name: "a", Self: one(1), Total: one(3)},
	}, list)
}
