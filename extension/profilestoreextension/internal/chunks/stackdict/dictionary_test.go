package stackdict

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

func location(n int) profile.ID { return profile.HashBytes(fmt.Appendf(nil, "location %d", n)) }

// stackOf makes a stack of locations, leaf first.
func stackOf(locations ...int) stack {
	s := stack{}
	for _, n := range locations {
		s.locations = append(s.locations, location(n))
	}
	s.id, _ = profile.StackID(s.locations, nil)
	return s
}

// draw returns n different stacks which share prefixes, also as parts of others.
func draw(rng *rand.Rand, n int) []stack {
	seen := make(map[profile.ID]bool)
	var out []stack
	for len(out) < n {
		var path []int
		for range 1 + rng.IntN(12) {
			path = append(path, rng.IntN(3+len(path)))
		}
		slices.Reverse(path)
		if s := stackOf(path...); !seen[s.id] {
			seen[s.id] = true
			out = append(out, s)
		}
	}
	return out
}

// segments adds stacks in several segments.
func segments(tb testing.TB, rng *rand.Rand, stacks []stack) (d *Dictionary, out []*Segment) {
	tb.Helper()
	b := newBuilder(empty())
	for len(stacks) > 0 {
		n := 1 + rng.IntN(len(stacks))
		s, err := b.build(slices.Clone(stacks[:n]))
		require.NoError(tb, err)
		out = append(out, s)
		stacks = stacks[n:]
		if rng.IntN(2) == 0 { // as after it was read again
			b = newBuilder(b.dict.clone())
		}
	}
	return b.dict, out
}

// TestDictionary: whatever the segments, each stack is found, and old dictionaries
// stay as they were.
func TestDictionary(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		stacks := draw(rng, 1+rng.IntN(60))
		built, all := segments(t, rng, stacks)
		d := empty()
		var olds []*Dictionary
		for _, s := range all {
			next, err := d.extend(s)
			require.NoError(t, err)
			assert.Equal(t, int(s.First), d.Len())
			d = next
			olds = append(olds, d)
		}
		assert.Equal(t, len(stacks)+1, d.Len())
		assert.Equal(t, built.ids, d.ids)
		nodes := make(map[string]bool)
		for _, s := range stacks {
			n, ok := d.Stack(s.id)
			require.True(t, ok)
			require.NotZero(t, n)
			assert.Equal(t, s.id, d.IDs()[n])
			assert.Equal(t, s.locations, d.AppendLocations(nil, n))
			for i := range s.locations {
				nodes[fmt.Sprint(s.locations[i:])] = true
			}
			for _, old := range olds {
				m, ok := old.Stack(s.id)
				assert.Equal(t, int(n) < old.Len(), ok)
				if ok {
					assert.Equal(t, n, m)
					assert.Equal(t, s.locations, old.AppendLocations(nil, m))
				}
			}
		}
		assert.Len(t, d.Parents(), len(nodes)+1, "each prefix is there once")
		_, ok := d.Stack(location(1))
		assert.False(t, ok)
		n, ok := d.Stack(profile.ID{})
		assert.True(t, ok)
		assert.Zero(t, n)
		assert.Empty(t, d.AppendLocations(nil, 0))
	}
}

// TestInvalidSegments: what no author writes is refused, and says why.
func TestInvalidSegments(t *testing.T) {
	b := newBuilder(empty())
	_, err := b.build([]stack{stackOf(1, 2), stackOf(3)})
	require.NoError(t, err)
	d := b.dict
	good, err := newBuilder(d.clone()).build([]stack{stackOf(4, 1, 2), stackOf(5, 2)})
	require.NoError(t, err)
	_, err = d.clone().extend(good)
	require.NoError(t, err)
	f := func(want string, change func(s *Segment)) {
		t.Helper()
		s := *good
		s.Up, s.Frames, s.Nodes = slices.Clone(s.Up), slices.Clone(s.Frames), slices.Clone(s.Nodes)
		s.Locations = slices.Clone(s.Locations)
		change(&s)
		_, err := d.clone().extend(&s)
		require.ErrorIs(t, err, ErrInvalid)
		assert.ErrorContains(t, err, want)
	}
	f("seq 1; must be 2", func(s *Segment) { s.Seq = 1 })
	f("seq 3; must be 2", func(s *Segment) { s.Seq = 3 })
	f("first stack 1, node 4 and location 3; must be 3, 4 and 3", func(s *Segment) { s.First = 1 })
	f("node 5", func(s *Segment) { s.FirstNode++ })
	f("location 4", func(s *Segment) { s.FirstLocation++ })
	f("1 parents for 2 nodes", func(s *Segment) { s.Up = s.Up[:1] })
	f("node 4: parent is 0 below", func(s *Segment) { s.Up[0] = 0 })
	f("node 4: parent is 5 below; must be 1 to 4", func(s *Segment) { s.Up[0] = 5 })
	f("location 5; there are 5", func(s *Segment) { s.Frames[0] = 5 })
	f("location 4; there are 4", func(s *Segment) { s.Locations = s.Locations[:1] })
	f("node 0; must be 1 to 5", func(s *Segment) { s.Nodes[0] = 0 })
	f("node 6; must be 1 to 5", func(s *Segment) { s.Nodes[1] = 6 })
	f("stack 4 is not above", func(s *Segment) { slices.Reverse(s.Nodes) })
	f("checksum of 1 stacks", func(s *Segment) { s.Nodes = s.Nodes[:1] })
	f("checksum of 2 stacks", func(s *Segment) { s.Checksum++ })
	f("checksum", func(s *Segment) { s.Nodes = nil })
	f("limit is 16777216", func(s *Segment) { s.Up = make([]uint32, MaxNodes); s.Frames = s.Up })
	f("limit is 4194304", func(s *Segment) { s.Locations = make([]proto.UInt128, MaxLocations) })
	f("limit is 1048576", func(s *Segment) { s.Nodes = make([]uint32, MaxStacks) })
	deep := &Segment{Seq: 1, First: 1, FirstNode: 1, Locations: good.Locations}
	for range MaxDepth + 1 {
		deep.Up, deep.Frames = append(deep.Up, 1), append(deep.Frames, 0)
	}
	_, err = empty().extend(deep)
	require.ErrorContains(t, err, "node 16385: depth 16385; must be at most 16384")
}

// TestTruncated: every shorter array of a segment is refused.
func TestTruncated(t *testing.T) {
	d, all := segments(t, rand.New(rand.NewPCG(3, 4)), draw(rand.New(rand.NewPCG(5, 6)), 20))
	require.Positive(t, d.Len())
	for i, s := range all {
		before := empty()
		for _, p := range all[:i] {
			next, err := before.extend(p)
			require.NoError(t, err)
			before = next
		}
		f := func(n int, cut func(s *Segment, n int)) {
			for n := range n {
				short := *s
				cut(&short, n)
				_, err := before.clone().extend(&short)
				require.ErrorIs(t, err, ErrInvalid)
			}
		}
		f(len(s.Up), func(s *Segment, n int) { s.Up = s.Up[:n] })
		f(len(s.Frames), func(s *Segment, n int) { s.Frames = s.Frames[:n] })
		f(len(s.Up), func(s *Segment, n int) { s.Up, s.Frames = s.Up[:n], s.Frames[:n] })
		f(len(s.Nodes), func(s *Segment, n int) { s.Nodes = s.Nodes[:n] })
		f(len(s.Locations), func(s *Segment, n int) { s.Locations = s.Locations[:n] })
	}
}

// TestGolden: what is stored means the same for ever.
func TestGolden(t *testing.T) {
	b := newBuilder(empty())
	s, err := b.build([]stack{stackOf(1, 2, 3), stackOf(2, 3), stackOf(4, 2, 3), stackOf(5)})
	require.NoError(t, err)
	second, err := b.build([]stack{stackOf(5, 5), stackOf(6, 4, 2, 3)})
	require.NoError(t, err)
	ids := func(ns ...int) (out []proto.UInt128) {
		for _, n := range ns {
			out = append(out, proto.UInt128{Low: location(n).Lo, High: location(n).Hi})
		}
		return out
	}
	assert.Equal(t, &Segment{
		Seq: 1, First: 1, FirstNode: 1, Checksum: 0xcae2d8937ff64978, Locations: ids(3, 2, 1, 4, 5),
		Up: []uint32{1, 1, 1, 2, 5}, Frames: []uint32{0, 1, 2, 3, 4}, Nodes: []uint32{3, 2, 4, 5},
	}, s)
	assert.Equal(t, &Segment{
		Seq: 2, First: 5, FirstNode: 6, FirstLocation: 5, Checksum: 0x123262a8cbf058d0, Locations: ids(6),
		Up: []uint32{2, 2}, Frames: []uint32{5, 4}, Nodes: []uint32{6, 7},
	}, second)
}

// FuzzSegment: any segment is refused or can be read.
func FuzzSegment(f *testing.F) {
	bytesOf := func(v []uint32) (out []byte) {
		for _, n := range v {
			out = append(out, byte(n))
		}
		return out
	}
	_, all := segments(f, rand.New(rand.NewPCG(7, 8)), draw(rand.New(rand.NewPCG(9, 10)), 10))
	for _, s := range all {
		f.Add(bytesOf(s.Up), bytesOf(s.Frames), bytesOf(s.Nodes), uint8(len(s.Locations)), s.Checksum)
	}
	f.Fuzz(func(t *testing.T, up, frames, nodes []byte, locations uint8, sum uint64) {
		numbers := func(b []byte) (out []uint32) {
			for _, v := range b {
				n := uint32(v)
				if v >= 0xf0 {
					n = ^uint32(0) >> (v & 15)
				}
				out = append(out, n)
			}
			return out
		}
		s := &Segment{Seq: 1, First: 1, FirstNode: 1, Checksum: sum, Up: numbers(up), Frames: numbers(frames), Nodes: numbers(nodes)}
		for i := range locations {
			s.Locations = append(s.Locations, proto.UInt128{Low: uint64(i)})
		}
		d, err := empty().extend(s)
		if err != nil {
			require.ErrorIs(t, err, ErrInvalid)
			// Most is refused for its checksum alone.
			return
		}
		for i := range d.Len() {
			d.AppendLocations(nil, uint32(i))
		}
	})
}
