package compact

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// slow is a DB whose inserts of rows began a while ago.
type slow struct{ DB }

func (s slow) Do(ctx context.Context, q chconn.Query) error {
	if strings.HasPrefix(q.Body, "INSERT") && strings.Contains(q.Body, "chunks`") {
		written := (&proto.ColDateTime64{}).WithPrecision(proto.PrecisionMilli)
		for range q.Input[0].Data.Rows() {
			written.Append(time.Now().Add(-time.Minute))
		}
		q.Input = append(slices.Clone(q.Input), proto.InputColumn{Name: "written", Data: written})
		q.Body = strings.Replace(q.Body, ") VALUES", ", `written`) VALUES", 1)
	}
	return s.DB.Do(ctx, q)
}

// TestSlowInsert: a number that somebody has must not go to another whose insert began
// earlier and ends later.
func TestSlowInsert(t *testing.T) {
	f := newFixture(t)
	k := keyOf("s", hourAgo(3))
	f.add(k, 5)
	fast, late := f.compactor(f.pool, quick), f.compactor(slow{f.pool}, quick)
	first, err := snapshotOf(late, k)
	require.NoError(t, err)
	f.add(k, 2)
	second, err := snapshotOf(fast, k)
	require.NoError(t, err)
	won, err := makeOne(fast, k, second, job{chunkrow.Minutes, second.rows}, second.next(&k, 0))
	require.NoError(t, err)
	require.True(t, won)
	won, err = makeOne(late, k, first, job{chunkrow.Minutes, first.rows}, first.next(&k, 0))
	require.NoError(t, err)
	assert.False(t, won)
	assert.Equal(t, 1, f.rows(1))
	assert.Equal(t, 7, f.number("(SELECT length(covers) FROM "+f.table()+" WHERE level = 1)"))
	f.check()
	// The slow one has a number of its own if it comes first.
	f.add(k, 6)
	third, err := snapshotOf(late, k)
	require.NoError(t, err)
	won, err = makeOne(late, k, third, job{chunkrow.Minutes, third.rows[7:]}, third.next(&k, 0))
	require.NoError(t, err)
	assert.True(t, won)
	f.check()
}

// TestForgottenNumbers takes numbers whose rows were deleted for good, as often as it
// may be.
func TestForgottenNumbers(t *testing.T) {
	f := newFixture(t)
	k := keyOf("s", hourAgo(3))
	for i := range attempts + 2 {
		clear(f.want)
		f.exec("ALTER TABLE " + f.table() + " DELETE WHERE 1 SETTINGS mutations_sync = 2")
		f.add(k, 3)
		var errs []error
		c := f.compactor(f.pool, quick)
		c.opts.OnError = func(_ context.Context, err error) { errs = append(errs, err) }
		f.passes(c, 1)
		seq := 1
		if i >= attempts {
			require.Len(t, errs, 1)
			require.ErrorContains(t, errs[0], `store row 1 of service "s"`)
			assert.Zero(t, f.rows(2))
			f.passes(c, 1)
			seq = 2
		}
		assert.Len(t, errs, max(0, seq-1))
		assert.Equal(t, seq, f.number("(SELECT max(seq) FROM "+f.table()+" WHERE level = 2)"))
		f.check()
	}
}

// TestMissingRow: where replicas may lag, a number of which no row is seen is given up
// when the row would have come, and not before.
func TestMissingRow(t *testing.T) {
	f := newFixture(t)
	k := keyOf("s", hourAgo(3))
	f.add(k, 3)
	c := f.compactor(f.pool, quick)
	f.passes(c, 1)
	f.exec("ALTER TABLE " + f.table() + " DELETE WHERE 1 SETTINGS mutations_sync = 2")
	clear(f.want)
	f.add(k, 3)
	var errs []error
	c = f.compactor(f.pool, quick)
	c.opts.Lagging = true
	c.opts.OnError = func(_ context.Context, err error) { errs = append(errs, err) }
	f.passes(c, 3)
	assert.Empty(t, errs)
	assert.Zero(t, f.rows(2))
	known := c.known[k]
	require.NotNil(t, known)
	known.due, known.missed = 0, known.missed.Add(-time.Hour)
	f.passes(c, 2)
	assert.Len(t, errs, 1)
	assert.Equal(t, 2, f.number("(SELECT max(seq) FROM "+f.table()+" WHERE level = 2)"))
	f.check()
}

// TestLostLease ends a pass, without trying the keys one by one.
func TestLostLease(t *testing.T) {
	f := newFixture(t)
	for _, s := range []string{"a", "b"} {
		f.add(keyOf(s, hourAgo(3)), 2)
	}
	a := New(f.pool, Options{Tables: f.tables, Rules: quick, Holder: "a"})
	b := New(f.pool, Options{Tables: f.tables, Rules: quick, Holder: "b"})
	ok, err := a.lead(t.Context())
	require.NoError(t, err)
	require.True(t, ok)
	reads := 0
	b.db = hooked{f.pool, func(q chconn.Query) {
		if strings.Contains(q.Body, "40 * profiles_n") {
			reads++
			b.renew = time.Time{} // a quarter of the lease is over
		}
	}}
	b.renew = time.Now().Add(time.Hour)
	require.NoError(t, b.Pass(t.Context()))
	assert.Equal(t, 1, reads)
	assert.Zero(t, f.rows(2))
}

// hooked is a DB that tells what is asked.
type hooked struct {
	DB
	on func(chconn.Query)
}

func (h hooked) Do(ctx context.Context, q chconn.Query) error {
	h.on(q)
	return h.DB.Do(ctx, q)
}

// TestPassEndsEarly: keys that a pass did not come to are looked at by the next one.
func TestPassEndsEarly(t *testing.T) {
	f := newFixture(t)
	// One more than are looked at together.
	add := func() {
		rows := make([]*chunkrow.Row, keysAtOnce+1)
		for i := range rows {
			rows[i] = f.row(keyOf(fmt.Sprint("s", i), hourAgo(3)))
			f.spell(rows[i], f.want)
		}
		f.write(rows...)
	}
	c := f.compactor(f.pool, quick)
	add()
	f.passes(c, 2)
	require.Equal(t, keysAtOnce+1, f.rows(2))
	add()
	c.db = away{f.pool}
	require.ErrorIs(t, c.Pass(t.Context()), profilestore.ErrUnavailable)
	c.db = f.pool
	f.passes(c, 1)
	assert.Equal(t, 2*(keysAtOnce+1), f.rows(2))
	f.check()
}

// away is a DB of a server that takes no inserts.
type away struct{ DB }

func (a away) Do(ctx context.Context, q chconn.Query) error {
	if strings.HasPrefix(q.Body, "INSERT") {
		return profilestore.ErrUnavailable
	}
	return a.DB.Do(ctx, q)
}
