package compact

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
)

// TestLife follows rows from writing to deletion, late ones too.
func TestLife(t *testing.T) {
	f := newFixture(t)
	open, closed := keyOf("open", hourAgo(0)), keyOf("closed", hourAgo(3))
	f.add(open, 7)
	f.add(open, 3)
	f.add(closed, 7)
	f.add(closed, 2)
	c := f.compactor(f.pool, quick)
	f.passes(c, 1)
	f.check()
	assert.Equal(t, []int{19, 1, 1}, []int{f.rows(0), f.rows(1), f.rows(2)})
	f.passes(c, 2)
	assert.Equal(t, []int{19, 1, 1}, []int{f.rows(0), f.rows(1), f.rows(2)}, "nothing more is due")

	f.add(open, 4)
	late := f.add(closed, 2)
	f.passes(c, 2)
	f.check()
	assert.Equal(t, []int{25, 1, 2}, []int{f.rows(0), f.rows(1), f.rows(2)})

	// Nothing is deleted before its time, and what is not replaced stays.
	f.age(9 * time.Minute)
	f.passes(c, 1)
	f.settled()
	assert.Equal(t, 25, f.rows(0))
	f.age(2 * time.Minute)
	f.passes(c, 1)
	f.settled()
	f.check()
	assert.Equal(t, []int{4, 1, 2}, []int{f.rows(0), f.rows(1), f.rows(2)})

	// A window that is written once more, when nobody remembers its token, counts
	// for nothing, and goes again.
	f.write(late...)
	f.check()
	f.passes(c, 2)
	f.settled()
	f.check()
	assert.Equal(t, []int{4, 1, 2}, []int{f.rows(0), f.rows(1), f.rows(2)})
}

// TestClosedAfterMinutes makes rows of level 2 out of those of level 1, and none
// of the number of a row that is gone.
func TestClosedAfterMinutes(t *testing.T) {
	f := newFixture(t)
	k := keyOf("s", hourAgo(3))
	minutes := f.compactor(f.pool, Rules{MinRows: 5, CloseAfter: 1000 * time.Hour})
	hours := f.compactor(f.pool, quick)
	window := f.add(k, 12)
	f.passes(minutes, 1)
	f.add(k, 3)
	f.passes(hours, 1)
	f.check()
	assert.Equal(t, []int{15, 1, 1}, []int{f.rows(0), f.rows(1), f.rows(2)})
	f.age(11 * time.Minute)
	f.passes(hours, 1)
	f.settled()
	assert.Equal(t, []int{0, 0, 1}, []int{f.rows(0), f.rows(1), f.rows(2)})

	f.write(window...) // all of its rows have been replaced twice
	f.add(k, 6)
	f.passes(minutes, 1)
	f.check()
	assert.Equal(t, 3, f.number("(SELECT max(seq) FROM "+f.table()+" WHERE level = 1)"), "both levels are numbered together")
	f.passes(hours, 1)
	f.settled()
	f.check()
	assert.Equal(t, []int{6, 1, 2}, []int{f.rows(0), f.rows(1), f.rows(2)})
}

// TestSplit makes several rows of what does not fit into one.
func TestSplit(t *testing.T) {
	f := newFixture(t)
	f.add(keyOf("s", hourAgo(3)), 25)
	rules := quick
	rules.MaxRows = 10
	c := f.compactor(f.pool, rules)
	f.passes(c, 2)
	f.check()
	assert.Equal(t, 3, f.rows(2))
	f.age(11 * time.Minute)
	f.passes(c, 1)
	f.settled()
	f.check()
	assert.Equal(t, 0, f.rows(0))
}

// TestOneNumberOneRow lets two compactors make the same row of other inputs.
func TestOneNumberOneRow(t *testing.T) {
	f := newFixture(t)
	k := keyOf("s", hourAgo(3))
	f.add(k, 5)
	a, b := f.compactor(f.pool, quick), f.compactor(f.pool, quick)
	first, err := snapshotOf(a, k)
	require.NoError(t, err)
	f.add(k, 2)
	second, err := snapshotOf(b, k)
	require.NoError(t, err)
	won, err := makeOne(b, k, second, job{chunkrow.ClosedHour, second.rows}, second.next(&k, 0))
	require.NoError(t, err)
	require.True(t, won)
	won, err = makeOne(a, k, first, job{chunkrow.ClosedHour, first.rows}, first.next(&k, 0))
	require.NoError(t, err)
	require.False(t, won)
	assert.Equal(t, 1, f.rows(2))
	f.check()

	// One that was very slow does not even try.
	first.taken = first.taken.Add(-time.Hour)
	_, err = makeOne(a, k, first, job{chunkrow.ClosedHour, first.rows}, 2)
	require.ErrorIs(t, err, errLate)
	assert.Equal(t, 1, f.rows(2))
}

// TestLevelsShareNumbers lets one compactor close the hour while another, which
// read the rows before, still makes a row of minutes of them.
func TestLevelsShareNumbers(t *testing.T) {
	for _, levels := range [][2]uint8{{chunkrow.ClosedHour, chunkrow.Minutes}, {chunkrow.Minutes, chunkrow.ClosedHour}} {
		f := newFixture(t)
		k := keyOf("s", hourAgo(3))
		f.add(k, 5)
		for i, level := range levels {
			c := f.compactor(f.pool, quick)
			s, err := snapshotOf(c, k)
			require.NoError(t, err)
			if i == 1 { // as before the other was there
				s.rows = slices.DeleteFunc(s.rows, func(r *stored) bool { return r.Level > 0 })
			}
			_, err = makeOne(c, k, s, job{level, s.rows}, s.next(&k, 0))
			require.NoError(t, err)
			f.check()
		}
		c := f.compactor(f.pool, quick)
		for range 3 {
			f.passes(c, 2)
			f.settled()
			f.age(11 * time.Minute)
			f.check()
		}
		// No row is left that a reader would have to know not to count.
		assert.Equal(t, []int{0, 0, 1}, []int{f.rows(0), f.rows(1), f.rows(2)})
	}
}

// TestCoveredByNobody deletes nothing that only a row without effect covers.
func TestCoveredByNobody(t *testing.T) {
	f := newFixture(t)
	k := keyOf("s", hourAgo(3))
	rows := f.add(k, 3)
	c := f.compactor(f.pool, quick)
	f.passes(c, 1)
	// Another row of the number, with a token that was forgotten.
	other := f.row(k)
	other.Level, other.Seq, other.ID, other.Nonce.Low = chunkrow.ClosedHour, 1, chunkrow.CompactedRowID(&k, 1), 7
	fourth := f.add(k, 1)
	other.Covers = []uint64{rows[0].ID, fourth[0].ID}
	f.write(other)
	f.check()
	f.age(11 * time.Minute)
	f.passes(c, 2)
	f.age(11 * time.Minute)
	f.passes(c, 2)
	f.settled()
	f.check()
	assert.Equal(t, []int{0, 0, 2}, []int{f.rows(0), f.rows(1), f.rows(2)})
}

// TestDamagedRow leaves what it cannot read as it is.
func TestDamagedRow(t *testing.T) {
	f := newFixture(t)
	k := keyOf("s", hourAgo(3))
	f.add(k, 4)
	damaged := f.row(k)
	for damaged.Events == 0 || len(damaged.Columns.Streams.Positions) == 0 {
		damaged = f.row(k)
	}
	damaged.Columns.Streams.Positions = append(damaged.Columns.Streams.Positions, 0xff, 0xff)
	bad := f.row(k)
	bad.Events++
	f.write(damaged, bad)
	c := f.compactor(f.pool, quick)
	var errs int
	c.opts.OnError = func(_ context.Context, err error) {
		errs++
		assert.ErrorContains(t, err, `service "s"`)
	}
	f.passes(c, 4)
	assert.Equal(t, 2, errs)
	f.age(11 * time.Minute)
	f.passes(c, 2)
	f.settled()
	assert.Equal(t, []int{2, 0, 1}, []int{f.rows(0), f.rows(1), f.rows(2)})
	f.exec("DELETE FROM " + f.table() + " WHERE level = 0")
	f.check()
}

// TestRandom mixes everything.
func TestRandom(t *testing.T) {
	f := newFixture(t)
	rng := rand.New(rand.NewPCG(3, 4))
	rules := quick
	rules.MaxRows = 9
	keys := []chunkrow.Key{
		keyOf("a", hourAgo(0)), keyOf("a", hourAgo(5)), keyOf("b", hourAgo(5)), keyOf("b", hourAgo(200)), keyOf("b", hourAgo(5)),
	}
	keys[4].Types, keys[4].Period = "wait/nanoseconds", 0
	var all []*chunkrow.Row
	c := f.compactor(f.pool, rules)
	for range 25 {
		switch rng.IntN(6) {
		case 0, 1:
			all = append(all, f.add(keys[rng.IntN(len(keys))], 1+rng.IntN(8))...)
		case 2:
			if len(all) > 0 {
				f.write(all[rng.IntN(len(all))])
			}
		case 3:
			f.age(time.Duration(rng.IntN(11)) * time.Minute)
		case 4:
			c = f.compactor(f.pool, rules)
		}
		f.passes(c, 1)
	}
	f.check()
	f.passes(c, 2)
	f.age(11 * time.Minute)
	f.passes(c, 2)
	f.settled()
	f.check()
	assert.LessOrEqual(t, f.number("(SELECT count() FROM "+f.table()+" WHERE level < 2 AND hour < toDateTime("+itoa(hourAgo(0))+"))"), 0)
}
