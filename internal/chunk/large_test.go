package chunk

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Entries whose profiles are close together and one that is far away: long runs of
// zeros in the positions, and few bits in many words while merging.
func TestFarPositions(t *testing.T) {
	const profiles = 100_000
	in := func(e, i int) bool {
		switch e {
		case 0:
			return i < 100 || i == profiles-1
		case 1:
			return i == 1 || i == profiles-2 // of two chunks when merging
		case 2:
			return i > 50_000
		}
		return i >= 100 && i != profiles-1 // all but those of 0
	}
	var whole, even, odd Builder
	for _, b := range []*Builder{&whole, &even, &odd} {
		require.NoError(t, b.Reset(1))
	}
	var want [4]int
	for i := range profiles {
		var entries []Entry
		for e := range want {
			if in(e, i) {
				want[e]++
				entries = append(entries, Entry{Index: uint32(e), Values: [MaxTypes]int64{int64(i % 5)}, Min: NoMinimum, Max: NoMaximum})
			}
		}
		p := Profile{Time: int64(i)}
		require.NoError(t, whole.Add(p, entries))
		require.NoError(t, []*Builder{&even, &odd}[i%2].Add(p, entries))
	}
	c, err := whole.Build(nil, nil)
	require.NoError(t, err)
	for e, n := range c.Columns().Entries.Profiles {
		assert.Equal(t, want[e], int(n))
	}
	var cur Cursor
	cur.Reset(c, Value(0))
	for cur.Next() {
		for k, p := range cur.Profiles() {
			if !in(cur.Entry(), int(p)) || cur.Values(0)[k] != int64(p%5) {
				t.Fatalf("entry %d, profile %d", cur.Entry(), p)
			}
		}
	}
	require.NoError(t, cur.Err())

	var inputs []Input
	for _, b := range []*Builder{&even, &odd} {
		part, err := b.Build(nil, nil)
		require.NoError(t, err)
		inputs = append(inputs, Input{part, []uint32{0, 1, 2, 3}, []uint32{0}})
	}
	var m Merger
	merged, err := m.Merge(inputs, 4)
	require.NoError(t, err)
	requireEqualColumns(t, c, merged)
	require.NoError(t, new(Reader).Verify(merged))
}

// More than a block of entries is taken apart in several passes.
func TestProfilesInBlocks(t *testing.T) {
	const profiles, entries = 1 << 13, 260 // 2,129,920
	var b Builder
	require.NoError(t, b.Reset(1))
	added := make([]Entry, entries)
	for i := range profiles {
		for e := range added {
			added[e] = Entry{Index: uint32(e), Values: [MaxTypes]int64{int64(i ^ e)}, Count: 1, Min: NoMinimum, Max: NoMaximum}
		}
		require.NoError(t, b.Add(Profile{Time: int64(i)}, added))
	}
	c, err := b.Build(nil, nil)
	require.NoError(t, err)
	require.Greater(t, c.Incidences(), blockEntries)
	var r Reader
	next := 0
	require.NoError(t, r.Profiles(c, nil, func(p int, got []Entry) error {
		require.Equal(t, next, p)
		next++
		for e := range got {
			if got[e].Index != uint32(e) || got[e].Values[0] != int64(p^e) {
				t.Fatalf("profile %d, entry %d: %+v", p, e, got[e])
			}
		}
		require.Len(t, got, entries)
		return nil
	}))
	require.Equal(t, profiles, next)

	var s Selection
	s.Set(c, func(p int) bool { return p == 77 || p == 8000 })
	require.Equal(t, 2, s.Len())
	var seen []int
	require.NoError(t, r.Profiles(c, &s, func(p int, got []Entry) error {
		seen = append(seen, p)
		require.Len(t, got, entries)
		require.Equal(t, int64(p^5), got[5].Values[0])
		return nil
	}))
	require.Equal(t, []int{77, 8000}, seen)
	stop := errors.New("stop")
	require.ErrorIs(t, r.Profiles(c, nil, func(int, []Entry) error { return stop }), stop)
	require.ErrorIs(t, r.Profiles(c, new(Selection), nil), ErrInvalid)
}
