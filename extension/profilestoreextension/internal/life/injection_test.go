package life

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// hostile are names that must mean nothing but themselves.
var hostile = []string{
	"'", "''", `\`, `\'`, `"`, "`", "') OR 1=1 --", "'; DROP TABLE chunks; --", "{x:String}", "{tenant:String}", "%' OR '1'='1",
	"a\x00b", "\x00", "\n\t\r", "ünïcödé ☃ 🦀", "unhex('41')", strings.Repeat("x'", 32<<10),
}

// TestHostileNames deletes, sweeps and asks with names that try to be SQL, and
// nothing changes.
func TestHostileNames(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	f.write(ctx, 0, 20)
	k := f.keeper(f.pool, nil)
	for _, name := range hostile {
		for _, target := range []profilestore.Target{
			{Tenant: "anonymous", Scope: profilestore.ScopeService, Name: name},
			{Tenant: name, Scope: profilestore.ScopeTenant, Name: name},
			{Tenant: "anonymous", Scope: profilestore.ScopeAgent, Name: name},
		} {
			j := &job{id: "job", target: target, cut: time.Now().Add(time.Hour).UnixMilli()}
			e, err := newEraser(ctx, &k.t, j)
			require.NoError(t, err, "%.40q", name)
			keys, _, err := e.keys(ctx)
			require.NoError(t, err, "%.40q", name)
			assert.Empty(t, keys, "%.40q", name)
			n, err := k.purgeBatches(ctx, j)
			require.NoError(t, err, "%.40q", name)
			assert.Zero(t, n, "%.40q", name)
			_, _, err = k.lost(ctx, j)
			require.NoError(t, err, "%.40q", name)
		}
		_, err := k.DeleteJob(ctx, name, name)
		require.ErrorIs(t, err, profilestore.ErrNotFound, "%.40q", name)
		require.NoError(t, k.deleteOld(ctx, "chunks", map[old][]owner{{"none", 1}: {{name, name}}}))
	}
	j, err := k.Delete(ctx, profilestore.Target{Tenant: "anonymous", Scope: profilestore.ScopeService, Name: hostile[6]})
	require.NoError(t, err)
	assert.Equal(t, hostile[6], j.Target.Name)
	f.check(contents(f.windows, nothing))

	for _, bad := range []profilestore.Target{
		{},
		{Tenant: "a", Scope: "x", Name: "y"},
		{Tenant: "a", Scope: profilestore.ScopeTenant, Name: "b"},
		{Tenant: "a", Scope: profilestore.ScopeAgent},
		{Tenant: "a", Scope: profilestore.ScopeService, Name: "\xff"},
		{Tenant: "a", Scope: profilestore.ScopeService, Name: strings.Repeat("x", 64<<10+1)},
	} {
		_, err := k.Delete(ctx, bad)
		require.ErrorIs(t, err, profile.ErrInvalid)
	}
	assert.Equal(t, "'none'", literalID("x'; DROP TABLE y"))
}
