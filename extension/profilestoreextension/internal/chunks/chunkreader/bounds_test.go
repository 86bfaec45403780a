package chunkreader

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktest"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/reader"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// closeHours replaces all rows of a tenant by one for each key, most with numbers
// for their stacks.
func (s *store) closeHours(t *testing.T, tenant string) {
	t.Helper()
	byKey := map[chunkrow.Key][]*chunkrow.Row{}
	for _, r := range chunktest.ReadRows(t, s.pool, s.o, chunkrow.All) {
		if r.Tenant == tenant {
			byKey[r.Key] = append(byKey[r.Key], r)
		}
	}
	var rows []*chunkrow.Row
	for _, rs := range byKey {
		rows = append(rows, compacted(t, chunkrow.ClosedHour, 1, rs))
	}
	insert(t, s.pool, s.o, rows...)
}

// TestBudget: rows that wait for their dictionaries are counted, over all queries
// that run, and given back.
func TestBudget(t *testing.T) {
	s := newStore(t)
	s.closeHours(t, "anonymous")
	sel := profilestore.Selector{
		Tenant: "anonymous", Service: "service-0",
		Start: chunktest.Base - layout.Hour/2 + 30*chunktest.Second, End: chunktest.Base + layout.Hour + layout.Hour/2 + 20*chunktest.Second,
	}
	want := s.merge(sel, profilestore.MergeOptions{ByLock: true})
	for _, bytes := range []int{1, 20_000, 64 << 20} {
		var mu sync.Mutex
		headers := 0
		r := newReader(s.pool, s.o, bytes)
		o := r.opts
		o.StackCacheSize = 4 // dictionaries are forgotten at once
		o.OnQuery = func(_ context.Context, name string, _ time.Duration, _ error) {
			mu.Lock()
			defer mu.Unlock()
			if name == "headers" {
				headers++
			}
		}
		r = New(s.pool, o)
		ask := func() {
			headers = 0
			m, err := r.MergeStacks(t.Context(), sel, profilestore.MergeOptions{ByLock: true})
			require.NoError(t, err)
			require.Equal(t, want, got(m))
			assert.Zero(t, r.buffer.used.Load())
		}
		ask()
		assert.Equal(t, bytes < 64<<20, headers > 0, bytes)
		// What others have taken counts as well.
		others := held{of: &r.buffer}
		require.NoError(t, others.take(bytes))
		headers = 0
		m, err := r.MergeStacks(t.Context(), sel, profilestore.MergeOptions{ByLock: true})
		require.NoError(t, err)
		require.Equal(t, want, got(m))
		assert.Positive(t, headers)
		assert.Equal(t, int64(bytes), r.buffer.used.Load())
		others.release()
		ask()
	}
}

// TestBatches: rows to be spelled out are read a few at a time.
func TestBatches(t *testing.T) {
	rows := make([]*chunkrow.Row, 10)
	for i := range rows {
		rows[i] = &chunkrow.Row{Header: chunkrow.Header{Entries: batchCost / 300}}
	}
	assert.Equal(t, 3, batchOf(rows))
	rows[0].Entries = batchCost
	assert.Equal(t, 1, batchOf(rows))
	assert.Zero(t, batchOf(nil))
}

// TestRowsChange: sums that ClickHouse makes notice rows that were deleted, or came
// again, after the headers were read.
func TestRowsChange(t *testing.T) {
	s := newStore(t)
	sel := profilestore.Selector{Tenant: "anonymous", Kinds: []string{"cpu"}}
	all := slices.DeleteFunc(chunktest.ReadRows(t, s.pool, s.o, chunkrow.All), func(r *chunkrow.Row) bool {
		return r.Tenant != sel.Tenant || r.Kind != sel.Kinds[0] || r.Service != "service-0"
	})
	require.Greater(t, len(all), 2)
	again := func(i int) func() {
		return func() { insert(t, s.pool, s.o, all[i]) }
	}
	remove := func(service string) func() {
		return func() {
			require.NoError(t, s.pool.Do(t.Context(), chconn.Query{Query: ch.Query{
				Body: "DELETE FROM " + s.o.Table("chunks") + " WHERE tenant = 'anonymous' AND kind = 'cpu' AND service = '" + service + "'",
			}}))
		}
	}
	for i, c := range []struct {
		after  string
		change func()
	}{
		{"headers", again(0)},
		{"look", again(1)},
		{"headers", remove("service-0")},
		{"look", remove("service-1")},
	} {
		o := newReader(s.pool, s.o, 64<<20).opts
		var once sync.Once
		o.OnQuery = func(_ context.Context, query string, _ time.Duration, _ error) {
			if query == c.after {
				once.Do(c.change)
			}
		}
		r := New(s.pool, o)
		_, err := r.MergeStacks(t.Context(), sel, profilestore.MergeOptions{})
		require.ErrorIs(t, err, profilestore.ErrUnavailable, i)
		_, err = r.MergeStacks(t.Context(), sel, profilestore.MergeOptions{})
		require.NoError(t, err, i)
	}
}

// TestNoExemplars: to ask for none takes none of the tenant's slots.
func TestNoExemplars(t *testing.T) {
	s := newStore(t)
	o := newReader(s.pool, s.o, 64<<20).opts
	o.Limits = func(string) reader.Limits {
		return reader.Limits{MaxConcurrent: 1, MaxExecutionTime: 10 * time.Second}
	}
	r := New(s.pool, o)
	sel := profilestore.Selector{Tenant: "anonymous"}
	for range 2 {
		got, err := r.Exemplars(t.Context(), sel, profilestore.ExemplarOptions{})
		require.NoError(t, err)
		assert.Empty(t, got)
	}
	_, err := r.LabelNames(t.Context(), sel, 5)
	require.NoError(t, err)
}

// TestTurns: queries of all services wait for each other, those of one do not.
func TestTurns(t *testing.T) {
	s := newStore(t)
	r := newReader(s.pool, s.o, 64<<20)
	sel := profilestore.Selector{Tenant: "anonymous"}
	ask := func(ctx context.Context, sel profilestore.Selector) []error {
		_, merge := r.MergeStacks(ctx, sel, profilestore.MergeOptions{})
		_, top := r.TopFunctions(ctx, sel, profilestore.TopOptions{})
		return []error{merge, top}
	}
	for range cap(r.turns) {
		_, err := r.turns.wait(t.Context(), "")
		require.NoError(t, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range ask(ctx, sel) {
		require.ErrorIs(t, err, context.Canceled)
		assert.ErrorContains(t, err, "wait for other queries of all services")
	}
	one := sel
	one.Service = "service-1"
	for _, err := range ask(t.Context(), one) {
		require.NoError(t, err)
	}
	done := make(chan []error)
	go func() { done <- ask(t.Context(), sel) }()
	<-r.turns
	for _, err := range <-done {
		require.NoError(t, err)
	}
	assert.Len(t, r.turns, cap(r.turns)-1)
}

// TestAbsentStacks: stacks that are not there yet are asked for again.
func TestAbsentStacks(t *testing.T) {
	frame := &profile.Frame{Function: profile.Function{Name: "f"}}
	stored := map[profile.ID][]*profile.Frame{{Lo: 1}: {frame}}
	ids := []profile.ID{{Lo: 1}, {Lo: 2}, {}}
	c := newCalls(1 << 20)
	ask := func(tenant string) []uint32 {
		q := callQuery{tenant: tenant, ids: ids, resolve: func(_ context.Context, _, _ string, ids []profile.ID) ([][]*profile.Frame, error) {
			frames := make([][]*profile.Frame, len(ids))
			for i, id := range ids {
				frames[i] = stored[id]
			}
			return frames, nil
		}}
		defer c.end()
		_, leaves, err := c.begin().find(t.Context(), &q)
		require.NoError(t, err)
		return leaves
	}
	assert.Equal(t, []uint32{1, 0, 0}, ask("a"))
	assert.Len(t, c.current.leaves, 1)
	stored[profile.ID{Lo: 2}] = []*profile.Frame{frame, frame}
	got := ask("a")
	assert.Equal(t, uint32(1), got[0])
	assert.NotZero(t, got[1])
	c.budget = 1
	assert.NotContains(t, ask("b")[:2], uint32(0))
	assert.Empty(t, c.current.leaves)
}
