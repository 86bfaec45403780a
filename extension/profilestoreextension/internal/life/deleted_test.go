package life

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkreader"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/reader"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// TestDeletedIsNotListed: as soon as a job has replaced everything, nobody hears of
// types and times of what was deleted, whether what it replaced is there or not.
func TestDeletedIsNotListed(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	f.write(ctx, 3, 40)
	require.NoError(t, f.closer(f.pool).Pass(ctx))
	require.NotEqual(t, "0", f.rows("level = 2"))
	f.write(ctx, 0, 40)
	require.NotEqual(t, "0", f.rows("level = 0 AND id IN (SELECT arrayJoin(covers) FROM "+f.tables.Table("chunks")+")"))
	r := chunkreader.New(f.pool, chunkreader.Options{Options: reader.Options{
		Tables: f.tables, MaxExecutionTime: time.Minute, MaxMemoryUsage: 1 << 30, MaxRows: 1 << 20,
	}})
	services := func() (out []string) {
		t.Helper()
		list, err := r.ProfileTypes(ctx, profilestore.Selector{Tenant: "anonymous"})
		require.NoError(t, err)
		for _, p := range list {
			if len(out) == 0 || p.Service != out[len(out)-1] {
				out = append(out, p.Service)
			}
		}
		return out
	}
	times := func(service string) (first, last int64) {
		t.Helper()
		first, last, err := r.TimeRange(ctx, profilestore.Selector{Tenant: "anonymous", Service: service})
		require.NoError(t, err)
		return first, last
	}
	require.Equal(t, []string{"service-0", "service-1", "service-2"}, services())
	first, last := times("service-1")
	require.Positive(t, first)
	require.Greater(t, last, first)
	otherFirst, otherLast := times("service-2")

	k := f.keeper(f.pool, func(o *Options) { o.DeleteDelay = 2 * time.Second })
	j, err := k.Delete(ctx, profilestore.Target{Tenant: "anonymous", Scope: profilestore.ScopeService, Name: "service-1"})
	require.NoError(t, err)
	gone := func(state profilestore.JobState) {
		t.Helper()
		require.Eventually(t, func() bool {
			require.NoError(t, k.Pass(ctx))
			job, err := k.DeleteJob(ctx, j.Target.Tenant, j.ID)
			require.NoError(t, err)
			require.Empty(t, job.Error)
			return job.State == state
		}, time.Minute, 20*time.Millisecond)
		require.NotEqual(t, "0", f.rows("service = 'service-1' AND profiles_n = 0"))
		assert.Equal(t, []string{"service-0", "service-2"}, services())
		labels, err := r.LabelValues(ctx, profilestore.Selector{Tenant: "anonymous", Start: 1}, profilestore.LabelService, 100)
		require.NoError(t, err)
		assert.Equal(t, []string{"service-0", "service-2"}, labels)
		first, last := times("service-1")
		assert.Zero(t, first)
		assert.Zero(t, last)
		first, last = times("service-2")
		assert.Equal(t, []int64{otherFirst, otherLast}, []int64{first, last})
	}
	gone(profilestore.JobPurging)
	require.NotEqual(t, "0", f.rows("service = 'service-1' AND profiles_n > 0"))
	gone(profilestore.JobDone)
}
