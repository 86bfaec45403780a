package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

func pprofileTime(ns int64) pcommon.Timestamp { return pcommon.Timestamp(ns) }

func spellFrame(b *strings.Builder, f *profile.Frame) {
	fmt.Fprintf(b, "%+v\n", *f)
}

// got turns the answer of a store into the form of the reference.
func got(m *profilestore.Merge) []wantKind {
	var out []wantKind
	for i := range m.Kinds {
		k := &m.Kinds[i]
		w := wantKind{
			Kind: k.Kind, Types: k.Types, Period: k.Period, Start: k.Start, End: k.End,
			Totals: k.Totals, Events: k.Events, TotalRows: k.TotalRows, Syscalls: k.Syscalls,
		}
		for _, row := range k.Rows {
			st := m.Stacks[row.Stack]
			var b strings.Builder
			for _, f := range st.Frames {
				spellFrame(&b, f)
			}
			w.Rows = append(w.Rows, wantRow{
				Stack: b.String(), ID: st.ID, Lock: row.LockAddress, Syscall: row.Syscall, Bucket: row.Bucket, Failed: row.Failed, Values: row.Values,
				Count: row.Count, Min: row.Min, Max: row.Max,
			})
		}
		out = append(out, w)
	}
	return out
}

const hour = int64(time.Hour)

// TestMergeEqualsReference compares every kind of query with a computation of
// its own over times that hit whole hours, edges and nothing.
func TestMergeEqualsReference(t *testing.T) {
	store, _, _ := newStore(t)
	src, ref := newSource(t, 1), &reference{}
	ctx := context.Background()
	origins := []origin{
		{"t1", "api", "agent-1", map[string]string{"pod": "a", "region": "eu"}},
		{"t1", "api", "agent-2", map[string]string{"pod": "b", "region": "us"}},
		{"t1", "web", "", map[string]string{"pod": "c"}},
		{"t2", "api", "agent-1", map[string]string{"pod": "a"}},
	}
	for i := range 8 {
		w := src.window(base+int64(i)*hour/2-hour, 90*time.Second, 30, origins...)
		require.NoError(t, store.Write(ctx, w))
		ref.add(w)
	}
	agent, none := "agent-1", ""
	equal := func(name, value string) []profilestore.Matcher {
		return []profilestore.Matcher{{Name: name, Value: value}}
	}
	op := func(op profilestore.MatchOp, name, value string) []profilestore.Matcher {
		return []profilestore.Matcher{{Name: name, Value: value, Op: op}}
	}
	selectors := map[string]profilestore.Selector{
		"all":            {Tenant: "t1"},
		"other tenant":   {Tenant: "t2"},
		"no such tenant": {Tenant: "t3"},
		"service":        {Tenant: "t1", Service: "web"},
		"kinds":          {Tenant: "t1", Kinds: []string{"cpu", "lock"}},
		"agent":          {Tenant: "t1", AgentID: &agent},
		"without agent":  {Tenant: "t1", AgentID: &none},
		"label":          {Tenant: "t1", Matchers: equal("pod", "a")},
		"absent label":   {Tenant: "t1", Matchers: equal("region", "")},
		"not label":      {Tenant: "t1", Matchers: op(profilestore.MatchNotEqual, "pod", "a")},
		"regexp":         {Tenant: "t1", Matchers: op(profilestore.MatchRegexp, "pod", "a|c")},
		"anchored":       {Tenant: "t1", Matchers: op(profilestore.MatchRegexp, "region", "e")},
		"not regexp":     {Tenant: "t1", Matchers: op(profilestore.MatchNotRegexp, "region", "e.*")},
		"whole hours":    {Tenant: "t1", Start: base, End: base + 2*hour},
		"edges":          {Tenant: "t1", Start: base - hour/2, End: base + hour + hour/2 + 1},
		"left edge":      {Tenant: "t1", Start: base + 1, End: base + 2*hour},
		"in an hour":     {Tenant: "t1", Start: base + 10_000_000_000, End: base + 60_000_000_000},
		"after":          {Tenant: "t1", Start: base + hour},
		"before":         {Tenant: "t1", End: base + hour + 7},
		"nothing":        {Tenant: "t1", Start: base + 100*hour},
		"backwards":      {Tenant: "t1", Start: base + hour, End: base},
		"all of it":      {Tenant: "t1", Service: "api", Kinds: []string{"syscall"}, AgentID: &agent, Matchers: equal("region", "eu"), Start: base, End: base + hour},
	}
	options := map[string]profilestore.MergeOptions{
		"stacks":   {},
		"locks":    {ByLock: true},
		"calls":    {BySyscall: true},
		"no stack": {NoStacks: true, BySyscall: true, ByLock: true},
		"sums":     {NoStacks: true},
		"outcomes": {SyscallRows: true, ByLock: true, BySyscall: true},
	}
	for name, sel := range selectors {
		t.Run(name, func(t *testing.T) {
			n, err := store.CountEvents(ctx, sel)
			require.NoError(t, err)
			assert.Equal(t, ref.count(sel), n)
			for oname, opts := range options {
				m, err := store.MergeStacks(ctx, sel, opts)
				require.NoError(t, err)
				require.Equal(t, ref.merge(sel, opts), got(m), oname)
				for _, k := range m.Kinds {
					var value int64
					var events uint64
					for _, row := range k.Rows {
						if len(m.Stacks[row.Stack].Frames) == 0 && !opts.NoStacks {
							value, events = value+row.Values[0], events+row.Count
						}
					}
					require.Equal(t, value, k.StacklessValue)
					require.Equal(t, events, k.StacklessEvents)
				}
			}
		})
	}
	t.Run("limit", func(t *testing.T) {
		sel := profilestore.Selector{Tenant: "t1"}
		want := ref.merge(sel, profilestore.MergeOptions{})
		m, err := store.MergeStacks(ctx, sel, profilestore.MergeOptions{MaxStacks: 5})
		require.NoError(t, err)
		for i := range want {
			want[i].Rows = want[i].Rows[:5]
		}
		assert.Equal(t, want, got(m))
		assert.Less(t, len(m.Stacks), 26)
	})
}
