package integration

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// tables that one window writes to, in order.
var tables = []string{
	"functions", "locations", "stacks", "attribute_sets", "series",
	"batches", "chunks",
}

// checkOnce compares everything that can be read, from the totals of rows and from
// their profiles, with the reference.
func checkOnce(t *testing.T, store profilestore.Store, ref *reference, batches int) {
	t.Helper()
	ctx := context.Background()
	opts := profilestore.MergeOptions{ByLock: true, BySyscall: true}
	for _, sel := range []profilestore.Selector{
		{Tenant: "t1"},
		{Tenant: "t1", Start: base - 100*hour + 1},
		{Tenant: "t1", Matchers: []profilestore.Matcher{{Name: "service.name", Value: "api"}}},
	} {
		m, err := store.MergeStacks(ctx, sel, opts)
		require.NoError(t, err)
		require.Equal(t, ref.merge(sel, opts), got(m))
		n, err := store.CountEvents(ctx, sel)
		require.NoError(t, err)
		require.Equal(t, ref.count(sel), n)
	}
	b, err := store.Batches(ctx, profilestore.Selector{Tenant: "t1"}, 1000)
	require.NoError(t, err)
	require.Len(t, b, batches)
}

// write repeats a window until it is stored, as an exporter does.
func write(t *testing.T, store profilestore.Store, w *profilestore.Window) {
	t.Helper()
	require.Eventually(t, func() bool {
		err := store.Write(context.Background(), w)
		if err != nil && !errors.Is(err, profilestore.ErrUnavailable) {
			t.Errorf("unexpected error: %v", err)
		}
		return err == nil
	}, time.Minute, 10*time.Millisecond)
}

func TestRepeatedWritesChangeNothing(t *testing.T) {
	store, server, database := newStore(t)
	src, ref := newSource(t, 2), &reference{}
	o := origin{"t1", "api", "agent", nil}
	var windows []*profilestore.Window
	for i := range 3 {
		// Each window spans two weeks: two partitions.
		w := src.window(base+int64(i)*hour, time.Second, 20, o)
		more := src.window(base+int64(i+7*24)*hour, time.Second, 20, o)
		w.Groups.Groups = append(w.Groups.Groups, relocate(w, more)...)
		windows = append(windows, w)
		ref.add(w)
	}
	other := open(t, configFor(server.Endpoint(), database)) // another process knows nothing of the first
	var wg sync.WaitGroup
	for range 3 {
		for _, w := range windows {
			write(t, store, w)
			wg.Go(func() { assert.NoError(t, other.Write(context.Background(), w)) })
		}
		wg.Wait()
	}
	checkOnce(t, store, ref, 3)
	checkOnce(t, other, ref, 3)
}

// relocate returns the groups of another window with their entries' stacks and
// attributes taken over into the dictionary of w.
func relocate(w, other *profilestore.Window) []*profile.Group {
	d, o := w.Groups.Dict, other.Groups.Dict
	frames, stacks, attrs := int32(len(d.Frames)), int32(len(d.Stacks)), int32(len(d.Attributes))
	d.Frames, d.FrameIDs = append(d.Frames, o.Frames...), append(d.FrameIDs, o.FrameIDs...)
	for _, s := range o.Stacks {
		moved := make([]int32, len(s))
		for i, f := range s {
			moved[i] = f + frames
		}
		d.Stacks = append(d.Stacks, moved)
	}
	d.StackIDs = append(d.StackIDs, o.StackIDs...)
	d.Attributes = append(d.Attributes, o.Attributes...)
	for _, g := range other.Groups.Groups {
		for i := range g.Entries {
			g.Entries[i].Stack += stacks
			g.Entries[i].Attrs += attrs
		}
	}
	return other.Groups.Groups
}

// TestCutConnections loses the connection before and after the insert into each
// table; the retry comes from a store with an empty cache every other time.
func TestCutConnections(t *testing.T) {
	server := clickhousetest.Start(t)
	database := clickhousetest.Database(t)
	src, ref := newSource(t, 3), &reference{}
	p := newCutter(t, server.Endpoint().Addr)
	cfg := configFor(server.Endpoint(), database)
	cfg.Endpoint = []string{p.Addr().String()}
	store := open(t, cfg)
	direct := open(t, configFor(server.Endpoint(), database))
	for i, table := range tables {
		// A service of its own, so that there is something new for every table.
		w := src.window(base+int64(i)*hour, time.Second, 10, origin{"t1", "api", "agent", map[string]string{"n": table}})
		if table != "functions" && table != "locations" && table != "attribute_sets" || i == 0 {
			p.armed.Store(&tables[i])
		}
		src.stacks += 20 // the next window has new stacks
		err := store.Write(context.Background(), w)
		if i%2 == 0 && err != nil {
			write(t, direct, w)
		}
		waitReady(t, store)
		write(t, store, w)
		p.armed.Store(nil)
		ref.add(w)
	}
	require.GreaterOrEqual(t, p.cuts.Load(), int32(5), "connections were cut")
	checkOnce(t, store, ref, len(tables))
}

// TestKillServerBetweenTables kills ClickHouse with SIGKILL as each table is
// about to be written to, and repeats the window.
func TestKillServerBetweenTables(t *testing.T) {
	server := clickhousetest.Start(t)
	database := clickhousetest.Database(t)
	src, ref := newSource(t, 4), &reference{}
	var armed atomic.Pointer[string]
	kills := 0
	p := newProxy(t, server.Endpoint().Addr, func(table string) bool {
		if a := armed.Load(); a != nil && *a == table {
			armed.Store(nil)
			kills++
			clickhousetest.Kill(t, server)
			return false
		}
		return true
	})
	cfg := configFor(server.Endpoint(), database)
	cfg.Endpoint = []string{p.Addr().String()}
	store := open(t, cfg)
	for i := range tables {
		src.stacks += 20
		w := src.window(base+int64(i)*hour/3, time.Second, 10, origin{"t1", "api", "agent", map[string]string{"n": tables[i]}})
		write(t, store, w)
		ref.add(w)
		w = src.window(base+int64(i)*hour/3+hour/6, time.Second, 10, origin{"t1", "api", "agent", nil})
		armed.Store(&tables[i])
		write(t, store, w)
		write(t, store, w)
		armed.Store(nil)
		ref.add(w)
	}
	clickhousetest.WaitReady(t, server)
	waitReady(t, store)
	require.GreaterOrEqual(t, kills, 4)
	checkOnce(t, store, ref, 2*len(tables))
}
