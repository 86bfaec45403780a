package alerttest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/alert"
)

// episodes lets a rule fire and resolve n times, both at the same time, and
// returns the events, oldest first.
func (f *fixture) episodes(t *testing.T, r *alert.Rule, n int) []alert.Event {
	t.Helper()
	var events []alert.Event
	for i := range n {
		at := start.Add(time.Duration(i) * time.Second)
		s, e := firing(r, uint64(2*i+1), at)
		require.NoError(t, f.replicas[0].Transition(t.Context(), f.dialect, s, e))
		events = append(events, *e)
		s, e = resolved(r, s, at)
		require.NoError(t, f.replicas[1].Transition(t.Context(), f.dialect, s, e))
		events = append(events, *e)
	}
	return events
}

func seqs(events []alert.Event) []uint64 {
	var s []uint64
	for _, e := range events {
		s = append(s, e.Seq)
	}
	return s
}

func history(t *testing.T, f *fixture) {
	f.episodes(t, f.put(t, f.rule("a", "alert-1")), 3)
	f.episodes(t, f.put(t, f.rule("b", "alert-2")), 1)
	for _, s := range f.replicas {
		for _, c := range []struct {
			tenant string
			limit  int
			want   []uint64
		}{
			{"a", 100, []uint64{6, 5, 4, 3, 2, 1}},
			{"a", 3, []uint64{6, 5, 4}},
			{"b", 100, []uint64{2, 1}},
			{"", 100, nil},
		} {
			events, err := s.History(t.Context(), f.dialect, c.tenant, c.limit)
			require.NoError(t, err)
			assert.Equal(t, c.want, seqs(events), "tenant %q, limit %d", c.tenant, c.limit)
			for _, e := range events {
				assert.Equal(t, c.tenant, e.Key.Tenant)
			}
		}
	}
}

func eventsComeBack(t *testing.T, f *fixture) {
	want := f.episodes(t, f.put(t, f.rule("a", "alert-1")), 1)
	got, err := f.replicas[1].Undelivered(t.Context(), f.dialect, "receiver", start, nil, 10)
	require.NoError(t, err)
	require.Len(t, got, 2)
	for i := range want {
		same(t, want[i], got[i])
	}
	got, err = f.replicas[0].History(t.Context(), f.dialect, "a", 10)
	require.NoError(t, err)
	require.Len(t, got, 2)
	same(t, want[1], got[0])
	same(t, want[0], got[1])
}

func deliveries(t *testing.T, f *fixture) {
	want := f.episodes(t, f.put(t, f.rule("a", "alert-1")), 2)
	other := f.episodes(t, f.put(t, f.rule("b", "alert-2")), 1)
	left := func(receiver string) int {
		events, err := f.replicas[1].Undelivered(t.Context(), f.dialect, receiver, start, nil, 100)
		require.NoError(t, err)
		return len(events)
	}
	assert.Equal(t, 6, left("alertmanager"))
	for range 2 { // twice does no harm
		require.NoError(t, f.replicas[0].Delivered(t.Context(), f.dialect, "alertmanager", want[:3]))
		assert.Equal(t, 3, left("alertmanager"))
	}
	assert.Equal(t, 6, left("webhook/it's"))
	require.NoError(t, f.replicas[1].Delivered(t.Context(), f.dialect, "webhook/it's", append(want, other...)))
	assert.Zero(t, left("webhook/it's"))
	assert.Equal(t, 3, left("alertmanager"))
	require.NoError(t, f.replicas[0].Delivered(t.Context(), f.dialect, "alertmanager", nil))
	assert.Equal(t, 3, left("alertmanager"))
}

func undelivered(t *testing.T, f *fixture) {
	events := f.episodes(t, f.put(t, f.rule("a", "alert-1")), 3)
	store := f.replicas[1]
	for _, c := range []struct {
		since time.Time
		limit int
		want  []uint64
	}{
		{start, 100, []uint64{1, 2, 3, 4, 5, 6}},
		{start.Add(-24 * time.Hour), 100, []uint64{1, 2, 3, 4, 5, 6}},
		{start.Add(time.Second), 100, []uint64{3, 4, 5, 6}},
		{start.Add(time.Minute), 100, nil},
		{start, 3, []uint64{1, 2, 3}},
	} {
		got, err := store.Undelivered(t.Context(), f.dialect, "receiver", c.since, nil, c.limit)
		require.NoError(t, err)
		assert.Equal(t, c.want, seqs(got), "since %v, limit %d", c.since, c.limit)
	}
	// The limit is about what is left.
	require.NoError(t, store.Delivered(t.Context(), f.dialect, "receiver", []alert.Event{events[0], events[2]}))
	got, err := store.Undelivered(t.Context(), f.dialect, "receiver", start, nil, 3)
	require.NoError(t, err)
	assert.Equal(t, []uint64{2, 4, 5}, seqs(got))
}
