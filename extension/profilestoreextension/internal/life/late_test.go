package life

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktest"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// soon is for tests in which nobody else makes or reads rows.
func soon(o *Options) { o.DeleteDelay = 200 * time.Millisecond }

// TestDeleteLate works on jobs long after they were asked for: hours were closed
// since, and the rows of windows are gone. Old data goes even so, and what began
// later stays.
func TestDeleteLate(t *testing.T) {
	targets := []profilestore.Target{
		{Tenant: "anonymous", Scope: profilestore.ScopeService, Name: "service-1"},
		{Tenant: "other", Scope: profilestore.ScopeAgent, Name: "agent-0"},
	}
	for name, active := range map[string]bool{"closed": false, "and another window": true} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			ctx := t.Context()
			k := f.keeper(f.pool, soon)
			now := time.Now().UnixNano()
			f.writeAt(ctx, now-600*chunktest.Second, 590*chunktest.Second, 80)
			var jobs []profilestore.DeleteJob
			for _, target := range targets {
				j, err := k.Delete(ctx, target)
				require.NoError(t, err)
				jobs = append(jobs, j)
			}
			f.writeAt(ctx, now+600*chunktest.Second, 60*chunktest.Second, 80)
			require.NoError(t, f.closer(f.pool).Pass(ctx))
			require.NotEqual(t, "0", f.rows("level = 2"))
			f.exec("ALTER TABLE " + f.tables.Table("chunks") + " DELETE WHERE level < 2 SETTINGS mutations_sync = 1")
			if active {
				f.writeAt(ctx, now+600*chunktest.Second, 60*chunktest.Second, 80)
			}
			for _, j := range jobs {
				f.finish(k, j.Target.Tenant, j.ID)
			}
			want := contents(f.windows[:1], anyOf(targets))
			for _, w := range f.windows[1:] {
				want.AddWindow(w)
			}
			f.check(want)
			assert.Empty(t, k.rounds)
		})
	}
}

// TestTurns: no job replaces what was compacted before all others did what is in a
// hurry, and none waits for one that takes long.
func TestTurns(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	k := f.keeper(f.pool, soon)
	k.turn = 0 // a key at a time
	f.write(ctx, 2, 80)
	fences := func() (known int) {
		jobs, err := k.unfinished(ctx)
		require.NoError(t, err)
		for _, j := range jobs {
			if j.fence > 0 {
				known++
			}
		}
		return known
	}
	var jobs []profilestore.DeleteJob
	for _, tenant := range []string{"anonymous", "other"} {
		j, err := k.Delete(ctx, profilestore.Target{Tenant: tenant, Scope: profilestore.ScopeService, Name: "service-0"})
		require.NoError(t, err)
		jobs = append(jobs, j)
	}
	require.NoError(t, k.Pass(ctx))
	assert.Zero(t, fences(), "there are several keys")
	for _, j := range jobs {
		now, err := k.DeleteJob(ctx, j.Target.Tenant, j.ID)
		require.NoError(t, err)
		assert.Positive(t, now.RowsDone)
		assert.Positive(t, now.RowsLeft)
	}
	select {
	case <-k.wake:
	default:
		assert.Fail(t, "the next pass would wait")
	}
	for _, j := range jobs {
		f.finish(k, j.Target.Tenant, j.ID)
	}
	f.check(contents(f.windows, func(g *profile.Group) bool { return g.Series.Service == "service-0" }))
}

// TestRound: a job that somebody else went on with begins its keys again.
func TestRound(t *testing.T) {
	k := New(nil, Options{})
	j := &job{id: "a"}
	r := k.round(j)
	assert.True(t, r.first)
	r.last = key{Key: chunkrow.Key{Hour: 1}, rows: 1}
	assert.Same(t, r, k.round(j))
	j.fence = 1
	assert.Equal(t, &round{}, k.round(j))
}
