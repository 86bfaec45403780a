package writer

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

func TestKnown(t *testing.T) {
	k := NewKnown(100, 60)
	id := profile.HashBytes([]byte("x"))
	a, b := k.key(k.scope("stacks", "t", "s"), id), k.key(k.scope("stacks", "ts", ""), id)
	assert.NotEqual(t, a, b, "fields are delimited")
	assert.NotEqual(t, a, k.key(k.scope("series", "t", "s"), id))
	assert.False(t, k.has(a, 1000))
	k.add([]knownKey{a}, 1000)
	assert.True(t, k.has(a, 1059))
	assert.False(t, k.has(a, 1060), "it is to be written again")
	assert.False(t, k.has(b, 1000))
	for i := range 10_000 {
		k.add([]knownKey{k.key(uint64(i), id)}, 1000)
		assert.LessOrEqual(t, k.Len(), 100)
		if i%20 == 0 {
			assert.True(t, k.has(a, 1010), "what is used stays (%d)", i)
		}
	}
	k.Clear()
	assert.Zero(t, k.Len())
	assert.False(t, k.has(a, 1000))
}

// TestKeyTable compares it with a map.
func TestKeyTable(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var table keyTable
	for _, keys := range []int{3000, 10, 3000, 1} {
		want := make(map[knownKey]uint32)
		for range 5000 {
			key := knownKey(1 + rng.IntN(keys)<<rng.IntN(3)) // neighbours
			n, ok := table.get(key)
			wantN, wantOK := want[key]
			require.Equal(t, wantOK, ok)
			require.Equal(t, wantN, n)
			if rng.IntN(2) == 0 {
				n = rng.Uint32()
				table.put(key, n)
				want[key] = n
			}
			require.Len(t, want, table.n)
		}
		table.clear()
		require.Zero(t, table.n)
	}
}

// BenchmarkKnown looks up what is known, as most of a window is.
func BenchmarkKnown(b *testing.B) {
	k := NewKnown(1<<20, 60)
	ids := make([]profile.ID, 1<<18)
	scope := k.scope("stacks", "t", "s")
	for i := range ids {
		ids[i] = profile.HashBytes([]byte(fmt.Sprint(i)))
		k.add([]knownKey{k.key(scope, ids[i])}, 1000)
	}
	n := 0
	for b.Loop() {
		n++
		if !k.has(k.key(scope, ids[n*7919%len(ids)]), 1000) {
			b.Fatal("it is not known")
		}
	}
}

func TestBounds(t *testing.T) {
	f := func(kind string, e profile.Entry, known bool) {
		t.Helper()
		lo, hi := Bounds(&profile.Group{Kind: kind, Types: profile.Types(kind)}, &e)
		assert.Equal(t, known, lo <= hi, fmt.Sprint(kind, e))
	}
	sum := func(v int64) [profile.MaxTypes]int64 { return [profile.MaxTypes]int64{v} }
	f(profile.KindCPU, profile.Entry{Count: 3, Values: sum(3)}, false)
	f(profile.KindLock, profile.Entry{Count: 3, Values: sum(3)}, false)
	f(profile.KindLock, profile.Entry{Count: 3, Values: sum(0)}, true)
	f(profile.KindLock, profile.Entry{Count: 3, Values: sum(3), Max: 3}, true)
	f(profile.KindLock, profile.Entry{}, false)
	f("heap", profile.Entry{Count: 1, Values: sum(0)}, false)
}
