package compact

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

var errCrash = errors.New("crashed")

// crashing is a DB whose user dies at a statement: before it is sent, or before its
// answer comes.
type crashing struct {
	DB
	left     int // statements before
	answered bool
}

func (c *crashing) Do(ctx context.Context, q chconn.Query) error {
	c.left--
	if c.left > 0 {
		return c.DB.Do(ctx, q)
	}
	if c.left == 0 && c.answered {
		if err := c.DB.Do(ctx, q); err != nil {
			return err
		}
	}
	return errCrash
}

// TestCrash ends compactors between any two statements of a run that makes rows of
// both levels and deletes, and lets another one go on.
func TestCrash(t *testing.T) {
	f := newFixture(t)
	rules := quick
	rules.MaxRows = 4
	for n := 1; ; n++ {
		f.exec("TRUNCATE TABLE " + f.table())
		clear(f.want)
		// What is there at first: rows to be made and rows to be deleted.
		open, closed := keyOf(fmt.Sprint("s", n), hourAgo(0)), keyOf(fmt.Sprint("s", n), hourAgo(3))
		f.add(closed, 3)
		f.passes(f.compactor(f.pool, rules), 1)
		f.age(11 * time.Minute)
		f.add(open, 5)
		f.add(closed, 5)
		db := &crashing{DB: f.pool, left: n, answered: n%2 == 0}
		c := f.compactor(db, rules)
		c.opts.OnError = nil
		err := c.Pass(context.Background())
		f.check()
		f.passes(f.compactor(f.pool, rules), 1)
		f.check()
		if err == nil && db.left > 0 {
			assert.Greater(t, n, 12)
			break
		}
	}
	f.age(11 * time.Minute)
	f.passes(f.compactor(f.pool, rules), 1)
	f.settled()
	f.check()
	assert.Zero(t, f.number("(SELECT count() FROM "+f.table()+" WHERE level = 0 AND hour < toDateTime("+itoa(hourAgo(0))+"))"))
}

// TestServerDies kills ClickHouse while rows are compacted.
func TestServerDies(t *testing.T) {
	server := clickhousetest.Start(t)
	f := newFixture(t)
	for i := range 3 {
		f.add(keyOf(fmt.Sprint("s", i), hourAgo(3)), 6)
	}
	c := f.compactor(f.pool, quick)
	c.opts.OnError = nil
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = c.Pass(context.Background())
	}()
	clickhousetest.Kill(t, server)
	clickhousetest.WaitReady(t, server)
	<-done
	f.check()
	f.passes(f.compactor(f.pool, quick), 1)
	f.check()
	assert.Equal(t, 3, f.rows(2))
}

// TestManyCompactors lets several work on rows that come all the time.
func TestManyCompactors(t *testing.T) {
	f := newFixture(t)
	rules := quick
	rules.MinRows, rules.MaxRows = 2, 5
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		c := f.compactor(f.pool, rules)
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					assert.NoError(t, c.Pass(context.Background()))
				}
			}
		})
	}
	for i := range 12 {
		f.add(keyOf("s", hourAgo(3*(i%2))), 4)
	}
	close(stop)
	wg.Wait()
	f.check()
	c := f.compactor(f.pool, rules)
	f.passes(c, 2)
	f.age(11 * time.Minute)
	f.passes(c, 2)
	f.settled()
	f.check()
	// Every number was given once.
	assert.Zero(t, f.number("(SELECT count() - uniqExact(hour, level, seq) FROM "+f.table()+" WHERE level > 0)"))
}

func TestLease(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	led := make(map[string]int)
	compactor := func(holder string, lease time.Duration) *Compactor {
		return New(f.pool, Options{Tables: f.tables, Holder: holder, Lease: lease, OnLead: func(context.Context) { led[holder]++ }})
	}
	leads := func(c *Compactor) bool {
		t.Helper()
		ok, err := c.lead(ctx)
		require.NoError(t, err)
		return ok
	}
	a, b := compactor("a", time.Hour), compactor("b", time.Hour)
	assert.True(t, leads(a))
	assert.True(t, leads(a))
	assert.False(t, leads(b))
	assert.Equal(t, map[string]int{"a": 1}, led)
	a.renew = time.Now()
	assert.True(t, leads(a))
	assert.Equal(t, map[string]int{"a": 2}, led, "renewed")
	assert.True(t, leads(compactor("a", time.Hour)), "a process that was started again")
	f.add(keyOf("s", hourAgo(3)), 2)
	f.passes(b, 1)
	assert.Zero(t, f.rows(2))
	require.NoError(t, a.Release(ctx))
	assert.True(t, leads(b))
	assert.False(t, leads(a))
	require.NoError(t, a.Release(ctx), "it is not its own")
	_ = leads(compactor("b", time.Millisecond)) // over by the time it is read
	require.Eventually(t, func() bool { return leads(a) }, time.Minute, time.Millisecond)
}

func TestRunEnds(t *testing.T) {
	f := newFixture(t)
	f.add(keyOf("s", hourAgo(3)), 2)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c := New(f.pool, Options{
		Tables: f.tables, Rules: quick, Holder: "a", Every: time.Millisecond,
		OnMade: func(_ context.Context, m Made) {
			assert.Equal(t, 2, m.Rows)
			cancel()
		},
	})
	c.Run(ctx)
	f.check()
	assert.Equal(t, 1, f.rows(2))
}
