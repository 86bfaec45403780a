package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// hostile are texts that would do harm if they became part of a statement.
var hostile = []string{
	`'; DROP TABLE profiles; --`, `' OR '1'='1`, `\' OR 1=1 --`, `\`, `\\'`, "`", `"`,
	"{tenant:String}", "{x:Identifier}", "a\nb\tc\rd", "nul\x00nul", `\N`, `\x27`, "é’\u2028", "%_", "]", "['a']", "\xff\xfe",
	strings.Repeat("long'", 1000),
}

// TestHostileStrings stores and reads every text in every place that reaches
// SQL: each must find exactly its own data.
func TestHostileStrings(t *testing.T) {
	store, server, database := newStore(t)
	src, ref := newSource(t, 5), &reference{}
	ctx := context.Background()
	var origins []origin
	for _, h := range hostile {
		origins = append(origins,
			origin{tenant: h, service: h, agent: h, labels: map[string]string{h: h, "plain": "x"}},
			origin{tenant: "shared", service: h, agent: h, labels: map[string]string{h: h}})
	}
	w := src.window(base, time.Second, 3, origins...)
	for _, g := range w.Groups.Groups {
		if g.Kind == "heap" {
			g.Kind += g.Series.Service
			g.Types = []profile.ValueType{{Type: g.Series.Service, Unit: ",/%2C"}, {Type: "b", Unit: g.Series.Service}}
		}
	}
	require.NoError(t, store.Write(ctx, w))
	ref.add(w)
	check := func(t *testing.T, sel profilestore.Selector) {
		t.Helper()
		want := ref.merge(sel, profilestore.MergeOptions{ByLock: true})
		require.NotEmpty(t, want)
		m, err := store.MergeStacks(ctx, sel, profilestore.MergeOptions{ByLock: true})
		require.NoError(t, err)
		assert.Equal(t, want, got(m))
		n, err := store.CountEvents(ctx, sel)
		require.NoError(t, err)
		assert.Equal(t, ref.count(sel), n)
	}
	for _, h := range hostile {
		label := func(op profilestore.MatchOp, value string) []profilestore.Matcher {
			return []profilestore.Matcher{{Name: h, Value: value, Op: op}}
		}
		t.Run(fmt.Sprintf("%.12q", h), func(t *testing.T) {
			check(t, profilestore.Selector{Tenant: h})
			check(t, profilestore.Selector{Tenant: "shared", Service: h})
			check(t, profilestore.Selector{Tenant: "shared", Kinds: []string{"heap" + h, "cpu"}, Service: h})
			check(t, profilestore.Selector{Tenant: "shared", AgentID: &h})
			check(t, profilestore.Selector{Tenant: "shared", Matchers: label(profilestore.MatchEqual, h)})
			check(t, profilestore.Selector{Tenant: "shared", Matchers: label(profilestore.MatchNotEqual, h)})
			b, err := store.Batches(ctx, profilestore.Selector{Tenant: "shared", AgentID: &h}, 10)
			require.NoError(t, err)
			require.Len(t, b, 1)
			assert.Equal(t, h, b[0].AgentID)
		})
	}
	for _, table := range tables {
		assert.NotEqual(t, "0", clickhousetest.Exec(t, server, "SELECT count() FROM "+database+"."+table), table)
	}
}

// TestTenantsAreApart stores equal data for two tenants: neither sees the
// other's, and one that has nothing sees nothing.
func TestTenantsAreApart(t *testing.T) {
	store, _, _ := newStore(t)
	src := newSource(t, 6)
	ctx := context.Background()
	a := src.window(base, time.Second, 10, origin{"a", "api", "agent", map[string]string{"only": "a"}})
	b := src.window(base, time.Second, 20, origin{"b", "api", "agent", nil})
	for _, w := range []*profilestore.Window{a, b} {
		require.NoError(t, store.Write(ctx, w))
	}
	agent := "agent"
	for tenant, w := range map[string]*profilestore.Window{"a": a, "b": b, "c": {Groups: &profile.Groups{}}} {
		ref := &reference{}
		ref.add(w)
		for _, sel := range []profilestore.Selector{
			{},
			{Service: "api"},
			{AgentID: &agent},
			{Start: base + 1},
			{Start: base - hour, End: base + hour},
			{Matchers: []profilestore.Matcher{{Name: "only", Value: "a"}}},
			{Matchers: []profilestore.Matcher{{Name: "only", Value: ".*", Op: profilestore.MatchRegexp}}},
		} {
			sel.Tenant = tenant
			m, err := store.MergeStacks(ctx, sel, profilestore.MergeOptions{BySyscall: true})
			require.NoError(t, err)
			assert.Equal(t, ref.merge(sel, profilestore.MergeOptions{BySyscall: true}), got(m))
			n, err := store.CountEvents(ctx, sel)
			require.NoError(t, err)
			assert.Equal(t, ref.count(sel), n)
			batches, err := store.Batches(ctx, sel, 10)
			require.NoError(t, err)
			if sel.Start <= base {
				assert.Len(t, batches, len(w.Groups.Batches))
			}
			for _, batch := range batches {
				assert.Equal(t, tenant, batch.Tenant)
			}
		}
	}
}

func TestBadSelectors(t *testing.T) {
	store, _, _ := newStore(t)
	f := func(want string, sel profilestore.Selector) {
		t.Helper()
		_, err := store.MergeStacks(context.Background(), sel, profilestore.MergeOptions{})
		require.ErrorIs(t, err, profile.ErrInvalid)
		assert.ErrorContains(t, err, want)
		_, err = store.CountEvents(context.Background(), sel)
		require.ErrorIs(t, err, profile.ErrInvalid)
	}
	f("tenant is empty", profilestore.Selector{})
	f("matchers[0].value is not a regular expression", profilestore.Selector{Tenant: "t", Matchers: []profilestore.Matcher{{Op: profilestore.MatchRegexp, Value: "("}}})
	f("matchers[1].op is 9", profilestore.Selector{Tenant: "t", Matchers: []profilestore.Matcher{{}, {Op: 9}}})
	f("65 matchers; the limit is 64", profilestore.Selector{Tenant: "t", Matchers: make([]profilestore.Matcher, 65)})
	_, err := store.Batches(context.Background(), profilestore.Selector{}, 1)
	require.ErrorIs(t, err, profile.ErrInvalid)
}

func TestBadWindows(t *testing.T) {
	store, _, _ := newStore(t)
	f := func(want string, spoil func(*profile.Group, *profile.Batch)) {
		t.Helper()
		w := newSource(t, 7).window(base, time.Second, 1, origin{"t", "api", "agent", nil})
		spoil(w.Groups.Groups[0], &w.Groups.Batches[0])
		err := store.Write(context.Background(), w)
		require.ErrorIs(t, err, profile.ErrInvalid)
		assert.ErrorContains(t, err, want)
	}
	f("group[0].start is -1 ns", func(g *profile.Group, _ *profile.Batch) { g.Start = -1 })
	f("group[0].end is 4294967296000000000 ns", func(g *profile.Group, _ *profile.Batch) { g.End = 4294967296000000000 })
	f("group[0] has 0 types", func(g *profile.Group, _ *profile.Batch) { g.Types = nil })
	f("batch[0].received_at is -5 ns", func(_ *profile.Group, b *profile.Batch) { b.ReceivedAt = -5 })
	n, err := store.CountEvents(context.Background(), profilestore.Selector{Tenant: "t"})
	require.NoError(t, err)
	assert.Zero(t, n)
}

// TestBatchesOrderAndLimit reads batches newest first.
func TestBatchesOrderAndLimit(t *testing.T) {
	store, _, _ := newStore(t)
	ctx := context.Background()
	var batches []profile.Batch
	for i := range 10 {
		batches = append(batches, profile.Batch{Tenant: "t", AgentID: fmt.Sprintf("agent-%d", i%2), Sequence: 1<<63 + uint64(i), EventCount: uint64(i), ReceivedAt: base + int64(i/2)})
	}
	d, err := profile.Split(profile.NewBuilder().Profiles(), 1, profile.Limits{})
	require.NoError(t, err)
	d.Batches = batches
	require.NoError(t, store.Write(ctx, &profilestore.Window{Token: profile.ID{Lo: 1}, Groups: d}))
	all, err := store.Batches(ctx, profilestore.Selector{Tenant: "t"}, 100)
	require.NoError(t, err)
	require.Len(t, all, 10)
	for i := range all {
		assert.Equal(t, batches[9-i], all[i])
	}
	some, err := store.Batches(ctx, profilestore.Selector{Tenant: "t", Start: base + 1, End: base + 4}, 4)
	require.NoError(t, err)
	assert.Equal(t, all[2:6], some)
	agent := "agent-1"
	one, err := store.Batches(ctx, profilestore.Selector{Tenant: "t", AgentID: &agent}, 2)
	require.NoError(t, err)
	assert.Equal(t, []profile.Batch{all[0], all[2]}, one)
	none, err := store.Batches(ctx, profilestore.Selector{Tenant: "t"}, 0)
	require.NoError(t, err)
	assert.Empty(t, none)
}
