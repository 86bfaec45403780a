package flame

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// requireSame checks that two trees are equal but for which of equal frames
// stands for a node.
func requireSame(t *testing.T, want, got *Tree, o Options) {
	t.Helper()
	require.Len(t, got.Symbols, len(want.Symbols))
	for i, w := range want.Symbols {
		g := got.Symbols[i]
		if i > 0 {
			require.Equal(t, o.symbol(w.Frame), o.symbol(g.Frame))
		}
		require.Equal(t, w.Name, g.Name)
		require.Equal(t, w.Module, g.Module)
	}
	require.True(t, sameNodes(want, got))
}

func sameNodes(a, b *Tree) bool {
	return slices.Equal(a.Nodes, b.Nodes) && a.width == b.width && slices.Equal(a.self, b.self) && slices.Equal(a.total, b.total)
}

// some returns a kind with some of the rows of k, each with a value of its own
// and some of them several times.
func some(r *rand.Rand, k *profilestore.KindMerge) *profilestore.KindMerge {
	out := &profilestore.KindMerge{Kind: k.Kind}
	share := r.IntN(100)
	for _, row := range k.Rows {
		for r.IntN(100) < share {
			row.Values = Values{r.Int64N(1000), r.Int64N(3) - 1}
			out.Rows = append(out.Rows, row)
			share--
		}
	}
	return out
}

func TestForestEqualsBuild(t *testing.T) {
	for _, o := range []Options{{}, {Rename: FoldedName}, {ByModule: true}, {SkipEmpty: true}} {
		for _, budget := range []int64{0, 200_000, 1 << 30} {
			t.Run(fmt.Sprintf("module %t, empty %t, %d bytes", o.ByModule, !o.SkipEmpty, budget), func(t *testing.T) {
				f := NewForest(budget, o)
				for seed := range uint64(8) {
					r := rand.New(rand.NewPCG(seed, 3))
					m, k := random(r, 300, 12)
					m.Stacks = append(m.Stacks, profilestore.Stack{})
					k.Rows = append(k.Rows, profilestore.Row{Stack: int32(len(m.Stacks) - 1), Values: Values{7}})
					for i := range m.Stacks {
						for j, frame := range m.Stacks[i].Frames {
							if r.IntN(5) == 0 {
								other := *frame
								other.Mapping = fmt.Sprintf("/lib/%d", r.IntN(3))
								m.Stacks[i].Frames[j] = &other
							}
						}
					}
					for range 6 {
						rows := some(r, k)
						requireSame(t, Build(m, rows, o), f.Build(m, rows), o)
					}
					requireSame(t, Build(m, k, o), f.Build(m, k), o)
					if o.Rename != nil {
						var b strings.Builder
						require.NoError(t, f.WriteFolded(&b, m, k, 0))
						require.Equal(t, folded(t, Build(m, k, o), 0), b.String())
					}
				}
			})
		}
	}
}

func TestForestOfNothing(t *testing.T) {
	m := &profilestore.Merge{Kinds: []profilestore.KindMerge{{Kind: profile.KindCPU}}}
	requireSame(t, Build(m, &m.Kinds[0], Options{}), NewForest(1<<20, Options{}).Build(m, &m.Kinds[0]), Options{})
}

// A few stacks are ordered in another way than many.
func TestForestOfFewStacksAmongMany(t *testing.T) {
	m, k := random(rand.New(rand.NewPCG(1, 1)), 5000, 20)
	f := NewForest(1<<30, Options{})
	f.Build(m, k)
	few := &profilestore.KindMerge{Rows: k.Rows[:3]}
	requireSame(t, Build(m, few, Options{}), f.Build(m, few), Options{})
}

func TestForestIsBounded(t *testing.T) {
	const budget = 2_000_000
	f := NewForest(budget, Options{})
	most := int64(0)
	for seed := range uint64(10) {
		m, k := random(rand.New(rand.NewPCG(seed, 1)), 400, 20)
		requireSame(t, Build(m, k, Options{}), f.Build(m, k), Options{})
		require.LessOrEqual(t, f.Bytes(), int64(budget))
		most = max(most, f.Bytes())
	}
	assert.Positive(t, most)
	m, k := random(rand.New(rand.NewPCG(1, 1)), 20_000, 30)
	requireSame(t, Build(m, k, Options{}), f.Build(m, k), Options{})
	// It stops at the first stack that is too much.
	require.Less(t, f.Bytes(), int64(budget+100_000))
}

func TestForestConcurrently(t *testing.T) {
	m, k := random(rand.New(rand.NewPCG(1, 1)), 2000, 20)
	for _, budget := range []int64{3_000_000, 1 << 30} {
		f := NewForest(budget, Options{Rename: FoldedName})
		var all sync.WaitGroup
		for worker := range uint64(4) {
			all.Go(func() {
				r := rand.New(rand.NewPCG(worker, 5))
				for range 10 {
					rows := some(r, k)
					want, got := Build(m, rows, Options{Rename: FoldedName}), f.Build(m, rows)
					assert.True(t, sameNodes(want, got))
				}
			})
		}
		all.Wait()
	}
}
