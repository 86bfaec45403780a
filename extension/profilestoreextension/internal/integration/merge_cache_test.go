package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/extensiontest"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// caching is a store whose metrics can be read.
type caching struct {
	profilestore.Store
	t        *testing.T
	tel      *componenttest.Telemetry
	database string
}

func newCaching(t *testing.T, cacheSize int64) *caching {
	t.Helper()
	server := clickhousetest.Start(t)
	c := &caching{t: t, tel: componenttest.NewTelemetry(), database: clickhousetest.Database(t)}
	t.Cleanup(func() { require.NoError(t, c.tel.Shutdown(context.Background())) })
	cfg := configFor(server.Endpoint(), c.database)
	cfg.MergeCacheSize = cacheSize
	f := profilestoreextension.NewFactory()
	set := extensiontest.NewNopSettings(f.Type())
	set.TelemetrySettings = c.tel.NewTelemetrySettings()
	ext, err := f.Create(t.Context(), set, cfg)
	require.NoError(t, err)
	require.NoError(t, ext.Start(context.Background(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, ext.Shutdown(context.Background())) })
	c.Store = ext.(profilestore.Store)
	waitReady(t, c.Store)
	return c
}

func (c *caching) metric(name string) int64 {
	c.t.Helper()
	return metricValue(c.t, c.tel, name)
}

// merge merges and reports whether the answer came from the cache.
func (c *caching) merge(sel profilestore.Selector, o profilestore.MergeOptions) (m *profilestore.Merge, hit bool) {
	c.t.Helper()
	before := c.metric("profile_store_merge_cache_hits")
	m, err := c.MergeStacks(context.Background(), sel, o)
	require.NoError(c.t, err)
	return m, c.metric("profile_store_merge_cache_hits") > before
}

// warm merges until the cache answers.
func (c *caching) warm(sel profilestore.Selector, o profilestore.MergeOptions) *profilestore.Merge {
	c.t.Helper()
	for range 4 {
		if m, hit := c.merge(sel, o); hit {
			return m
		}
	}
	require.FailNow(c.t, "not answered from the cache")
	return nil
}

func TestMergeCache(t *testing.T) {
	c := newCaching(t, 64<<20)
	ctx := context.Background()
	src, ref := newSource(t, 51), &reference{}
	origins := []origin{{"t1", "api", "agent-1", nil}, {"t1", "web", "", nil}, {"t2", "api", "agent-1", nil}}
	write := func(at int64) {
		w := src.window(at, time.Second, 40, origins...)
		require.NoError(t, c.Write(ctx, w))
		ref.add(w)
	}
	write(base)
	write(base + hour)
	whole := profilestore.Selector{Tenant: "t1", Start: base, End: base + hour}
	options := []profilestore.MergeOptions{{}, {ByLock: true, BySyscall: true}, {NoStacks: true}, {MaxStacks: 3}}
	for _, o := range options {
		m := c.warm(whole, o)
		if o.MaxStacks == 0 {
			require.Equal(t, ref.merge(whole, o), got(m))
		}
		again, hit := c.merge(whole, o)
		require.True(t, hit)
		require.Same(t, m, again)
	}

	t.Run("selectors apart", func(t *testing.T) {
		for _, sel := range []profilestore.Selector{
			{Tenant: "t2", Start: base, End: base + hour},
			{Tenant: "t1", Start: base, End: base + 2*hour},
			{Tenant: "t1", Start: base + hour, End: base + 2*hour},
			{Tenant: "t1", Service: "api", Start: base, End: base + hour},
			{Tenant: "t1", Kinds: []string{"cpu"}, Start: base, End: base + hour},
			{Tenant: "t1", Kinds: []string{"cpu", "lock"}, Start: base, End: base + hour},
			{Tenant: "t1"},
		} {
			for range 3 {
				m, _ := c.merge(sel, profilestore.MergeOptions{})
				require.Equal(t, ref.merge(sel, profilestore.MergeOptions{}), got(m))
			}
		}
	})
	t.Run("edges and labels", func(t *testing.T) {
		agent := "agent-1"
		for _, sel := range []profilestore.Selector{
			{Tenant: "t1", Start: base + 1, End: base + 2*hour},
			{Tenant: "t1", AgentID: &agent, Start: base, End: base + hour},
		} {
			for range 3 {
				m, hit := c.merge(sel, profilestore.MergeOptions{})
				require.False(t, hit)
				require.Equal(t, ref.merge(sel, profilestore.MergeOptions{}), got(m))
			}
		}
	})
	t.Run("nothing", func(t *testing.T) {
		for range 3 {
			m, hit := c.merge(profilestore.Selector{Tenant: "t3", Start: base, End: base + hour}, profilestore.MergeOptions{})
			require.False(t, hit)
			require.Empty(t, m.Kinds)
		}
	})
	t.Run("written to", func(t *testing.T) {
		other := profilestore.Selector{Tenant: "t1", Start: base + hour, End: base + 2*hour}
		for i := range int64(5) {
			c.warm(other, options[1])
			c.warm(whole, options[1])
			write(base + i + 1)
			m, hit := c.merge(whole, options[1])
			require.False(t, hit)
			require.Equal(t, ref.merge(whole, options[1]), got(m))
			_, hit = c.merge(other, options[1])
			require.True(t, hit, "another hour was written to")
		}
		// An hour that is written to all the time.
		for i := range int64(5) {
			write(base + 10 + i)
			m, hit := c.merge(whole, options[1])
			require.False(t, hit)
			require.Equal(t, ref.merge(whole, options[1]), got(m))
		}
		require.Equal(t, ref.merge(whole, options[1]), got(c.warm(whole, options[1])))
	})
}

func TestMergeCacheForgetsLostTables(t *testing.T) {
	c := newCaching(t, 64<<20)
	ctx := context.Background()
	server := clickhousetest.Start(t)
	sel := profilestore.Selector{Tenant: "t1", Start: base, End: base + hour}
	w := newSource(t, 52).window(base, time.Second, 40, origin{"t1", "api", "", nil})
	require.NoError(t, c.Write(ctx, w))
	want := c.warm(sel, profilestore.MergeOptions{})
	clickhousetest.Exec(t, server, "DROP DATABASE "+c.database+" SYNC")
	_, err := c.MergeStacks(ctx, sel, profilestore.MergeOptions{})
	require.ErrorIs(t, err, profilestore.ErrUnavailable)
	require.Eventually(t, func() bool {
		m, err := c.MergeStacks(ctx, sel, profilestore.MergeOptions{})
		return err == nil && len(m.Kinds) == 0
	}, 30*time.Second, 10*time.Millisecond)
	assert.Zero(t, c.metric("profile_store_merge_cache_size")/1024)
	require.NoError(t, c.Write(ctx, w))
	m, hit := c.merge(sel, profilestore.MergeOptions{})
	assert.False(t, hit)
	assert.Equal(t, got(want), got(m))
}

func TestMergeCacheIsBounded(t *testing.T) {
	const budget = 100_000
	c := newCaching(t, budget)
	ctx := context.Background()
	src, ref := newSource(t, 53), &reference{}
	for i := range int64(20) {
		w := src.window(base+i*hour, time.Second, 40, origin{"t1", "api", "", nil})
		require.NoError(t, c.Write(ctx, w))
		ref.add(w)
	}
	for i := range int64(20) {
		sel := profilestore.Selector{Tenant: "t1", Start: base + i*hour, End: base + (i+1)*hour}
		require.Equal(t, ref.merge(sel, profilestore.MergeOptions{}), got(c.warm(sel, profilestore.MergeOptions{})))
		require.LessOrEqual(t, c.metric("profile_store_merge_cache_size"), int64(budget))
	}
	require.Greater(t, c.metric("profile_store_merge_cache_size"), int64(budget/2))
}

func TestMergeCacheOfLargeAnswers(t *testing.T) {
	c := newCaching(t, 1000)
	w := newSource(t, 54).window(base, time.Second, 40, origin{"t1", "api", "", nil})
	require.NoError(t, c.Write(context.Background(), w))
	for range 4 {
		_, hit := c.merge(profilestore.Selector{Tenant: "t1", Start: base, End: base + hour}, profilestore.MergeOptions{})
		require.False(t, hit)
		require.LessOrEqual(t, c.metric("profile_store_merge_cache_size"), int64(1000))
	}
}

func TestMergeCacheOff(t *testing.T) {
	c := newCaching(t, 0)
	w := newSource(t, 56).window(base, time.Second, 40, origin{"t1", "api", "", nil})
	require.NoError(t, c.Write(context.Background(), w))
	for range 4 {
		_, hit := c.merge(profilestore.Selector{Tenant: "t1", Start: base, End: base + hour}, profilestore.MergeOptions{})
		require.False(t, hit)
	}
	assert.Zero(t, c.metric("profile_store_merge_cache_size"))
}

// TestMergeCacheNeverLags reads hours while they are written to: what was
// acknowledged before a query must be in its answer.
func TestMergeCacheNeverLags(t *testing.T) {
	c := newCaching(t, 64<<20)
	ctx := context.Background()
	src := newSource(t, 55)
	sel := profilestore.Selector{Tenant: "t1", Start: base, End: base + hour}
	var windows []*profilestore.Window
	for i := range int64(40) {
		windows = append(windows, src.window(base+i, time.Second, 10, origin{"t1", "api", "", nil}))
	}
	events := func(m *profilestore.Merge) (n uint64) {
		for i := range m.Kinds {
			n += m.Kinds[i].Events
		}
		return n
	}
	var mu sync.Mutex
	var stored uint64
	done := make(chan struct{})
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				mu.Lock()
				least := stored
				mu.Unlock()
				m, err := c.MergeStacks(ctx, sel, profilestore.MergeOptions{})
				if assert.NoError(t, err) {
					assert.GreaterOrEqual(t, events(m), least)
				}
			}
		})
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for i, w := range windows {
		require.NoError(t, c.Write(ctx, w))
		sum := uint64(0)
		for _, g := range w.Groups.Groups {
			for _, e := range g.Entries {
				sum += e.Count
			}
		}
		mu.Lock()
		stored += sum
		mu.Unlock()
		if i%8 == 0 {
			time.Sleep(time.Duration(rnd.IntN(60)) * time.Millisecond)
		}
	}
	close(done)
	all.Wait()
	m := c.warm(sel, profilestore.MergeOptions{})
	assert.Equal(t, stored, events(m), fmt.Sprint(len(windows)))
	assert.True(t, slices.IsSortedFunc(m.Kinds[0].Rows, func(a, b profilestore.Row) int { return int(b.Values[0] - a.Values[0]) }))
}
