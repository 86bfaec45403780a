package chunk

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// copyColumns returns columns that may be changed.
func copyColumns(c *Columns) Columns {
	out := *c
	p, e := &out.Profiles, &out.Entries
	p.Times, p.Durations, p.Series, p.Events = slices.Clone(p.Times), slices.Clone(p.Durations), slices.Clone(p.Series), slices.Clone(p.Events)
	e.Profiles, e.Counts, e.Minima, e.Maxima = slices.Clone(e.Profiles), slices.Clone(e.Counts), slices.Clone(e.Minima), slices.Clone(e.Maxima)
	for j := range MaxTypes {
		p.Totals[j], e.Totals[j] = slices.Clone(p.Totals[j]), slices.Clone(e.Totals[j])
	}
	for _, s := range out.Streams.all() {
		*s.bytes = slices.Clip(slices.Clone(*s.bytes))
	}
	return out
}

// example has all that a chunk can have.
func example(tb testing.TB) *Chunk {
	c := exampleModel().build(tb, new(Builder))
	for _, s := range c.Columns().Streams.all() {
		require.NotEmpty(tb, *s.bytes, s.name)
	}
	return c
}

func exampleModel() *model {
	rng := rand.New(rand.NewPCG(5, 5))
	m := &model{types: 4}
	for i := range 24 {
		p := modelProfile{Profile: Profile{Series: uint32(i % 3), Time: 1_700_000_000_000_000_000 + int64(i)*15e9, Duration: 15e9}}
		for e := range uint32(9) {
			if (i+int(e))%int(e+1) != 0 && e != 7 {
				continue
			}
			n := 1 + rng.Int64N(3)
			en := Entry{Index: e, Count: uint64(n), Min: NoMinimum, Max: NoMaximum}
			en.Values = [MaxTypes]int64{n, n * 4096, rng.Int64N(3) * 1000, rng.Int64N(1 << 40)}
			if e == 5 || e == 6 && i%2 == 0 {
				en.Values[0] *= 1000
				if e == 6 {
					n *= 5
					en.Count *= 5
				}
				en.Min, en.Max = en.Values[0]/n, en.Values[0]/n+(n-1)*7
			}
			p.added = append(p.added, en)
			if e == 2 && i%6 == 1 {
				p.exemplars = append(p.exemplars, randomExemplar(rng, e, p.Time), randomExemplar(rng, e, p.Time))
			}
		}
		m.profiles = append(m.profiles, p)
	}
	m.finish()
	return m
}

// exercise calls every operation on columns. It returns the first error; none may
// panic. What Verify takes must come back the same when it is built again.
func exercise(tb testing.TB, columns Columns) error {
	c, err := Decode(columns)
	if err != nil {
		require.ErrorIs(tb, err, ErrInvalid)
		return err
	}
	var r Reader
	var s Selection
	s.Set(c, func(i int) bool { return i%2 == 0 })
	sums := make([]int64, c.Entries())
	errs := []error{r.Verify(c)}
	for j := range c.Types() {
		errs = append(errs, r.Sum(c, j, &s, sums), r.SumBy(c, j, make([]int32, c.Profiles()), func(e int) bool { return e > 1 }, make([]int64, 1)))
	}
	errs = append(errs, r.Sum(c, CountColumn, &s, sums), r.Bounds(c, &s, make([]int64, c.Entries()), make([]int64, c.Entries())))
	var b Builder
	require.NoError(tb, b.Reset(c.Types()))
	errs = append(errs, r.Profiles(c, nil, func(p int, entries []Entry) error { return b.Add(c.Profile(p), entries) }))
	series := uint32(0)
	for _, x := range columns.Profiles.Series {
		series = max(series, x)
	}
	if series < 1<<10 {
		identity := func(n int) []uint32 {
			out := make([]uint32, n)
			for i := range out {
				out[i] = uint32(i)
			}
			return out
		}
		var m Merger
		merged, err := m.Merge([]Input{{c, identity(c.Entries()), identity(int(series) + 1)}}, c.Entries())
		errs = append(errs, err)
		if errs[0] == nil {
			require.NoError(tb, err)
			require.NoError(tb, new(Reader).Verify(merged))
			require.Equal(tb, c.Incidences(), merged.Incidences())
		}
	}
	if errs[0] != nil {
		require.ErrorIs(tb, errs[0], ErrInvalid)
		return errs[0]
	}
	for _, err := range errs {
		require.NoError(tb, err, "Verify took it")
	}
	again, err := b.Build(nil, nil)
	require.NoError(tb, err)
	require.NoError(tb, new(Reader).Verify(again))
	require.Equal(tb, c.Incidences(), again.Incidences())
	return nil
}

func TestEveryTruncation(t *testing.T) {
	c := example(t)
	require.NoError(t, exercise(t, *c.Columns()))
	for i, s := range c.Columns().Streams.all() {
		for n := range len(*s.bytes) {
			columns := copyColumns(c.Columns())
			cut := columns.Streams.all()[i].bytes
			*cut = slices.Clip((*cut)[:n])
			if s.name == "exemplars" && n == 0 {
				continue // there are none then
			}
			require.Error(t, exercise(t, columns), "%s cut to %d of %d bytes", s.name, n, len(*s.bytes))
		}
		columns := copyColumns(c.Columns())
		long := columns.Streams.all()[i].bytes
		*long = append(*long, 0)
		require.Error(t, exercise(t, columns), "%s with one more byte", s.name)
	}
}

// A flipped bit gives an error, or other values where no sum would tell.
func TestEveryBitFlip(t *testing.T) {
	c := example(t)
	valid := 0
	for i, s := range c.Columns().Streams.all() {
		for n := range len(*s.bytes) * 8 {
			columns := copyColumns(c.Columns())
			(*columns.Streams.all()[i].bytes)[n/8] ^= 1 << (n % 8)
			if exercise(t, columns) == nil {
				valid++
				assert.Contains(t, []string{"minima", "maxima", "exemplars"}, s.name, "bit %d: no sum of it is stored", n)
			}
		}
	}
	assert.Positive(t, valid, "ids of exemplars may be any bytes")
}

// Arrays that do not fit are refused before a stream is read.
func TestDecodeRefusesArrays(t *testing.T) {
	c := example(t)
	for text, change := range map[string]func(*Columns){
		"version is 2; only 1 is known":              func(c *Columns) { c.Streams.Head[0] = 2 },
		"stream head has 1 bytes":                    func(c *Columns) { c.Streams.Head = c.Streams.Head[:1] },
		"0 sample types":                             func(c *Columns) { c.Streams.Head[1] = 0 },
		"5 sample types":                             func(c *Columns) { c.Streams.Head[1] = 5 },
		"durations: 23 elements; expected 24":        func(c *Columns) { c.Profiles.Durations = c.Profiles.Durations[:23] },
		"series: 0 elements":                         func(c *Columns) { c.Profiles.Series = nil },
		"events: 1 elements":                         func(c *Columns) { c.Profiles.Events = c.Profiles.Events[:1] },
		"maxima of entries: 0":                       func(c *Columns) { c.Entries.Maxima = nil },
		"totals of entries: 8":                       func(c *Columns) { c.Entries.Totals[2] = c.Entries.Totals[2][:8] },
		"entry 3 is in 25 profiles; the chunk has":   func(c *Columns) { c.Entries.Profiles[3] = 25 },
		"totals of type 1: those of the profiles":    func(c *Columns) { c.Entries.Totals[1][0]++ },
		"events in the profiles":                     func(c *Columns) { c.Entries.Counts[1]++ },
		"1048577 profiles; the limit is 1048576":     func(c *Columns) { c.Profiles.Times = make([]int64, MaxProfiles+1) },
		"4194305 entries; the limit is 4194304":      func(c *Columns) { c.Entries.Profiles = make([]uint32, MaxEntries+1) },
		"stream v2 has 268435457 bytes":              func(c *Columns) { c.Streams.Values[2] = make([]byte, MaxStreamBytes+1) },
		"stream head, entry 0, byte 2: modes do not": func(c *Columns) { c.Streams.Head[headBytes] = 2 },
		"part 0 has 127 bytes":                       func(c *Columns) { c.Streams.Small[0] = 127 },
		"more than 67108864 incidences at entry 64":  manyIncidences,
		"modes do not fit 4 types in 1 profile":      func(c *Columns) { c.Entries.Profiles[0] = 1 },
	} {
		columns := copyColumns(c.Columns())
		change(&columns)
		_, err := Decode(columns)
		require.ErrorContains(t, err, text)
		require.ErrorIs(t, err, ErrInvalid)
	}
}

// manyIncidences costs its sender 2 bytes for each million of them.
func manyIncidences(c *Columns) {
	*c = Columns{}
	c.Profiles.Times, c.Profiles.Durations, c.Profiles.Series = make([]int64, MaxProfiles), make([]int64, MaxProfiles), make([]uint32, MaxProfiles)
	c.Profiles.Totals[0] = make([]int64, MaxProfiles)
	c.Streams.Head = append([]byte{Version, 1}, make([]byte, 200)...)
	c.Entries.Profiles, c.Entries.Totals[0] = make([]uint32, 100), make([]int64, 100)
	for i := range c.Entries.Profiles {
		c.Entries.Profiles[i] = MaxProfiles
	}
}

// What Decode does not see, Verify does, in every element of every array.
func TestVerifySeesEveryElement(t *testing.T) {
	c := example(t)
	arrays := func(c *Columns) [][]int64 {
		all := [][]int64{c.Entries.Minima, c.Entries.Maxima}
		for j := range MaxTypes {
			all = append(all, c.Profiles.Totals[j], c.Entries.Totals[j])
		}
		return all
	}
	for a, array := range arrays(c.Columns()) {
		for i := range array {
			columns := copyColumns(c.Columns())
			arrays(&columns)[a][i] ^= 1
			if n := c.Columns().Entries.Profiles; a < 2 && array[i] != NoMinimum && n[i] == 1 {
				continue // this is where the only value is
			}
			if a < 2 && (array[i] == NoMinimum || array[i] == NoMaximum) {
				continue // not known, still
			}
			require.Error(t, exercise(t, columns), "array %d, element %d", a, i)
		}
	}
	columns := copyColumns(c.Columns())
	columns.Profiles.Times[0] = math.MaxInt64
	require.ErrorContains(t, exercise(t, columns), "not in order")
}
