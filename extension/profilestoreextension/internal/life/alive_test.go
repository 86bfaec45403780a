package life

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkreader"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/reader"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// TestAlive: what is older than its retention is not seen, though it is still there,
// whatever is asked, and all else is.
func TestAlive(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	for i := range 3 {
		f.write(ctx, int64(i), 40)
	}
	f.exec("ALTER TABLE " + f.tables.Table("chunks") + " UPDATE stored = now() - INTERVAL 10 HOUR WHERE 1 SETTINGS mutations_sync = 2")
	f.exec("ALTER TABLE " + f.tables.Table("batches") + " UPDATE stored = now() - INTERVAL 10 HOUR WHERE 1 SETTINGS mutations_sync = 2")
	f.write(ctx, 1, 40) // younger, mostly of the same keys
	hostile := `', 'x'); DROP TABLE chunks; --\`
	read := func(r Retention) *chunkreader.Reader {
		return chunkreader.New(f.pool, chunkreader.Options{
			Options: reader.Options{
				Tables: f.tables, MaxExecutionTime: 30 * time.Second, MaxMemoryUsage: 1 << 30, MaxRows: 1 << 20, MaxStacks: 1 << 20,
				StackCacheSize: 16 << 20, Lifetimes: &r,
			},
			DeleteDelay: time.Minute, BufferBytes: 64 << 20,
		})
	}
	for name, r := range map[string]Retention{
		"all old":   {Profiles: 2 * time.Hour, Batches: 2 * time.Hour},
		"none old":  {Profiles: 20 * time.Hour, Batches: 20 * time.Hour},
		"overrides": {Profiles: 2 * time.Hour, Batches: 20 * time.Hour, Overrides: []Override{{"", "service-1", 20 * time.Hour}, {"other", "", 20 * time.Hour}, {"other", "service-2", 3 * time.Hour}, {"", hostile, 5 * time.Hour}}},
	} {
		t.Run(name, func(t *testing.T) {
			q := read(r)
			batches := 0
			for _, tenant := range []string{"anonymous", "other"} {
				for _, service := range []string{"", "service-0", "service-1", "service-2", hostile} {
					sel := profilestore.Selector{Tenant: tenant, Service: service}
					var want uint64
					profiles := 0
					for i, w := range f.windows {
						for _, g := range w.Groups.Groups {
							s := g.Series
							if s.Tenant == tenant && (service == "" || s.Service == service) && len(g.Entries) > 0 && (i == 3 || r.of(tenant, s.Service) > 10*time.Hour) {
								want += g.Events()
								profiles++
							}
						}
					}
					got, err := q.CountEvents(ctx, sel)
					require.NoError(t, err)
					assert.Equal(t, want, got, "%s of %s", service, tenant)
					list, err := q.Profiles(ctx, sel, 10_000)
					require.NoError(t, err)
					assert.Len(t, list, profiles)
					m, err := q.MergeStacks(ctx, sel, profilestore.MergeOptions{NoStacks: true})
					require.NoError(t, err)
					assert.Equal(t, profiles > 0, len(m.Kinds) > 0)
					sel.Matchers = []profilestore.Matcher{{Name: profile.AttrAgentID, Value: "agent.*", Op: profilestore.MatchRegexp}}
					got, err = q.CountEvents(ctx, sel)
					require.NoError(t, err)
					assert.Equal(t, want, got, "%s of %s by label", service, tenant)
				}
				b, err := q.Batches(ctx, profilestore.Selector{Tenant: tenant}, 100)
				require.NoError(t, err)
				batches += len(b)
			}
			want := 4
			if r.Batches < 10*time.Hour {
				want = 1
			}
			assert.Equal(t, want, batches)
		})
	}
}
