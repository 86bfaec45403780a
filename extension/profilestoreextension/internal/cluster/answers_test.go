package cluster_test

import (
	"cmp"
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkreader"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktest"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// selectors are of every kind that is read in a way of its own: one service or
// all, whole hours or cut ones, labels.
func selectors() []profilestore.Selector {
	agent := "agent-1"
	half := chunktest.Base + layout.Hour/2
	pod := func(op profilestore.MatchOp, value string) []profilestore.Matcher {
		return []profilestore.Matcher{{Name: "k8s.pod.name", Value: value, Op: op}}
	}
	return []profilestore.Selector{
		{Tenant: "anonymous"},
		{Tenant: "other", Service: "service-1"},
		{Tenant: "anonymous", Service: "service-2", Start: half, End: half + layout.Hour},
		{Tenant: "anonymous", Start: half, End: half + 2*layout.Hour, Kinds: []string{profile.KindCPU}},
		{Tenant: "anonymous", AgentID: &agent},
		{Tenant: "anonymous", Matchers: pod(profilestore.MatchEqual, "pod-2")},
		{Tenant: "other", Service: "service-0", Matchers: pod(profilestore.MatchRegexp, "pod-[01]")},
		{Tenant: "nobody"},
	}
}

// answers asks everything that can be asked.
func answers(tb testing.TB, r profilestore.Reader, q querier, sel profilestore.Selector) map[string]any {
	tb.Helper()
	out := make(map[string]any)
	add := func(name string, answer any, err error) {
		tb.Helper()
		require.NoError(tb, err, "%s of %+v", name, sel)
		out[name] = answer
	}
	ctx := tb.Context()
	for name, o := range map[string]profilestore.MergeOptions{
		"stacks": {}, "sums": {NoStacks: true}, "locks": {ByLock: true}, "syscalls": {BySyscall: true}, "syscall rows": {SyscallRows: true},
	} {
		m, err := r.MergeStacks(ctx, sel, o)
		add("merge "+name, named(m), err)
	}
	n, err := r.CountEvents(ctx, sel)
	add("events", n, err)
	batches, err := r.Batches(ctx, sel, 1000)
	add("batches", batches, err)
	series, err := q.Series(ctx, sel, profilestore.SeriesOptions{By: []string{"service.name", "k8s.pod.name"}, Step: layout.Hour / 4})
	add("series", series, err)
	profiles, err := q.Profiles(ctx, sel, 500)
	add("profiles", profiles, err)
	heatmap, err := q.Heatmap(ctx, sel, layout.Hour/8, 0)
	add("heatmap", heatmap, err)
	types, err := q.ProfileTypes(ctx, sel)
	add("types", types, err)
	names, err := q.LabelNames(ctx, sel, 1000)
	add("names", names, err)
	values, err := q.LabelValues(ctx, sel, "k8s.pod.name", 1000)
	add("values", values, err)
	return out
}

// querier is what is asked beside [profilestore.Reader].
type querier interface {
	Series(ctx context.Context, sel profilestore.Selector, opts profilestore.SeriesOptions) ([]profilestore.Series, error)
	Profiles(ctx context.Context, sel profilestore.Selector, limit int) ([]profilestore.Profile, error)
	Heatmap(ctx context.Context, sel profilestore.Selector, step int64, column int) ([]profilestore.Heatmap, error)
	ProfileTypes(ctx context.Context, sel profilestore.Selector) ([]profilestore.ProfileType, error)
	LabelNames(ctx context.Context, sel profilestore.Selector, limit int) ([]string, error)
	LabelValues(ctx context.Context, sel profilestore.Selector, name string, limit int) ([]string, error)
}

// named returns a merge with the stacks in its rows instead of their numbers,
// which are in no order.
func named(m *profilestore.Merge) any {
	if m == nil {
		return nil
	}
	type row struct {
		profilestore.Row
		Stack profilestore.Stack
	}
	type kind struct {
		profilestore.KindMerge
		Rows []row
	}
	var out []kind
	for _, k := range m.Kinds {
		to := kind{KindMerge: k}
		to.KindMerge.Rows = nil
		for _, r := range k.Rows {
			to.Rows = append(to.Rows, row{Row: r, Stack: m.Stacks[r.Stack]})
			to.Rows[len(to.Rows)-1].Row.Stack = 0
		}
		slices.SortStableFunc(to.Rows, func(a, b row) int {
			return cmp.Or(cmp.Compare(b.Values[0], a.Values[0]), a.Stack.ID.Compare(b.Stack.ID))
		})
		out = append(out, to)
	}
	return out
}

// same asks both and compares; one by way of each of its servers in turns.
func same(tb testing.TB, want, got *tables) {
	tb.Helper()
	from := want.reader(0)
	readers := make([]*chunkreader.Reader, len(got.servers))
	for i := range readers {
		readers[i] = got.reader(i)
	}
	for i, sel := range selectors() {
		server := i % len(readers)
		want, got := answers(tb, from, from, sel), answers(tb, readers[server], readers[server], sel)
		for name := range want {
			assert.Equal(tb, want[name], got[name], "%s of selector %d by way of server %d", name, i, server)
		}
	}
}
