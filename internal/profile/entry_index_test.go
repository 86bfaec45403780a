package profile

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
)

// What an EntryIndex finds is what a map finds, over many rounds of all sizes.
func TestEntryIndex(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var x EntryIndex
	for round := range 50 {
		if round == 20 {
			x.round = ^uint32(0) - 3 // wraps around soon
			clear(x.slots)
		}
		want := make(map[[3]int32]int32)
		for n := range int32(rng.IntN(1 << (round % 16))) {
			key := [3]int32{rng.Int32N(4), rng.Int32N(200) - 100, rng.Int32N(50)}
			old, known := want[key]
			got, isNew := x.Find(key[0], key[1], key[2], n)
			assert.Equal(t, !known, isNew)
			if known {
				assert.Equal(t, old, got)
			} else {
				assert.Equal(t, n, got)
				want[key] = n
			}
		}
		x.Reset()
	}
	for n := range int32(1 << 14) {
		x.Find(0, n, 0, n)
	}
	x.Reset()
	x.Find(0, 0, 0, 0)
	x.Reset()
	assert.Empty(t, x.slots, "a large table is given up when it is not needed")
}
