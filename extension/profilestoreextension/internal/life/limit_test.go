package life

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktest"
)

func TestOldest(t *testing.T) {
	sizes := []hourSize{{"a", 2, 1, 1, 10}, {"b", 0, 2, 1, 5}, {"a", 2, 2, 1, 5}, {"a", 2, 3, 1, 10}, {"c", 0, 4, 1, 100}}
	for _, c := range []struct {
		bytes, want int64
	}{{1, 1}, {10, 1}, {11, 2}, {20, 2}, {21, 3}, {1000, 3}} {
		last, found := oldest(sizes, c.bytes)
		assert.True(t, found)
		assert.Equal(t, c.want, last, "%d bytes", c.bytes)
	}
	_, found := oldest(sizes[4:], 1)
	assert.False(t, found, "never the newest hour")
	_, found = oldest(nil, 1)
	assert.False(t, found)
}

// TestLimit drops the oldest hours, of all levels, until the tables are small enough.
func TestLimit(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	for i := range 5 {
		f.write(ctx, int64(5-i)*30, 60)
		if i == 2 {
			require.NoError(t, f.compactor(f.pool).Pass(ctx))
		}
	}
	var reasons []Dropped
	k := f.keeper(f.pool, func(o *Options) {
		o.Limits.MaxBytes = 1
		o.OnDropped = func(_ context.Context, d Dropped) { reasons = append(reasons, d) }
	})
	sizes, err := k.hourSizes(ctx)
	require.NoError(t, err)
	newest := sizes[len(sizes)-1].hour
	// The size of the tables but for the first two hours and a bit.
	u, err := k.measure(ctx)
	require.NoError(t, err)
	k.opts.Limits.MaxBytes = int64(u.Bytes()) - 1
	for _, s := range sizes {
		if s.hour < newest-2*30*3600 {
			k.opts.Limits.MaxBytes -= s.bytes
		}
	}
	k.opts.Limits.MaxBytes += 100 // of the second hour
	require.NoError(t, k.Pass(ctx))
	require.Eventually(t, func() bool { return f.rows("hour < toDateTime("+decimal(newest-2*30*3600)+", 'UTC')") == "0" }, time.Minute, 50*time.Millisecond)
	f.check(contents(f.windows[2:], nothing))
	require.NotEmpty(t, reasons)
	assert.Equal(t, ByLimit, reasons[0].Reason)
	assert.Equal(t, newest-3*30*3600+3600, reasons[0].Until.Unix())
	u, err = k.Usage(ctx)
	require.NoError(t, err)
	assert.False(t, u.Dropped.IsZero())
	assert.Empty(t, u.Short)

	// What is never enough stops at the newest hour, and says so.
	k.opts.Limits = Limits{MinFree: 1 << 61}
	require.Eventually(t, func() bool {
		require.NoError(t, k.Pass(ctx))
		u, err = k.Usage(ctx)
		require.NoError(t, err)
		return u.Short != ""
	}, time.Minute, 50*time.Millisecond)
	f.check(contents(f.windows[4:], nothing))
	assert.Contains(t, u.Short, "nothing older than the newest hour")
	k.opts.Limits = Limits{MaxBytes: 1 << 40, MinFree: 1}
	require.NoError(t, k.Pass(ctx))
	u, err = k.Usage(ctx)
	require.NoError(t, err)
	assert.Empty(t, u.Short)
	assert.NotEmpty(t, u.Disks)
	assert.Positive(t, u.Disks[0].Free)
	names := make([]string, 0, len(u.Tables))
	for _, table := range u.Tables {
		names = append(names, table.Table)
		assert.Positive(t, table.Parts)
		assert.Positive(t, table.Bytes)
	}
	assert.Contains(t, names, "chunks")
	assert.Contains(t, names, "stacks")
}

// TestDropWeek: where a week is dropped for lack of room, what the rows of its later
// hours replaced goes with them.
func TestDropWeek(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	monday := (time.Now().Unix()-4*86400)/(7*86400)*(7*86400) + 4*86400 - 7*86400 // of the week before
	for hour := range int64(3) {
		f.writeAt(ctx, (monday+3600*hour)*chunktest.Second, 3600*chunktest.Second-1, 60)
	}
	require.NoError(t, f.compactor(f.pool).Pass(ctx))
	require.NotEqual(t, "0", f.rows("level = 2"))
	require.NotEqual(t, "0", f.rows("level = 0"), "what was replaced")
	f.write(ctx, 0, 60)
	var until []int64
	k := f.keeper(f.pool, func(o *Options) {
		o.OnDropped = func(_ context.Context, d Dropped) { until = append(until, d.Until.Unix()-monday) }
	})
	sizes, err := k.hourSizes(ctx)
	require.NoError(t, err)
	require.NoError(t, k.dropUntil(ctx, sizes, monday, 0))
	f.check(contents(f.windows[3:], nothing))
	assert.Equal(t, "0", f.rows("hour < toDateTime("+decimal(monday+3*3600)+", 'UTC')"))
	assert.Equal(t, []int64{3600, 2 * 3600, 3 * 3600, 3 * 3600}, until, "lower levels first")
}
