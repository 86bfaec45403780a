package flame

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// walked are the nodes of a walk, indented by depth.
func walked(m *profilestore.Merge, k *profilestore.KindMerge, o Options, descend func(*Step) bool) string {
	var b strings.Builder
	Walk(m, k, o, func(s *Step) bool {
		_, _ = fmt.Fprintf(&b, "%*s%s@%s %v %v\n", s.Depth, "", s.Symbol.Name, s.Symbol.Module, s.Self, s.Total)
		return descend(s)
	})
	return b.String()
}

// ofTree is the same of the nodes of a tree.
func ofTree(t *Tree) string {
	var b strings.Builder
	depth := make([]int, len(t.Nodes))
	for i, n := range t.Nodes {
		if i > 0 {
			depth[i] = depth[n.Parent] + 1
		}
		var self, total Values
		for v := range self {
			self[v], total[v] = t.Self(int32(i), v), t.Total(int32(i), v)
		}
		s := t.Symbols[n.Symbol]
		_, _ = fmt.Fprintf(&b, "%*s%s@%s %v %v\n", depth[i], "", s.Name, s.Module, self, total)
	}
	return b.String()
}

func always(*Step) bool { return true }

func TestWalkVisitsTheTree(t *testing.T) {
	for _, o := range []Options{{}, {Rename: FoldedName}, {ByModule: true}, {SkipEmpty: true}} {
		for seed := range uint64(8) {
			r := rand.New(rand.NewPCG(seed, 5))
			m, k := random(r, 300, 12)
			m.Stacks = append(m.Stacks, profilestore.Stack{})
			k.Rows = append(k.Rows, profilestore.Row{Stack: int32(len(m.Stacks) - 1), Values: Values{7}})
			rows := some(r, k)
			want := Build(m, rows, o)
			require.Equal(t, ofTree(want), walked(m, rows, o, always))
			if o.Rename == nil {
				continue
			}
			var b strings.Builder
			require.NoError(t, WriteFolded(&b, m, rows, 0))
			require.Equal(t, folded(t, want, 0), b.String())
		}
	}
	m, k := merge(nil)
	assert.Equal(t, "@ [0 0 0 0] [0 0 0 0]\n", walked(m, k, Options{}, always))
}

func TestWalkLeavesOut(t *testing.T) {
	m, k := merge(map[string]int64{"a;b;c": 1, "a;b": 2, "a;d": 4, "e": 8})
	got := walked(m, k, Options{}, func(s *Step) bool { return s.Symbol.Name != "b" })
	assert.Equal(t, "@ [0 0 0 0] [15 30 0 0]\n a@ [0 0 0 0] [7 14 0 0]\n  b@ [2 4 0 0] [3 6 0 0]\n  d@ [4 8 0 0] [4 8 0 0]\n e@ [8 16 0 0] [8 16 0 0]\n", got)
}
