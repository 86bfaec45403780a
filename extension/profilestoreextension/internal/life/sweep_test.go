package life

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktest"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

func TestRetentionOf(t *testing.T) {
	r := Retention{Profiles: 100, Batches: 50, Overrides: []Override{
		{"a", "", 10}, {"", "s", 20}, {"a", "s", 300}, {"b", "", 70},
	}}
	for _, c := range []struct {
		tenant, service string
		want            time.Duration
	}{
		{"a", "x", 10},
		{"a", "s", 300},
		{"b", "s", 20},
		{"b", "", 70},
		{"c", "x", 100},
	} {
		assert.Equal(t, c.want, r.of(c.tenant, c.service), "%s/%s", c.tenant, c.service)
	}
	assert.Equal(t, time.Duration(300), r.Longest())
	assert.Equal(t, time.Duration(10), r.ofBatches("a"))
	assert.Equal(t, time.Duration(50), r.ofBatches("b"))
	assert.Equal(t, 90*time.Minute, lateness(6*time.Hour))
	assert.Equal(t, 24*time.Hour, lateness(1000*time.Hour))
}

// TestSweep shortens the retention of what is there, by tenant and by service, and
// has nothing else change.
func TestSweep(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	for i := range 4 {
		f.write(ctx, int64(i%2), 20)
	}
	require.NoError(t, f.compactor(f.pool).Pass(ctx)) // rows that were replaced stay, too
	for _, table := range []string{"chunks", "batches"} {
		f.exec("ALTER TABLE " + f.tables.Table(table) + " UPDATE stored = now() - INTERVAL 5 HOUR WHERE 1 SETTINGS mutations_sync = 1")
	}
	f.write(ctx, 0, 20) // is new

	k := f.keeper(f.pool, func(o *Options) {
		o.Retention.Overrides = []Override{{"anonymous", "service-1", 3 * time.Hour}, {"other", "", 2 * time.Hour}, {"other", "service-2", 20 * time.Hour}}
	})
	goes := func(g *profile.Group) bool {
		return g.Series.Tenant == "anonymous" && g.Series.Service == "service-1" || g.Series.Tenant == "other" && g.Series.Service != "service-2"
	}
	want := contents(f.windows[:4], goes)
	want.AddWindow(f.windows[4])
	require.Eventually(t, func() bool {
		require.NoError(t, k.Pass(ctx))
		return f.rows("stored < now() - INTERVAL 2 HOUR AND (tenant = 'other' AND service != 'service-2' OR tenant = 'anonymous' AND service = 'service-1')") == "0"
	}, time.Minute, 100*time.Millisecond)
	f.check(want)
	assert.NotEqual(t, "0", f.rows("tenant = 'other' AND service = 'service-2' AND stored < now() - INTERVAL 2 HOUR"))
	assert.Equal(t, "5", f.exec("SELECT count() FROM "+f.tables.Table("batches")), "batches of the tenant have their own")

	k = f.keeper(f.pool, func(o *Options) {
		o.Retention.Batches = 1000 * time.Hour
		o.Retention.Overrides = []Override{{"anonymous", "", 3 * time.Hour}}
	})
	require.Eventually(t, func() bool {
		require.NoError(t, k.Pass(ctx))
		return f.exec("SELECT count() FROM "+f.tables.Table("batches")) == "1" &&
			f.rows("tenant = 'anonymous' AND stored < now() - INTERVAL 2 HOUR") == "0"
	}, time.Minute, 100*time.Millisecond)
	f.check(contentsOf(f.windows, func(i int, g *profile.Group) bool { return i < 4 && (goes(g) || g.Series.Tenant == "anonymous") }))
}

func contentsOf(windows []*profilestore.Window, goes func(int, *profile.Group) bool) *chunktest.Contents {
	c := contents(nil, nothing)
	for i, w := range windows {
		c.AddWindow(without(w, func(g *profile.Group) bool { return goes(i, g) }))
	}
	return c
}

// TestLowerLevelsGoFirst has rows that others replaced deleted before those.
func TestLowerLevelsGoFirst(t *testing.T) {
	k := New(nil, Options{})
	now := int64(1_000_000)
	o := owner{"t", "s"}
	hour := func(owner) time.Duration { return time.Hour }
	groups := []group{{o, "p0", 0, now - 3700}, {o, "p2", 2, now - 100_000}, {owner{"t", "x"}, "p2", 2, now - 100_000}}
	got := k.due(groups, now, nil, hour)
	assert.Equal(t, map[old][]owner{{"p0", now - 3600}: {o}, {"p2", now - 3600}: {{"t", "x"}}}, got)
	got = k.due(groups[1:], now, nil, hour)
	assert.Equal(t, map[old][]owner{{"p2", now - 3600}: {o, {"t", "x"}}}, got)
	assert.Empty(t, k.due(groups, now, map[string]bool{"t": true}, hour))
	assert.Empty(t, k.due([]group{{o, "p2", 2, now - 3700}}, now, nil, hour), "not every minute")
}
