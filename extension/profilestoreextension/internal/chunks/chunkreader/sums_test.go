package chunkreader

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// TestSums compares with a map, with and without attributes.
func TestSums(t *testing.T) {
	for _, detailed := range []bool{false, true} {
		type key struct {
			stack profile.ID
			a     attributes
		}
		rnd := rand.New(rand.NewPCG(1, 2))
		s, want := newSums(1), map[key]int64{}
		for range 20_000 {
			k := key{stack: profile.HashBytes(fmt.Append(nil, rnd.IntN(3000)))}
			if rnd.IntN(100) == 0 {
				k.stack = profile.ID{}
			}
			s.grow(1)
			v := rnd.Int64N(100)
			if detailed {
				k.a = attributes{lock: rnd.Uint64N(2), syscall: rnd.Int64N(3) - 1, bucket: uint8(rnd.IntN(2)), failed: uint8(rnd.IntN(2))}
				s.add(s.rowOf(k.stack, k.a), &figures{values: [profile.MaxTypes]int64{v}, count: uint64(v)})
			} else {
				s.add(s.row(k.stack), &figures{values: [profile.MaxTypes]int64{v}, count: uint64(v)})
			}
			want[k] += v
		}
		require.Equal(t, len(want), s.len())
		for i, stack := range s.stacks {
			assert.Equal(t, want[key{stack, s.of(i)}], s.values[0][i])
		}
		all := s.top(s.len())
		require.Len(t, all, s.len())
		for i := 1; i < len(all); i++ {
			require.GreaterOrEqual(t, s.values[0][all[i-1]], s.values[0][all[i]])
		}
		for _, n := range []int{0, 1, 7, 500, s.len() / 2, s.len() - 1, 2 * s.len()} {
			assert.Equal(t, all[:min(n, len(all))], s.top(n), n)
		}
	}
}

// TestSumsAtTheBounds: a sum that fits is exact, whatever the order, also one by
// number; counts stop at their largest, though they are the values.
func TestSumsAtTheBounds(t *testing.T) {
	for _, numbers := range []bool{false, true} {
		for _, counts := range [][]uint64{nil, {math.MaxUint64 - 1}} {
			for _, opts := range []profilestore.MergeOptions{{}, {ByLock: true}} {
				row := &chunkrow.Row{Header: chunkrow.Header{Key: chunkrow.Key{Kind: "cpu", Types: "a/b"}, Entries: 1}}
				row.Keys.Stacks = []proto.UInt128{{Low: 1}}
				row.Columns.Entries.Counts = counts
				if numbers && !opts.ByLock {
					row.Dictionary, row.Dense, row.Keys.Stacks = 1, []uint32{1}, nil
				}
				k := newKinds(opts, 0)
				for _, total := range []int64{math.MaxInt64, 5, math.MaxInt64, -math.MaxInt64, -math.MaxInt64} {
					row.Columns.Entries.Totals[0] = []int64{total}
					require.NoError(t, k.whole(row))
				}
				s := k.kinds[k.keys()[0]]
				for _, b := range s.numbered {
					s.spell(b, []profile.ID{{}, {Lo: 1}})
				}
				all, _ := s.sums.total()
				require.Equal(t, int64(5), all.values[0])
				row.Columns.Entries.Totals[0] = []int64{math.MinInt64}
				require.NoError(t, k.whole(row))
				require.NoError(t, k.whole(row))
				for _, b := range s.numbered {
					s.sums.addRow(0, &b.table, 1)
				}
				all, _ = s.sums.total()
				require.Equal(t, int64(math.MinInt64), all.values[0])
				require.Equal(t, uint64(math.MaxUint64), all.count)
			}
		}
	}
}

// TestSpell: what was summed by number is added to what was summed by stack, of one
// dictionary and of several.
func TestSpell(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	ids := make([][]profile.ID, 3)
	for i := range ids {
		for j := range 50 {
			ids[i] = append(ids[i], profile.ID{Lo: uint64(j + 30*i)})
		}
	}
	for turn := range 100 {
		types := 1 + turn%profile.MaxTypes
		s := &kindSums{types: types, sums: newSums(types)}
		want := make(map[profile.ID]*table)
		for range 20 {
			i := rnd.IntN(len(ids))
			row := &chunkrow.Row{Header: chunkrow.Header{Dictionary: uint64(i + 1), Entries: 20}}
			e := &row.Columns.Entries
			for range row.Entries {
				f := none()
				for j := range types {
					f.values[j] = rnd.Int64N(100)
					e.Totals[j] = append(e.Totals[j], f.values[j])
				}
				f.count = uint64(f.values[0])
				row.Dense = append(row.Dense, rnd.Uint32N(50))
				if turn%3 == 1 {
					f.count = rnd.Uint64N(5)
					e.Counts = append(e.Counts, f.count)
				}
				if turn%2 == 1 {
					f.lo, f.hi = rnd.Int64N(10), rnd.Int64N(10)
					e.Minima, e.Maxima = append(e.Minima, f.lo), append(e.Maxima, f.hi)
				}
				id := ids[i][row.Dense[len(row.Dense)-1]]
				if want[id] == nil {
					one := newTable(types)
					one.extend(1)
					want[id] = &one
				}
				want[id].add(0, &f)
			}
			if turn%5 == 0 && i == 0 { // as hashes
				for _, n := range row.Dense {
					row.Keys.Stacks = append(row.Keys.Stacks, layout.ID(ids[i][n]))
				}
				s.addStacks(row)
				continue
			}
			require.NoError(t, s.addNumbered(row))
		}
		for key, b := range s.numbered {
			s.spell(b, ids[key.id-1])
		}
		require.Equal(t, len(want), s.sums.len())
		for i, id := range s.sums.stacks {
			require.Equal(t, want[id].at(0), s.sums.at(i), "turn %d", turn)
		}
	}
}
