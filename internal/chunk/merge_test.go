package chunk

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// A merged chunk is, byte for byte, the one that is built of all profiles.
func TestMerge(t *testing.T) {
	var all Builder
	var m Merger
	for seed := range uint64(150) {
		rng := rand.New(rand.NewPCG(seed, 3))
		whole := randomModel(rng)
		whole.sort() // so that equal profiles are in the same order everywhere
		n := 1 + rng.IntN(4)
		parts := make([]model, n)
		for i, p := range whole.profiles {
			k := i * n / len(whole.profiles)
			parts[k].profiles = append(parts[k].profiles, p)
		}
		if rng.IntN(2) == 0 { // neighbours in other chunks
			for k := range parts {
				parts[k].profiles = nil
			}
			for _, p := range whole.profiles {
				p.Time = p.Time*10 + int64(rng.IntN(n))
				k := int(p.Time%10+10) % 10
				parts[k].profiles = append(parts[k].profiles, p)
			}
			whole.profiles = nil
			for k := range parts {
				whole.profiles = append(whole.profiles, parts[k].profiles...)
			}
		}
		want := whole.build(t, &all)
		got, err := m.Merge(inputsOf(t, parts, whole.types), want.Entries())
		require.NoError(t, err, "seed %d", seed)
		requireEqualColumns(t, want, got)
		whole.equal(t, got)
	}
}

// Totals are modulo 2^64, so that one that fits is right whatever its parts are and
// whichever way they were added up.
func TestTotalsThatWrap(t *testing.T) {
	const most = math.MaxInt64
	whole := model{types: 1, entries: 1}
	for i, v := range []int64{most, most, most - 1, -most, -most, 8 - most} {
		p := modelProfile{Profile: Profile{Time: int64(i)}}
		p.added = []Entry{{Values: [MaxTypes]int64{v}, Count: 1, Min: NoMinimum, Max: NoMaximum}}
		whole.profiles = append(whole.profiles, p)
	}
	whole.finish()
	parts := []model{{profiles: whole.profiles[:2]}, {profiles: whole.profiles[2:5]}, {profiles: whole.profiles[5:]}}
	merged, err := new(Merger).Merge(inputsOf(t, parts, 1), 1)
	require.NoError(t, err)
	for _, c := range []*Chunk{whole.build(t, new(Builder)), merged} {
		whole.equal(t, c)
		got := []int64{0}
		require.NoError(t, new(Reader).Sum(c, 0, nil, got))
		require.Equal(t, []int64{7}, got)
		var others Selection
		others.Set(c, func(i int) bool { return i != 2 })
		got[0] = 0
		require.NoError(t, new(Reader).Sum(c, 0, &others, got))
		require.Equal(t, []int64{8 - most}, got)
	}
}

// inputsOf builds each part with the entries that it has.
func inputsOf(t *testing.T, parts []model, types int) []Input {
	var inputs []Input
	for k := range parts {
		used := make(map[uint32]bool)
		for _, p := range parts[k].profiles {
			for _, e := range p.added {
				used[e.Index] = true
			}
			for _, x := range p.exemplars {
				used[x.Entry] = true
			}
		}
		in := Input{Series: []uint32{3, 2, 1, 0}}
		local := make(map[uint32]uint32)
		for e := range uint32(MaxProfiles) {
			if used[e] {
				local[e] = uint32(len(in.Entries))
				in.Entries = append(in.Entries, e)
			}
			if len(in.Entries) == len(used) {
				break
			}
		}
		b := new(Builder)
		require.NoError(t, b.Reset(types))
		for _, p := range parts[k].profiles {
			added := make([]Entry, len(p.added))
			for i, e := range p.added {
				e.Index = local[e.Index]
				added[i] = e
			}
			p.Series = 3 - p.Series // other numbers than in the result
			require.NoError(t, b.Add(p.Profile, added))
			for _, x := range p.exemplars {
				require.NoError(t, b.AddExemplar(local[x.Entry], x.Exemplar))
			}
		}
		var err error
		in.Chunk, err = b.Build(nil, nil)
		require.NoError(t, err)
		inputs = append(inputs, in)
	}
	return inputs
}

// requireEqualColumns compares contents; one may be nil and the other empty.
func requireEqualColumns(t *testing.T, want, got *Chunk) {
	w, g := want.Columns().Streams, got.Columns().Streams
	a, b := w.all(), g.all()
	for i := range a {
		require.Equal(t, string(*a[i].bytes), string(*b[i].bytes), a[i].name)
	}
	for j := range MaxTypes {
		require.Equal(t, len(want.columns.Entries.Totals[j]), len(got.columns.Entries.Totals[j]))
	}
}
