package chunk

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRoundTrip(t *testing.T) {
	var b Builder
	for seed := range uint64(400) {
		m := randomModel(rand.New(rand.NewPCG(seed, 1)))
		c := m.build(t, &b)
		decoded, err := Decode(*c.Columns())
		require.NoError(t, err, "seed %d", seed)
		assert.Equal(t, c, decoded)
		m.equal(t, decoded)
	}
}

func TestRoundTripOfNothing(t *testing.T) {
	for _, m := range []*model{
		{types: 1},
		{types: 4, profiles: []modelProfile{{}}},
		{types: 2, profiles: []modelProfile{{added: []Entry{{Index: 3, Min: NoMinimum, Max: NoMaximum}}}}},
	} {
		m.finish()
		var b Builder
		m.equal(t, m.build(t, &b))
	}
}

// Sums of any selection are those of the naive implementation.
func TestSums(t *testing.T) {
	var b Builder
	var r Reader
	var s Selection
	for seed := range uint64(150) {
		rng := rand.New(rand.NewPCG(seed, 2))
		m := randomModel(rng)
		c := m.build(t, &b)
		m.sort()
		for _, share := range []float64{0, 0.1, 0.5, 1.1} {
			in := make([]bool, c.Profiles())
			for i := range in {
				in[i] = rng.Float64() < share
			}
			s.Set(c, func(i int) bool { return in[i] })
			for j := range m.types + 1 {
				column := j
				if j == m.types {
					column = CountColumn
				}
				want, got := make([]int64, c.Entries()), make([]int64, c.Entries())
				for i, p := range m.profiles {
					for _, e := range p.entries {
						if in[i] {
							want[e.Index] += e.column(column)
						}
					}
				}
				require.NoError(t, r.Sum(c, column, &s, got))
				require.Equal(t, want, got, "seed %d, column %d", seed, column)
				if share > 1 {
					clear(got)
					require.NoError(t, r.Sum(c, column, nil, got))
					require.Equal(t, want, got, "seed %d, column %d", seed, column)
				}
			}
			compareBounds(t, m, c, &r, &s, in)
		}
		compareGroups(t, rng, m, c, &r)
	}
}

func compareBounds(t *testing.T, m *model, c *Chunk, r *Reader, s *Selection, in []bool) {
	var want, got [2][]int64
	for range c.Entries() {
		want[0], want[1] = append(want[0], NoMinimum), append(want[1], NoMaximum)
		got[0], got[1] = append(got[0], NoMinimum), append(got[1], NoMaximum)
	}
	for i, p := range m.profiles {
		for _, e := range p.entries {
			if in[i] {
				want[0][e.Index] = min(want[0][e.Index], e.Min)
				want[1][e.Index] = max(want[1][e.Index], e.Max)
			}
		}
	}
	require.NoError(t, r.Bounds(c, s, got[0], got[1]))
	require.Equal(t, want, got)
}

func compareGroups(t *testing.T, rng *rand.Rand, m *model, c *Chunk, r *Reader) {
	groups := make([]int32, c.Profiles())
	for i := range groups {
		groups[i] = int32(rng.IntN(5)) - 1
	}
	for j := range m.types + 1 {
		column := j
		if j == m.types {
			column = CountColumn
		}
		for _, include := range []func(int) bool{nil, func(e int) bool { return e%3 == 0 }} {
			want, got := make([]int64, 4), make([]int64, 4)
			for i, p := range m.profiles {
				for _, e := range p.entries {
					if g := groups[i]; g >= 0 && (include == nil || include(int(e.Index))) {
						want[g] += e.column(column)
					}
				}
			}
			require.NoError(t, r.SumBy(c, column, groups, include, got))
			require.Equal(t, want, got)
		}
	}
}

// Indices may be given in the order of arrival and put right at the end.
func TestBuildWithMaps(t *testing.T) {
	var arrival, sorted Builder
	require.NoError(t, arrival.Reset(1))
	require.NoError(t, sorted.Reset(1))
	series, entries := []uint32{1, 0}, []uint32{2, 0, 1}
	for i := range int64(6) {
		p := Profile{Series: uint32(i % 2), Time: i}
		var a, b []Entry
		for e := range uint32(3) {
			v := [MaxTypes]int64{i + int64(e)}
			a = append(a, Entry{Index: e, Values: v, Count: 1})
			b = append(b, Entry{Index: entries[e], Values: v, Count: 1})
		}
		require.NoError(t, arrival.Add(p, a))
		require.NoError(t, arrival.AddExemplar(0, Exemplar{Time: i}))
		p.Series = series[p.Series]
		require.NoError(t, sorted.Add(p, b))
		require.NoError(t, sorted.AddExemplar(2, Exemplar{Time: i}))
	}
	got, err := arrival.Build(entries, series)
	require.NoError(t, err)
	want, err := sorted.Build(nil, nil)
	require.NoError(t, err)
	assert.Equal(t, want, got)
	for _, bad := range [][2][]uint32{{{0, 1}, nil}, {{0, 1, 3}, nil}, {nil, {0}}} {
		_, err := arrival.Build(bad[0], bad[1])
		require.ErrorIs(t, err, ErrInvalid)
	}
}

func TestArgumentsThatDoNotFit(t *testing.T) {
	var b Builder
	require.ErrorIs(t, b.Reset(0), ErrInvalid)
	require.ErrorIs(t, b.Reset(5), ErrInvalid)
	require.NoError(t, b.Reset(2))
	require.ErrorIs(t, b.AddExemplar(0, Exemplar{}), ErrInvalid, "no profile")
	require.ErrorContains(t, b.Add(Profile{}, []Entry{{Index: MaxEntries}}), "the limit is 4194304")
	require.ErrorContains(t, b.Add(Profile{}, []Entry{{Values: [MaxTypes]int64{0, 0, 7}}}), "value 2 is 7")
	assert.Zero(t, b.Profiles())
	require.NoError(t, b.Add(Profile{Series: 1}, []Entry{{Index: 1}, {Index: 0}}))
	assert.Equal(t, 2, b.Incidences())
	require.ErrorIs(t, b.AddExemplar(MaxEntries, Exemplar{}), ErrInvalid)
	c, err := b.Build(nil, nil)
	require.NoError(t, err)

	var r Reader
	for _, column := range []int{-1, 2, CountColumn + 1} {
		require.ErrorIs(t, r.Sum(c, column, nil, make([]int64, 2)), ErrInvalid)
	}
	require.ErrorIs(t, r.Sum(c, 0, nil, make([]int64, 1)), ErrInvalid)
	require.ErrorIs(t, r.Sum(c, 0, new(Selection), make([]int64, 2)), ErrInvalid)
	require.ErrorIs(t, r.Bounds(c, nil, nil, nil), ErrInvalid)
	require.ErrorIs(t, r.SumBy(c, 2, []int32{0}, nil, make([]int64, 1)), ErrInvalid)
	require.ErrorIs(t, r.SumBy(c, 0, nil, nil, make([]int64, 1)), ErrInvalid)
	require.ErrorIs(t, r.SumBy(c, 0, []int32{1}, nil, make([]int64, 1)), ErrInvalid)

	var m Merger
	_, err = m.Merge(nil, 0)
	require.ErrorIs(t, err, ErrInvalid)
	good := Input{c, []uint32{0, 1}, []uint32{0, 0}}
	_, err = m.Merge([]Input{good}, MaxEntries+1)
	require.ErrorIs(t, err, ErrFull)
	for _, bad := range []Input{
		{c, []uint32{0}, good.Series},
		{c, []uint32{1, 0}, good.Series},
		{c, []uint32{0, 5}, good.Series},
		{c, good.Entries, []uint32{0}},
	} {
		_, err = m.Merge([]Input{bad}, 2)
		require.ErrorIs(t, err, ErrInvalid)
	}
	other := new(Builder)
	require.NoError(t, other.Reset(1))
	oc, err := other.Build(nil, nil)
	require.NoError(t, err)
	_, err = m.Merge([]Input{good, {Chunk: oc}}, 2)
	require.ErrorContains(t, err, "has 1 types; the first has 2")
}

func TestFull(t *testing.T) {
	var b Builder
	require.NoError(t, b.Reset(1))
	for range MaxProfiles {
		if err := b.Add(Profile{}, nil); err != nil {
			require.NoError(t, err)
		}
	}
	require.ErrorIs(t, b.Add(Profile{}, nil), ErrFull)
	c, err := b.Build(nil, nil)
	require.NoError(t, err)
	var r Reader
	require.NoError(t, r.Verify(c))
}
