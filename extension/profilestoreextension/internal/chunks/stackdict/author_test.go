package stackdict

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// TestAuthor numbers stacks, and writes each of them once.
func TestAuthor(t *testing.T) {
	f := newFixture(t)
	all := draw(f.rng, 30)
	f.log("a", all[:10]...)
	f.log("b", all[:3]...)
	a := f.author()
	require.NoError(t, f.number(a, "a", now, all[:5]...))
	require.Equal(t, 1, f.count(Table), "with what else the log has")
	require.NoError(t, f.number(a, "a", now, all[:10]...))
	require.NoError(t, f.number(a, "a", now))
	require.NoError(t, f.number(a, "b", now, all[1]))
	assert.Equal(t, 2, f.count(Table))
	f.log("a", all[10:20]...)
	require.NoError(t, f.number(a, "a", now+epoch/3, all[5:15]...))
	assert.Equal(t, 3, f.count(Table))
	f.check()

	err := f.number(a, "a", now, all[25])
	require.ErrorIs(t, err, ErrUnknown)
	assert.ErrorContains(t, err, all[25].id.String())
	require.ErrorIs(t, f.number(a, "b", now, all[12]), ErrUnknown, "of another service")

	// One that is not what its hash says.
	bad := stack{id: profile.ID{Hi: 1, Lo: 2}, locations: all[0].locations}
	f.log("c", bad)
	require.ErrorIs(t, f.number(a, "c", now, bad), ErrUnknown)

	// Others begin dictionaries of their own, as this one does after a week.
	assert.Equal(t, 3, f.count(Table))
	require.NoError(t, f.number(f.author(), "a", now, all[3]))
	require.NoError(t, f.number(a, "a", now+epoch, all[4]))
	assert.Equal(t, 5, f.count(Table))
	f.check()
}

// TestAuthorForgets: an author with little memory goes on with its dictionaries,
// and one whose tables were lost begins others.
func TestAuthorForgets(t *testing.T) {
	defer func(d time.Duration) { checkAfter = d }(checkAfter)
	checkAfter = 0
	f := newFixture(t)
	a := NewAuthor(f.cache(1), f.insert, 1)
	stacks := draw(f.rng, 40)
	ids := make(map[uint64]bool)
	for i := range 10 {
		for _, service := range []string{"a", "b", "c"} {
			f.log(service, stacks[4*i:4*i+4]...)
			require.NoError(t, f.number(a, service, now, stacks[:4*i+4]...))
		}
	}
	assert.LessOrEqual(t, a.live.Len(), 1)
	for _, g := range f.given {
		ids[g.dictionary] = true
	}
	assert.Len(t, ids, 3)
	f.check()

	f.exec("TRUNCATE TABLE " + f.tables.Table(Table))
	f.given = nil
	require.NoError(t, f.number(a, "a", now, stacks[0]))
	assert.False(t, ids[f.given[0].dictionary])
	f.check()
	f.exec("TRUNCATE TABLE " + f.tables.Table(Log))
	clear(f.known)
	require.NoError(t, f.number(a, "a", now, stacks[39]))
	require.ErrorIs(t, f.number(a, "b", now, stacks[0]), ErrUnknown)
}

// TestDrain drops from the log what was read, and nothing else.
func TestDrain(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	stacks := draw(f.rng, 40)
	f.log("a", stacks[:10]...)
	f.log("b", stacks[:20]...)
	a := f.author()
	drained, err := a.Drain(ctx, now, nil)
	require.NoError(t, err)
	assert.Positive(t, drained.Parts)
	assert.EqualValues(t, 30, drained.Rows)
	assert.Zero(t, f.count(Log))
	f.check()
	segments := f.count(Table)
	assert.Equal(t, 2, segments)

	// The writer repeats what it forgot, and another author drains that.
	f.log("a", stacks[:10]...)
	_, err = a.Drain(ctx, now, nil)
	require.NoError(t, err)
	assert.Equal(t, segments, f.count(Table))
	f.log("b", stacks[15:25]...)
	_, err = f.author().Drain(ctx, now+epoch, nil)
	require.NoError(t, err)
	assert.Zero(t, f.count(Log))
	f.check()

	// A row that relies on what was written weeks ago.
	require.NoError(t, f.number(f.author(), "b", now+3*epoch, stacks[:25]...))
	f.check()

	// What cannot be added stays, and all that is read with it.
	bad := stack{id: profile.ID{Hi: 1, Lo: 2}, locations: stacks[0].locations}
	f.log("a", stacks[30], bad)
	drained, err = a.Drain(ctx, now, nil)
	require.ErrorIs(t, err, ErrUnknown)
	assert.Equal(t, Drained{Waiting: 2}, drained)
	f.check()
}

// TestCrash ends authors at every statement of a run, before it is sent or before
// its answer comes, and lets others go on.
func TestCrash(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	for n := 1; ; n++ {
		service := fmt.Sprint("s", n%3)
		stacks := draw(f.rng, 12)
		f.log(service, stacks[:6]...)
		a := f.author()
		f.left, f.answered = n, n%2 == 0
		_ = f.number(a, service, now, stacks[:3]...)
		f.left = max(f.left, 0) // the log is written by another process
		died := f.left == 0
		if !died {
			f.log(service, stacks[6:]...)
			_ = f.number(a, service, now, stacks[5:8]...)
			_, _ = a.Drain(ctx, now, nil)
			died = f.left < 0
		}
		f.check()
		if !died {
			assert.Greater(t, n, 10)
			break
		}
		// The same one goes on, as after a lost connection.
		_ = f.number(a, service, now, f.some(service)...)
		f.check()
		if n%3 == 0 {
			_, err := f.author().Drain(ctx, now, nil)
			require.NoError(t, err)
			f.check()
		}
	}
}

// TestRandom mixes authors, weeks and drains with a writer that goes on.
func TestRandom(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	stacks := draw(f.rng, 300)
	services := []string{"a", "b", "c"}
	authors := []*Author{f.author(), f.author()}
	at := now
	for range 40 {
		service := services[f.rng.IntN(len(services))]
		i := f.rng.IntN(len(authors))
		switch f.rng.IntN(8) {
		case 0, 1, 2:
			from := f.rng.IntN(len(stacks) - 10)
			f.log(service, stacks[from:from+f.rng.IntN(10)+1]...)
		case 3, 4:
			require.NoError(t, f.number(authors[i], service, at, f.some(service)...))
		case 5:
			_, err := authors[i].Drain(ctx, at, nil)
			require.NoError(t, err)
		case 6:
			authors[i] = f.author()
		case 7:
			at += f.rng.Int64N(epoch)
		}
	}
	f.check()
	for _, service := range services {
		require.NoError(t, f.number(authors[0], service, at, f.some(service)...))
	}
	f.check()
}

// TestTogether lets readers, a writer and authors work at the same time.
func TestTogether(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	stacks := draw(f.rng, 120)
	c := f.cache(20_000) // not all
	var readers, authors sync.WaitGroup
	stop := make(chan struct{})
	written := make(chan int, 1000)
	for range 2 {
		a := f.author()
		authors.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_, err := a.Drain(ctx, now, nil)
					assert.NoError(t, err)
				}
			}
		})
	}
	for range 3 {
		readers.Go(func() {
			for n := range written {
				ids := make([]profile.ID, n)
				for i, s := range stacks[:n] {
					ids[i] = s.id
				}
				found, err := c.Find(ctx, tenant, "a", ids)
				assert.NoError(t, err)
				assert.Len(t, found, n)
			}
		})
	}
	for n := 0; n < len(stacks); n += 10 {
		f.log("a", stacks[n:n+10]...)
		for range 3 {
			written <- n + 10
		}
	}
	close(written)
	readers.Wait()
	close(stop)
	authors.Wait()
	f.check()
	assert.Positive(t, c.Stats().Misses)
	assert.LessOrEqual(t, c.Stats().Bytes, int64(20_000))
}
