package integration

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// TestMemoryAnswersLikeTheStore asks the store and the profiles that the buffer
// keeps the same questions.
func TestMemoryAnswersLikeTheStore(t *testing.T) {
	server := clickhousetest.Start(t)
	p := begin(t, server, clickhousetest.Database(t), t.TempDir())
	defer p.end(t)
	eventually(t, func() bool { return p.store().Ready() == nil })
	total := uint64(0)
	for i := range 20 {
		for _, agent := range []string{"a", "b"} {
			require.NoError(t, p.buffer.ConsumeProfiles(t.Context(), push(agent, i, 100)))
			total += 100
		}
	}
	eventually(t, func() bool { return p.count(t) == total })
	memory, store := p.view.view.Reader(), p.store()
	agent := "b"
	selectors := map[string]profilestore.Selector{
		"all":      {},
		"agent":    {AgentID: &agent},
		"service":  {Service: "service-a"},
		"kinds":    {Kinds: []string{profile.KindLock, profile.KindSyscall}},
		"range":    {Start: start + int64(time.Second), End: start + 3*int64(time.Second)},
		"edge":     {Start: start, End: start + 1},
		"nothing":  {Start: start - 10, End: start},
		"equal":    {Matchers: []profilestore.Matcher{{Name: "service.name", Value: "service-b"}}},
		"regexp":   {Matchers: []profilestore.Matcher{{Name: "service.name", Value: ".*-a", Op: profilestore.MatchRegexp}}},
		"unequal":  {Matchers: []profilestore.Matcher{{Name: "pod", Value: "", Op: profilestore.MatchNotEqual}}},
		"unregexp": {Matchers: []profilestore.Matcher{{Name: "service.name", Value: "service-[bc]", Op: profilestore.MatchNotRegexp}}},
	}
	for name, sel := range selectors {
		for _, tenant := range []string{"t1", "t2"} {
			sel.Tenant = tenant
			want, err := store.CountEvents(t.Context(), sel)
			require.NoError(t, err)
			got, err := memory.CountEvents(t.Context(), sel)
			require.NoError(t, err)
			assert.Equal(t, want, got, name)
			for _, opts := range []profilestore.MergeOptions{{}, {ByLock: true, BySyscall: true}, {NoStacks: true, BySyscall: true}, {MaxStacks: 3}} {
				want, err := store.MergeStacks(t.Context(), sel, opts)
				require.NoError(t, err)
				got, err := memory.MergeStacks(t.Context(), sel, opts)
				require.NoError(t, err)
				assert.Equal(t, resolved(want), resolved(got), "%s %+v", name, opts)
			}
			b1, err := store.Batches(t.Context(), sel, 7)
			require.NoError(t, err)
			b2, err := memory.Batches(t.Context(), sel, 7)
			require.NoError(t, err)
			if sel.Service == "" && len(sel.Matchers) == 0 {
				assert.Equal(t, times(b1), times(b2), name)
			}
		}
	}
	for _, r := range []profilestore.Reader{memory, store} {
		_, err := r.MergeStacks(t.Context(), profilestore.Selector{}, profilestore.MergeOptions{})
		require.ErrorIs(t, err, profile.ErrInvalid)
		_, err = r.CountEvents(t.Context(), profilestore.Selector{Tenant: "t1", Matchers: []profilestore.Matcher{{Name: "a", Value: "(", Op: profilestore.MatchRegexp}}})
		require.ErrorIs(t, err, profile.ErrInvalid)
	}
}

func times(batches []profile.Batch) (out []int64) {
	for _, b := range batches {
		out = append(out, b.ReceivedAt)
	}
	return out
}

// resolved replaces the stacks of a merge by their content.
func resolved(m *profilestore.Merge) (out []string) {
	for _, k := range m.Kinds {
		rows := k.Rows
		k.Rows = nil
		out = append(out, fmt.Sprintf("%+v", k))
		for _, r := range rows {
			s := m.Stacks[r.Stack]
			line := fmt.Sprintf("%s %x %v %d %d %d:", s.ID, r.LockAddress, r.Values, r.Count, r.Min, r.Max)
			for _, f := range s.Frames {
				line += fmt.Sprintf(" %+v", *f)
			}
			out = append(out, line)
		}
	}
	return out
}
