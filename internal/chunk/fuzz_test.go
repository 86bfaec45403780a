package chunk

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// packArrays writes the arrays of columns as varints, unpackArrays reads them.
func packArrays(c *Columns) []byte {
	out := binary.AppendUvarint(nil, uint64(len(c.Profiles.Times)))
	out = binary.AppendUvarint(out, uint64(len(c.Entries.Profiles)))
	flags := uint64(0)
	for i, has := range []bool{len(c.Profiles.Events) > 0, len(c.Entries.Counts) > 0, len(c.Entries.Minima) > 0} {
		if has {
			flags |= 1 << i
		}
	}
	out = binary.AppendUvarint(out, flags)
	for _, a := range arraysOf(c) {
		for i := range a.n {
			out = binary.AppendVarint(out, a.get(i))
		}
	}
	return out
}

func unpackArrays(b []byte, types int, c *Columns) {
	next := func() uint64 {
		v, n := binary.Uvarint(b)
		b = b[max(n, 0):]
		return v
	}
	profiles, entries, flags := next()%300, next()%300, next()
	p, e := &c.Profiles, &c.Entries
	p.Times, p.Durations, p.Series = make([]int64, profiles), make([]int64, profiles), make([]uint32, profiles)
	e.Profiles = make([]uint32, entries)
	for j := range min(types, MaxTypes) {
		p.Totals[j], e.Totals[j] = make([]int64, profiles), make([]int64, entries)
	}
	if flags&1 != 0 {
		p.Events = make([]uint64, profiles)
	}
	if flags&2 != 0 {
		e.Counts = make([]uint64, entries)
	}
	if flags&4 != 0 {
		e.Minima, e.Maxima = make([]int64, entries), make([]int64, entries)
	}
	for _, a := range arraysOf(c) {
		for i := range a.n {
			v, size := binary.Varint(b)
			b = b[max(size, 0):]
			a.set(i, v)
		}
	}
}

// anyArray is an array of numbers.
type anyArray struct {
	n   int
	get func(int) int64
	set func(int, int64)
}

func asArray[T int64 | uint64 | uint32](a []T) anyArray {
	return anyArray{len(a), func(i int) int64 { return int64(a[i]) }, func(i int, v int64) { a[i] = T(v) }}
}

func arraysOf(c *Columns) []anyArray {
	p, e := &c.Profiles, &c.Entries
	out := []anyArray{
		asArray(p.Times), asArray(p.Durations), asArray(p.Series), asArray(p.Events),
		asArray(e.Profiles), asArray(e.Counts), asArray(e.Minima), asArray(e.Maxima),
	}
	for j := range MaxTypes {
		out = append(out, asArray(p.Totals[j]), asArray(e.Totals[j]))
	}
	return out
}

// FuzzDecode gives any bytes to all operations.
func FuzzDecode(f *testing.F) {
	add := func(c *Chunk) {
		columns := copyColumns(c.Columns())
		s := &columns.Streams
		f.Add(packArrays(&columns), s.Head, s.Positions, s.Small, s.Values[0], s.Values[1], s.Values[2], s.Values[3], s.Counts, s.Minima, s.Maxima, s.Exemplars)
	}
	add(example(f))
	add(durations().build(f, new(Builder)))
	for seed := range uint64(10) {
		m := randomModel(rand.New(rand.NewPCG(seed, 9)))
		add(m.build(f, new(Builder)))
	}
	f.Fuzz(func(t *testing.T, arrays, head, positions, small, v0, v1, v2, v3, counts, minima, maxima, exemplars []byte) {
		c := Columns{Streams: Streams{Head: head, Positions: positions, Small: small, Values: [MaxTypes][]byte{v0, v1, v2, v3}, Counts: counts, Minima: minima, Maxima: maxima, Exemplars: exemplars}}
		types := 0
		if len(head) > 1 {
			types = int(head[1])
		}
		unpackArrays(arrays, types, &c)
		_ = exercise(t, c)
	})
}

// FuzzRoundTrip draws a chunk, which must come back as it was.
func FuzzRoundTrip(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) {
		m := randomModel(rand.New(rand.NewPCG(a, b)))
		c, err := Decode(*m.build(t, new(Builder)).Columns())
		require.NoError(t, err)
		m.equal(t, c)
	})
}
