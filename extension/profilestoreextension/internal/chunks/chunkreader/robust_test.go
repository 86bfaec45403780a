package chunkreader

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktest"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/chunk"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// TestWhileCompacted: answers stay the same while rows that cover others come.
func TestWhileCompacted(t *testing.T) {
	s := newStore(t)
	byKey := map[chunkrow.Key][]*chunkrow.Row{}
	for _, r := range chunktest.ReadRows(t, s.pool, s.o, chunkrow.All) {
		if r.Tenant == "anonymous" && r.Kind == "cpu" {
			byKey[r.Key] = append(byKey[r.Key], r)
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, rows := range byKey {
			first := compacted(t, chunkrow.Minutes, 1, rows[:1])
			insert(t, s.pool, s.o, first)
			insert(t, s.pool, s.o, compacted(t, chunkrow.ClosedHour, 2, append(rows[1:], first)))
		}
	}()
	readers := []*Reader{newReader(s.pool, s.o, 0), newReader(s.pool, s.o, 64<<20)}
	selectors := []profilestore.Selector{
		{Tenant: "anonymous"},
		{Tenant: "anonymous", Service: "service-0"},
		{Tenant: "anonymous", Service: "service-1", Start: chunktest.Base + 30*chunktest.Second, End: chunktest.Base + layout.Hour + 30*chunktest.Second},
	}
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		for _, r := range readers {
			for _, sel := range selectors {
				n, err := r.CountEvents(t.Context(), sel)
				require.NoError(t, err)
				require.Equal(t, s.count(sel), n)
				m, err := r.MergeStacks(t.Context(), sel, profilestore.MergeOptions{MaxStacks: 1})
				require.NoError(t, err)
				var events uint64
				for _, k := range m.Kinds {
					events += k.Events
				}
				require.Equal(t, n, events)
			}
		}
	}
}

// TestDamagedRows: rows that make no sense are errors.
func TestDamagedRows(t *testing.T) {
	s := newStore(t)
	var good *chunkrow.Row
	for _, r := range chunktest.ReadRows(t, s.pool, s.o, chunkrow.All) {
		if r.Kind == "memory" && r.Profiles > 1 && r.Entries > 2 {
			good = r
		}
	}
	require.NotNil(t, good)
	for i, c := range []struct {
		damage func(r *chunkrow.Row)
		whole  bool // seen also by what reads totals only
	}{
		{func(r *chunkrow.Row) { r.Keys.Stacks = r.Keys.Stacks[1:] }, true},
		{func(r *chunkrow.Row) { r.Keys.Stacks = nil }, true},
		{func(r *chunkrow.Row) { r.Columns.Entries.Totals[3] = r.Columns.Entries.Totals[3][1:] }, true},
		{func(r *chunkrow.Row) { r.Columns.Entries.Totals[0] = nil }, true},
		{func(r *chunkrow.Row) { r.Columns.Entries.Counts = make([]uint64, 1) }, true},
		{func(r *chunkrow.Row) { r.Columns.Entries.Minima = make([]int64, r.Entries) }, true},
		{func(r *chunkrow.Row) { r.Entries++ }, true},
		{func(r *chunkrow.Row) { r.Types = "" }, true},
		{func(r *chunkrow.Row) { r.Types = "a/b,c/d" }, false},
		{func(r *chunkrow.Row) { r.Columns.Profiles.Series = r.Columns.Profiles.Series[1:] }, false},
		{func(r *chunkrow.Row) { r.SeriesIDs = nil }, false},
		{func(r *chunkrow.Row) { r.Columns.Streams.Head = nil }, false},
		{func(r *chunkrow.Row) { r.Columns.Streams.Positions = append(r.Columns.Streams.Positions, 1, 2, 3) }, false},
		{func(r *chunkrow.Row) { r.Columns.Profiles.Totals[0] = nil }, false},
	} {
		r := good.Clone()
		r.Service = fmt.Sprintf("damaged-%d", i)
		c.damage(r)
		insert(t, s.pool, s.o, r)
		sel := profilestore.Selector{Tenant: r.Tenant, Service: r.Service}
		// The last profile is left out.
		cut := sel
		for _, at := range good.Columns.Profiles.Times {
			cut.End = max(cut.End, at)
		}
		for _, buffer := range []int{0, 1 << 20} {
			reader := newReader(s.pool, s.o, buffer)
			if c.whole {
				_, err := reader.MergeStacks(t.Context(), sel, profilestore.MergeOptions{})
				require.ErrorIs(t, err, chunk.ErrInvalid, i)
			}
			_, err := reader.MergeStacks(t.Context(), cut, profilestore.MergeOptions{})
			require.ErrorIs(t, err, chunk.ErrInvalid, i)
			_, err = reader.Series(t.Context(), cut, profilestore.SeriesOptions{})
			if err != nil {
				assert.ErrorIs(t, err, chunk.ErrInvalid, i)
			}
		}
	}
}
