package compact

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/stackdict"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// dense counts rows that have numbers for their stacks.
func (f *fixture) dense() int {
	f.Helper()
	return f.number("(SELECT count() FROM " + f.table() + " WHERE dictionary != 0 AND empty(stacks) AND length(dense) = entries_n)")
}

// resolve checks that all stacks of services that were logged are known.
func (f *fixture) resolve(services ...string) {
	f.Helper()
	c := New(f.pool, Options{Tables: f.tables})
	dicts := stackdict.New(stackdict.Options{Tables: f.tables, Do: c.named, Bytes: 1 << 20})
	for _, service := range services {
		var ids []profile.ID
		for i := range 12 {
			ids = append(ids, stackID(i))
		}
		found, err := dicts.Find(context.Background(), "t", service, ids)
		require.NoError(f, err)
		for i, id := range ids {
			require.Equal(f, stackLocations(i), found[id], "stack %d of %s", i, service)
		}
	}
}

// TestNumbers: rows of closed hours name their stacks by numbers, and the log of
// stacks is emptied after a while.
func TestNumbers(t *testing.T) {
	f := newFixture(t)
	rules := quick
	rules.DrainAfter = time.Hour
	c := f.compactor(f.pool, rules)
	f.log("a")
	f.log("b")
	f.add(keyOf("a", hourAgo(3)), 6)
	f.add(keyOf("a", hourAgo(4)), 6)
	f.add(keyOf("b", hourAgo(0)), 6)
	f.add(keyOf("unknown", hourAgo(3)), 6)
	f.passes(c, 1)
	f.check()
	assert.Equal(t, 3, f.rows(2))
	assert.Equal(t, 2, f.dense(), "one has stacks that nobody knows")
	assert.Equal(t, 1, f.number("(SELECT count() FROM "+f.tables.Table(stackdict.Table)+")"))
	f.resolve("a", "b")
	logged := "(SELECT count() FROM " + f.tables.Table(stackdict.Log) + ")"
	assert.Equal(t, 24, f.number(logged))

	c.drainAt = time.Now()
	f.passes(c, 1)
	assert.Zero(t, f.number(logged))
	assert.True(t, c.drainAt.IsZero())
	f.resolve("a", "b")

	// Late data whose stacks are not in the log any more, and another compactor.
	f.add(keyOf("a", hourAgo(3)), 2)
	f.passes(f.compactor(f.pool, rules), 1)
	f.add(keyOf("b", hourAgo(5)), 3)
	f.passes(c, 1)
	f.check()
	assert.Equal(t, 4, f.dense())
	f.resolve("a", "b")
}

// TestNumbersCrash is TestCrash for rows with numbers and a log that is emptied.
func TestNumbersCrash(t *testing.T) {
	f := newFixture(t)
	rules := quick
	rules.DrainAfter = time.Nanosecond
	var services []string
	for n := 1; ; n++ {
		f.exec("TRUNCATE TABLE " + f.table())
		clear(f.want)
		service := fmt.Sprint("s", n)
		services = append(services, service)
		f.log(service)
		f.add(keyOf(service, hourAgo(3)), 3)
		db := &crashing{DB: f.pool, left: n, answered: n%2 == 0}
		c := f.compactor(db, rules)
		c.opts.OnError = nil
		err := c.Pass(context.Background())
		f.check()
		f.resolve(services...)
		f.passes(f.compactor(f.pool, rules), 1)
		f.check()
		f.resolve(services...)
		assert.Equal(t, 1, f.dense())
		if err == nil && db.left > 0 {
			assert.Greater(t, n, 10)
			break
		}
		services = services[max(0, len(services)-3):]
	}
}
