package chunk

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// model is a chunk as a naive implementation keeps it: the entries of each profile
// by index, in order of the profiles.
type model struct {
	types, entries int
	profiles       []modelProfile
}

type modelProfile struct {
	Profile
	added     []Entry // as they are given to the Builder
	entries   map[uint32]Entry
	exemplars []placedExemplar // Profile is not set
}

// finish sums up what was added and sorts the profiles.
func (m *model) finish() {
	for i := range m.profiles {
		p := &m.profiles[i]
		p.entries = make(map[uint32]Entry)
		for _, e := range p.added {
			if e.Min > e.Max {
				e.Min, e.Max = NoMinimum, NoMaximum
			}
			if old, ok := p.entries[e.Index]; ok {
				for j := range e.Values {
					e.Values[j] += old.Values[j]
				}
				e.Count += old.Count
				e.Min, e.Max = min(e.Min, old.Min), max(e.Max, old.Max)
			}
			p.entries[e.Index] = e
		}
		slices.SortFunc(p.exemplars, compareExemplars)
	}
}

func (m *model) sort() {
	slices.SortStableFunc(m.profiles, func(a, b modelProfile) int {
		return cmp.Or(cmp.Compare(a.Series, b.Series), cmp.Compare(a.Time, b.Time), cmp.Compare(a.Duration, b.Duration))
	})
}

// build gives the profiles to b.
func (m *model) build(tb testing.TB, b *Builder) *Chunk {
	require.NoError(tb, b.Reset(m.types))
	for i := range m.profiles {
		p := &m.profiles[i]
		require.NoError(tb, b.Add(p.Profile, p.added))
		for _, x := range p.exemplars {
			require.NoError(tb, b.AddExemplar(x.Entry, x.Exemplar))
		}
	}
	c, err := b.Build(nil, nil)
	require.NoError(tb, err)
	return c
}

// entriesOf returns those of a profile in ascending order.
func (p *modelProfile) entriesOf() []Entry {
	out := make([]Entry, 0, len(p.entries))
	for _, e := range p.entries {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b Entry) int { return cmp.Compare(a.Index, b.Index) })
	return out
}

func (e *Entry) column(j int) int64 {
	if j == CountColumn {
		return int64(e.Count)
	}
	return e.Values[j]
}

// equal checks that a chunk decodes to the model.
func (m *model) equal(tb testing.TB, c *Chunk) {
	m.sort()
	var r Reader
	require.NoError(tb, r.Verify(c))
	require.Equal(tb, len(m.profiles), c.Profiles())
	require.Equal(tb, m.types, c.Types())
	next, incidences := 0, 0
	require.NoError(tb, r.Profiles(c, nil, func(i int, entries []Entry) error {
		require.Equal(tb, next, i)
		next++
		incidences += len(entries)
		require.Equal(tb, m.profiles[i].Profile, c.Profile(i))
		want := m.profiles[i].entriesOf()
		require.Len(tb, entries, len(want))
		for k := range want {
			require.Equal(tb, want[k], entries[k], "profile %d", i)
		}
		return nil
	}))
	require.Equal(tb, len(m.profiles), next)
	require.Equal(tb, incidences, c.Incidences())
	got := make([][]placedExemplar, len(m.profiles))
	require.NoError(tb, c.EachExemplar(func(at Place, x *Exemplar) error {
		got[at.Profile] = append(got[at.Profile], placedExemplar{Place{Entry: at.Entry}, *x})
		return nil
	}))
	for i := range m.profiles {
		require.Equal(tb, m.profiles[i].exemplars, got[i], "profile %d", i)
	}
}

// randomModel draws one of many shapes.
func randomModel(rng *rand.Rand) *model {
	m := &model{types: 1 + rng.IntN(MaxTypes), entries: 1 + rng.IntN(40)}
	draws := make([]func(n int64) int64, m.types)
	for j := range draws {
		draws[j] = randomValues(rng)
	}
	density := rng.Float64()
	odd := rng.IntN(4) // how often an entry is different in any way
	for range rng.IntN(100) {
		p := modelProfile{Profile: Profile{Series: uint32(rng.IntN(4)), Time: rng.Int64N(1000) - 500, Duration: rng.Int64N(3)}}
		for e := range m.entries {
			if rng.Float64() > density*2/float64(1+e%4) {
				continue
			}
			p.added = append(p.added, randomEntry(rng, uint32(e), draws, odd))
			if rng.IntN(20) == 0 {
				p.added = append(p.added, randomEntry(rng, uint32(e), draws, odd))
			}
			if rng.IntN(30) == 0 {
				for range 1 + rng.IntN(3) {
					p.exemplars = append(p.exemplars, randomExemplar(rng, uint32(e), p.Time))
				}
			}
		}
		rng.Shuffle(len(p.added), func(i, j int) { p.added[i], p.added[j] = p.added[j], p.added[i] })
		m.profiles = append(m.profiles, p)
	}
	m.finish()
	return m
}

// randomValues returns what draws the values of a type, which may depend on those
// of the first.
func randomValues(rng *rand.Rand) func(first int64) int64 {
	scale := rng.Int64N(1<<rng.IntN(40)+1) + 1
	return []func(int64) int64{
		func(int64) int64 { return 0 },
		func(int64) int64 { return 1 },
		func(int64) int64 { return 1 + int64(rng.ExpFloat64()) },
		func(int64) int64 { return rng.Int64N(2*scale) - scale },
		func(first int64) int64 { return first * scale },
		func(first int64) int64 { return first*scale + rng.Int64N(3) - 1 },
		func(first int64) int64 { return -first },
		func(int64) int64 { return int64(rng.Uint64()) },
		func(int64) int64 {
			return []int64{math.MinInt64, math.MaxInt64, -1, 0, 1}[rng.IntN(5)]
		},
	}[rng.IntN(9)]
}

func randomEntry(rng *rand.Rand, index uint32, draws []func(int64) int64, odd int) Entry {
	e := Entry{Index: index, Min: NoMinimum, Max: NoMaximum}
	for j, draw := range draws {
		e.Values[j] = draw(e.Values[0])
	}
	e.Count = uint64(e.Values[0])
	if odd == 0 {
		return e
	}
	if rng.IntN(odd) == 0 {
		e.Count = rng.Uint64N(3)
	}
	switch rng.IntN(3 * odd) {
	case 0:
		e.Min, e.Max = e.Values[0], e.Values[0]
		e.Count = 1
	case 1:
		e.Min = rng.Int64N(100) - 50
		e.Max = e.Min + rng.Int64N(100)
	case 2:
		e.Min, e.Max = math.MinInt64, math.MaxInt64
	}
	return e
}

func randomExemplar(rng *rand.Rand, entry uint32, time int64) placedExemplar {
	x := placedExemplar{Place{Entry: entry}, Exemplar{Time: time + rng.Int64N(100) - 10}}
	if rng.IntN(2) == 0 {
		x.Value = rng.Int64N(2000) - 1000
	}
	for _, id := range [][]byte{x.SpanID[:], x.TraceID[:], x.ProfileID[:]} {
		if rng.IntN(2) == 0 {
			for i := range id {
				id[i] = byte(rng.Uint32())
			}
		}
	}
	return x
}
