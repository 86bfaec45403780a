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
		s, want := newSums(), map[key]int64{}
		for range 20_000 {
			k := key{stack: profile.HashBytes(fmt.Append(nil, rnd.IntN(3000)))}
			if rnd.IntN(100) == 0 {
				k.stack = profile.ID{}
			}
			s.grow(1)
			v := rnd.Int64N(100)
			if detailed {
				k.a = attributes{lock: rnd.Uint64N(2), syscall: rnd.Int64N(3) - 1, bucket: uint8(rnd.IntN(2)), failed: uint8(rnd.IntN(2))}
				s.atAttributes(k.stack, k.a).values[0] += v
			} else {
				s.at(k.stack).values[0] += v
			}
			want[k] += v
		}
		require.Equal(t, len(want), s.len())
		for i, stack := range s.stacks {
			assert.Equal(t, want[key{stack, s.of(i)}], s.figures[i].values[0])
		}
		all := s.top(s.len())
		require.Len(t, all, s.len())
		for i := 1; i < len(all); i++ {
			require.GreaterOrEqual(t, s.figures[all[i-1]].values[0], s.figures[all[i]].values[0])
		}
		for _, n := range []int{0, 1, 7, 500, s.len() / 2, s.len() - 1, 2 * s.len()} {
			assert.Equal(t, all[:min(n, len(all))], s.top(n), n)
		}
	}
}

// TestSumsAtTheBounds: a sum that fits is exact, whatever the order; counts stop at
// their largest.
func TestSumsAtTheBounds(t *testing.T) {
	row := &chunkrow.Row{Header: chunkrow.Header{Key: chunkrow.Key{Kind: "cpu", Types: "a/b"}, Entries: 1}}
	row.Keys.Stacks = []proto.UInt128{{Low: 1}}
	row.Columns.Entries.Counts = []uint64{math.MaxUint64 - 1}
	for _, opts := range []profilestore.MergeOptions{{}, {ByLock: true}} {
		k := newKinds(opts, 0)
		for _, total := range []int64{math.MaxInt64, 5, math.MaxInt64, -math.MaxInt64, -math.MaxInt64} {
			row.Columns.Entries.Totals[0] = []int64{total}
			require.NoError(t, k.whole(row))
		}
		all, _ := k.kinds[k.keys()[0]].sums.total()
		require.Equal(t, int64(5), all.values[0])
		require.Equal(t, uint64(math.MaxUint64), all.count)
	}
}
