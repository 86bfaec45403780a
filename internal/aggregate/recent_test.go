package aggregate

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

func TestRecentMerges(t *testing.T) {
	table, r := NewTable(1<<20), NewRecent(time.Hour, 1<<20)
	for i := range int64(3) {
		w := table.NewWindow(time.Second)
		w.Add(split(t, push(t, map[string]any{profile.AttrTenant: "t1", "service.name": "api"},
			observation{kind: profile.KindLock, at: (1 + i) * second, value: 10 + i, stack: []string{"wait", "main"}, attrs: map[string]any{profile.AttrLockAddress: 7}},
			observation{kind: profile.KindLock, at: (1 + i) * second, value: 1, stack: []string{"main"}, attrs: map[string]any{profile.AttrLockAddress: 8}},
			observation{kind: profile.KindSyscall, at: (1 + i) * second, value: 5, attrs: map[string]any{profile.AttrSyscallNumber: 0, profile.AttrSyscallName: "read", profile.AttrLatencyBucket: 2, profile.AttrError: i == 1}},
		)))
		r.Add(w)
	}
	merge, err := r.MergeStacks(t.Context(), profilestore.Selector{Tenant: "t1", Start: second, End: 3 * second}, profilestore.MergeOptions{ByLock: true, BySyscall: true})
	require.NoError(t, err)
	require.Len(t, merge.Kinds, 2)
	lock, call := merge.Kinds[0], merge.Kinds[1]
	assert.Equal(t, profile.KindLock, lock.Kind)
	assert.Equal(t, [profile.MaxTypes]int64{23, 4}, lock.Totals)
	assert.EqualValues(t, 4, lock.Events)
	require.Len(t, lock.Rows, 2)
	first := lock.Rows[0]
	assert.Equal(t, profilestore.Row{Stack: first.Stack, LockAddress: 7, Values: [profile.MaxTypes]int64{21, 2}, Count: 2, Min: 10, Max: 11}, first)
	assert.Equal(t, "wait", merge.Stacks[first.Stack].Frames[0].Function.Name)
	want := profilestore.SyscallStats{Name: "read", Count: 2, Errors: 1, Total: 10, Min: 5, Max: 5}
	want.Histogram[2] = 2
	assert.Equal(t, []profilestore.SyscallStats{want}, call.Syscalls)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = r.MergeStacks(ctx, profilestore.Selector{Tenant: "t1"}, profilestore.MergeOptions{})
	require.ErrorIs(t, err, context.Canceled)
	_, err = r.Batches(ctx, profilestore.Selector{Tenant: "t1"}, 1)
	require.ErrorIs(t, err, context.Canceled)
	_, err = r.Batches(t.Context(), profilestore.Selector{}, 1)
	require.ErrorIs(t, err, profile.ErrInvalid)
}

// TestRecentIsBounded keeps ever new stacks, and the same ones over and over.
func TestRecentIsBounded(t *testing.T) {
	const limit = 128 << 10
	table, r := NewTable(32<<10), NewRecent(time.Hour, limit)
	count := func() uint64 {
		n, err := r.CountEvents(t.Context(), profilestore.Selector{Tenant: profile.DefaultTenant})
		require.NoError(t, err)
		return n
	}
	add := func(names ...string) {
		var obs []observation
		for _, n := range names {
			obs = append(obs, observation{kind: profile.KindCPU, at: second, stack: []string{n, "main"}})
		}
		w := table.NewWindow(time.Second)
		w.Add(split(t, push(t, nil, obs...)))
		r.Add(w)
		require.LessOrEqual(t, r.Bytes(), int64(limit))
	}
	for i := range 300 {
		var names []string
		for j := range 20 {
			names = append(names, fmt.Sprint("f", i, "/", j))
		}
		add(names...)
	}
	unique := count()
	assert.Positive(t, unique)
	assert.Less(t, unique, uint64(6000))
	for range 300 {
		add("a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t")
	}
	assert.Greater(t, count(), unique, "stacks that repeat are kept once")
	// Letting go of everything must end at nothing.
	r.maxBytes = 0
	r.Add(table.NewWindow(time.Second))
	assert.Empty(t, r.windows)
	assert.Zero(t, r.Bytes())
	assert.Zero(t, count())
}

func TestRecentForgets(t *testing.T) {
	table, r := NewTable(1<<20), NewRecent(time.Nanosecond, 1<<20)
	w := table.NewWindow(time.Second)
	w.Add(split(t, push(t, nil, observation{kind: profile.KindCPU, at: second})))
	r.Add(w)
	time.Sleep(time.Microsecond)
	n, err := r.CountEvents(t.Context(), profilestore.Selector{Tenant: profile.DefaultTenant})
	require.NoError(t, err)
	assert.Zero(t, n)
}
