package stackdict

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// deep returns so many stacks below one path, with more frames than a dictionary may
// have locations.
func deep(n, depth int) []stack {
	path := make([]profile.ID, depth)
	for i := range path {
		path[i] = profile.ID{Hi: 1, Lo: uint64(i)}
	}
	out := make([]stack, n)
	for i := range out {
		path[0] = profile.ID{Hi: 2, Lo: uint64(i)}
		out[i].locations = append([]profile.ID(nil), path...)
		out[i].id, _ = profile.StackID(path, nil)
	}
	return out
}

// TestDeepStacks drains a service whose stacks are so deep that not all can be handled
// at once.
func TestDeepStacks(t *testing.T) {
	f := newFixture(t)
	stacks := deep(MaxLocations/2048+1, 2048)
	f.log("deep", stacks...)
	f.log("a", draw(f.rng, 10)...)
	a := f.author()
	drained, err := a.Drain(context.Background(), now, nil)
	require.NoError(t, err)
	assert.Positive(t, drained.Parts)
	assert.EqualValues(t, len(stacks)+10, drained.Rows)
	assert.Zero(t, drained.Waiting)
	assert.Zero(t, f.count(Log))
	assert.Greater(t, f.count(Table), 4, "segments of few stacks")
	f.known = nil // or it takes its time
	require.NoError(t, f.number(a, "deep", now, stacks[:10]...))
	f.check()
	for _, b := range a.books {
		assert.LessOrEqual(t, b.segments, uint32(10))
	}
}

// TestRoom: frames are counted by what they are, where they are many.
func TestRoom(t *testing.T) {
	b := newBuilder(empty())
	assert.True(t, b.room(deep(MaxLocations/2048+1, 2048)))
	var wide []stack
	for i := range MaxLocations/MaxDepth + 1 {
		s := stack{locations: make([]profile.ID, MaxDepth)}
		for j := range s.locations {
			s.locations[j] = profile.ID{Hi: uint64(i), Lo: uint64(j)}
		}
		wide = append(wide, s)
	}
	assert.False(t, b.room(wide))
	assert.True(t, b.room(wide[1:]))
}

// TestExtras: of stacks that were not asked for not too many are taken.
func TestExtras(t *testing.T) {
	f := newFixture(t)
	stacks := deep(extraFrames/usualDepth+100, usualDepth)
	f.log("a", stacks...)
	a := f.author()
	require.NoError(t, f.number(a, "a", now, stacks[0]))
	d := a.books[service{tenant, "a"}].builder.dict
	assert.Greater(t, d.Len(), 1000)
	assert.LessOrEqual(t, d.Len(), extraFrames/usualDepth+2)
	f.known = nil
	f.check()
}

// TestDrainOthers: a service with a stack that cannot be added keeps the parts that it
// is in, and no others.
func TestDrainOthers(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	f.exec("SYSTEM STOP MERGES " + f.tables.Table(Log))
	stacks := draw(f.rng, 20)
	bad := stack{id: profile.ID{Hi: 1, Lo: 2}, locations: stacks[0].locations}
	f.log("bad", stacks[0], bad)
	f.log("a", stacks[:10]...)
	f.log("z", stacks[10:]...)
	for range 2 {
		drained, err := f.author().Drain(ctx, now, nil)
		require.ErrorIs(t, err, ErrUnknown)
		require.ErrorContains(t, err, "bad")
		assert.LessOrEqual(t, drained.Parts, 2)
		assert.EqualValues(t, 2, drained.Waiting)
		assert.Equal(t, 2, f.count(Log))
	}
	f.check()
}
