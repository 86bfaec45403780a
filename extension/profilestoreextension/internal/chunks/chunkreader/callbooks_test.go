package chunkreader

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// chain is a dictionary of one stack with that many nodes, each of a location of its own.
type chain int

func (c chain) Parents() []uint32 {
	out := make([]uint32, c)
	for i := range out {
		out[i] = uint32(max(i-1, 0))
	}
	return out
}

func (c chain) NodeLocations() []uint32 { return c.Parents() }

func (c chain) LocationIDs() []profile.ID {
	out := make([]profile.ID, c-1)
	for i := range out {
		out[i].Lo = uint64(i + 1)
	}
	return out
}

// TestLostFramesStayLost: who got a tree with locations without frames keeps it when
// the frames have come for others.
func TestLostFramesStayLost(t *testing.T) {
	p := newCallPaths()
	missing := uint64(0)
	frames := func(_ context.Context, _ string, ids []profile.ID) (map[profile.ID]*profile.Frame, error) {
		out := make(map[profile.ID]*profile.Frame)
		for _, id := range ids {
			if id.Lo != missing {
				out[id] = &profile.Frame{Function: profile.Function{Name: string(rune('a' + id.Lo))}}
			}
		}
		return out, nil
	}
	book := func(c chain) tree {
		got, err := p.book(t.Context(), tenantBook{}, c, frames, 1<<20)
		require.NoError(t, err)
		require.Len(t, got.function, int(c))
		return got
	}
	book(5)
	for n := chain(6); n < 100; n++ {
		missing = uint64(n - 1)
		without := book(n)
		before := slices.Clone(without.function)
		require.Equal(t, uint32(lost), before[n-1])
		missing = 0
		found := book(n)
		assert.Equal(t, before, without.function)
		require.Equal(t, uint32(n-2), found.function[n-1])
	}
}
