package life

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// all reports whether a group is of one of several targets.
func anyOf(targets []profilestore.Target) func(*profile.Group) bool {
	return func(g *profile.Group) bool {
		return slices.ContainsFunc(targets, func(t profilestore.Target) bool { return of(t, g) })
	}
}

// TestDelete deletes while windows come in and rows are compacted: all that was
// stored before is gone, and not an observation more.
func TestDelete(t *testing.T) {
	f := newFixture(t)
	// Both jobs must be through with all rows within four tenths of it, or they go by
	// the times of profiles, which tell nothing here.
	f.delay = 25 * time.Second
	ctx := t.Context()
	c := f.compactor(f.pool)
	for i := range 6 {
		f.write(ctx, int64(i%2), 30)
		if i%3 == 2 {
			require.NoError(t, c.Pass(ctx))
		}
	}
	k := f.keeper(f.pool, nil)
	targets := []profilestore.Target{
		{Tenant: "anonymous", Scope: profilestore.ScopeService, Name: "service-1"},
		{Tenant: "other", Scope: profilestore.ScopeAgent, Name: "agent-0"},
	}

	run, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() {
		for run.Err() == nil {
			assert.NoError(t, c.Pass(ctx))
			chconn.Pause(run, 20*time.Millisecond)
		}
	})
	wg.Go(func() {
		for i := 0; i < 40 && run.Err() == nil; i++ {
			f.write(ctx, int64(i%2), 10)
			chconn.Pause(run, 50*time.Millisecond)
		}
	})
	require.Eventually(t, func() bool { return f.written() > 9 }, time.Minute, time.Millisecond)
	f.mu.Lock() // between two windows
	before := len(f.windows)
	var jobs []profilestore.DeleteJob
	for _, target := range targets {
		j, err := k.Delete(ctx, target)
		require.NoError(t, err)
		assert.Equal(t, profilestore.JobPending, j.State)
		assert.Equal(t, target, j.Target)
		jobs = append(jobs, j)
	}
	f.mu.Unlock()
	for _, j := range jobs {
		f.finish(k, j.Target.Tenant, j.ID)
	}
	stop()
	wg.Wait()

	want := contents(f.windows[:before], anyOf(targets))
	for _, w := range f.windows[before:] {
		want.AddWindow(w)
	}
	f.check(want)
	require.Greater(t, len(f.windows), before+10)
	for _, j := range jobs {
		done, err := k.DeleteJob(ctx, j.Target.Tenant, j.ID)
		require.NoError(t, err)
		assert.Positive(t, done.RowsDone)
		assert.Zero(t, done.RowsLeft)
	}
}
