package aggregate

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

const second = int64(1e9)

// sums describes groups in a form that does not depend on order or indices.
func sums(g *profile.Groups) map[string]string {
	out := map[string]string{}
	for _, grp := range g.Groups {
		for _, e := range grp.Entries {
			key := fmt.Sprintf("%s/%s %s %d %v %d: %s %s", grp.Series.Tenant, grp.Series.ID, grp.Kind, grp.Start/second, grp.Types, grp.Period,
				g.Dict.StackIDs[e.Stack], g.Dict.Attributes[e.Attrs].ID)
			out[key] = fmt.Sprint(e.Values, e.Count, e.Min, e.Max)
		}
	}
	return out
}

// TestWindowKeepsSums pushes random observations in one message, and in many
// that a Window sums, and expects the same groups.
func TestWindowKeepsSums(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	kinds := []string{profile.KindCPU, profile.KindOffCPU, profile.KindLock, profile.KindSyscall, profile.KindGPU}
	var all []observation
	for range 2000 {
		kind := kinds[r.IntN(len(kinds))]
		o := observation{kind: kind, at: 5*second + r.Int64N(3*second), value: r.Int64N(1000), attrs: map[string]any{"thread.name": fmt.Sprint("t", r.IntN(3))}}
		for range r.IntN(5) {
			o.stack = append(o.stack, fmt.Sprint("f", r.IntN(4)))
		}
		switch kind {
		case profile.KindCPU:
			o.period = 10_000_000
		case profile.KindLock:
			o.attrs[profile.AttrLockAddress] = -r.IntN(3)
		case profile.KindSyscall:
			o.attrs[profile.AttrSyscallNumber] = r.IntN(3)
			o.attrs[profile.AttrSyscallName] = "call"
			o.attrs[profile.AttrLatencyBucket] = profile.LatencyBucket(uint64(o.value))
			o.attrs[profile.AttrError] = r.IntN(2) == 0
		}
		all = append(all, o)
	}
	resource := map[string]any{profile.AttrTenant: "t1", "service.name": "api", profile.AttrAgentID: "a"}
	want := split(t, push(t, resource, all...))
	var parts []pprofile.Profiles
	for i := 0; i < len(all); i += 100 {
		parts = append(parts, push(t, resource, all[i:i+100]...))
	}
	got := roundTrip(t, NewTable(1<<20), parts...)
	assert.Equal(t, "w1", got.WindowID)
	assert.EqualValues(t, 2000, got.Events)
	assert.Equal(t, sums(want), sums(got))
	assert.Len(t, got.Groups, len(want.Groups))
}

func TestWindowKeepsBatches(t *testing.T) {
	first := push(t, map[string]any{profile.AttrTenant: "t1", profile.AttrAgentID: "a", profile.AttrBatchSequence: 3, profile.AttrBatchEventCount: 0, profile.AttrBatchReceivedAt: 77})
	second := push(t, map[string]any{profile.AttrTenant: "t2", profile.AttrAgentID: "b", profile.AttrBatchSequence: 4, profile.AttrBatchEventCount: 1, profile.AttrBatchReceivedAt: 78},
		observation{kind: profile.KindCPU, at: second, stack: []string{"main"}})
	got := roundTrip(t, NewTable(1<<20), first, second)
	assert.Equal(t, []profile.Batch{
		{Tenant: "t1", AgentID: "a", Sequence: 3, ReceivedAt: 77},
		{Tenant: "t2", AgentID: "b", Sequence: 4, EventCount: 1, ReceivedAt: 78},
	}, got.Batches)
	require.Len(t, got.Groups, 1)
	assert.Equal(t, "t2", got.Groups[0].Series.Tenant)
}

// TestWindowSumsWindows sends the outcome of a window through another one, as
// from an agent to a gateway.
func TestWindowSumsWindows(t *testing.T) {
	var obs []observation
	for i := range int64(10) {
		obs = append(obs, observation{kind: profile.KindLock, at: second + i, value: 10 + i, stack: []string{"lock"}})
	}
	pd := push(t, map[string]any{"service.name": "api"}, obs...)
	w := NewTable(1 << 20).NewWindow(1e9)
	w.Add(split(t, pd))
	out := w.Profiles("x")
	got := roundTrip(t, NewTable(1<<20), out, out)
	require.Len(t, got.Groups, 1)
	require.Len(t, got.Groups[0].Entries, 1)
	e := got.Groups[0].Entries[0]
	assert.Equal(t, [profile.MaxTypes]int64{2 * 145, 20}, e.Values)
	assert.EqualValues(t, 20, e.Count)
	assert.EqualValues(t, 10, e.Min)
	assert.EqualValues(t, 19, e.Max)
}

// TestWindowKeepsForeignProfiles covers several sample types of a kind that is
// not our own, and sums without extremes.
func TestWindowKeepsForeignProfiles(t *testing.T) {
	b := profile.NewBuilder()
	scope := b.Profiles().ResourceProfiles().AppendEmpty().ScopeProfiles().AppendEmpty()
	stack := b.Stack([]int32{b.Location(0, 1, ""), b.Location(0, 2, "", profile.Line{Function: b.Function(profile.Function{Name: "in"}), Line: 1}, profile.Line{Function: b.Function(profile.Function{Name: "out"}), Line: 2})})
	for i, typ := range []profile.ValueType{{Type: "alloc_objects", Unit: "count"}, {Type: "alloc_space", Unit: "bytes"}, {Type: "inuse_space", Unit: "bytes"}} {
		p := b.AddProfile(scope, "memory", typ, profile.ValueType{Type: "space", Unit: "bytes"}, 512)
		p.SetTime(7)
		p.SetDurationNano(15e9)
		s := p.Samples().AppendEmpty()
		s.SetStackIndex(stack)
		s.Values().Append(int64(100 + i))
	}
	p := b.AddProfile(scope, profile.KindLock, profile.Types(profile.KindLock)[0], profile.ValueType{}, 0)
	s := p.Samples().AppendEmpty()
	s.Values().Append(55)
	want := split(t, b.Profiles())
	got := roundTrip(t, NewTable(1<<20), b.Profiles())
	assert.Equal(t, sums(want), sums(got))
	assert.Equal(t, want.Groups[0].End, got.Groups[0].End)
}

// TestWindowKeepsCountsOfForeignKinds sums observations of kinds whose values do
// not tell how many there were, of equal kinds with different types, and of more
// types than a group has.
func TestWindowKeepsCountsOfForeignKinds(t *testing.T) {
	b := profile.NewBuilder()
	rp := b.Profiles().ResourceProfiles().AppendEmpty()
	var types []profile.ValueType
	for i := range 6 {
		types = append(types, profile.ValueType{Type: fmt.Sprint("type", i), Unit: "bytes"})
	}
	for _, set := range [][]profile.ValueType{types, types[1:2], {types[2], types[1]}} {
		scope := rp.ScopeProfiles().AppendEmpty()
		for i, typ := range set {
			p := b.AddProfile(scope, "memory", typ, profile.ValueType{}, 0)
			p.SetTime(5)
			for stack := range 3 {
				s := p.Samples().AppendEmpty()
				s.SetStackIndex(b.Stack([]int32{b.Location(0, uint64(stack), "")}))
				s.Values().Append(int64(100*i + stack))
			}
		}
	}
	raw := push(t, nil, observation{kind: "wall", at: 3, value: 7}, observation{kind: "wall", at: 4, value: 1},
		observation{kind: "wall", at: 5, value: 0}, observation{kind: "wall", at: 6, value: 2}, observation{kind: "wall", at: 7, value: 1})
	for _, pd := range []pprofile.Profiles{b.Profiles(), raw} {
		table := NewTable(1 << 20)
		want := split(t, pd)
		got := roundTrip(t, table, pd)
		assert.Equal(t, want.Events, got.Events)
		assert.Equal(t, sums(want), sums(got))
		assert.Len(t, got.Groups, len(want.Groups))
		// Three times the same, over two windows.
		w := table.NewWindow(1e9)
		w.Add(want)
		w.Add(want)
		twice := split(t, w.Profiles("x"))
		assert.Equal(t, 2*want.Events, twice.Events)
		last := roundTrip(t, table, w.Profiles("x"), pd)
		assert.Equal(t, 3*want.Events, last.Events)
		assert.Len(t, last.Groups, len(want.Groups))
	}
}

// TestTableIsBounded pushes ever new stacks and expects that memory stays
// within the limit, and that what is in use survives.
func TestTableIsBounded(t *testing.T) {
	const limit = 64 << 10
	table := NewTable(limit)
	for i := range 200 {
		var obs []observation
		for j := range 20 {
			obs = append(obs, observation{kind: profile.KindCPU, at: second, stack: []string{fmt.Sprint("leaf", i, j), "main"}})
		}
		pd := push(t, map[string]any{"service.name": "api"}, obs...)
		got := roundTrip(t, table, pd)
		require.Equal(t, sums(split(t, pd)), sums(got))
		require.LessOrEqual(t, table.Stats().Bytes, int64(limit))
	}
	assert.NotZero(t, table.Stats().Evicted)
	assert.Equal(t, len(table.stacks), table.Stats().Stacks)
	// What is left is exactly what the remaining stacks need.
	for table.used.prev != &table.used {
		s := table.used.prev
		s.unlink()
		table.remove(s)
	}
	assert.Zero(t, table.bytes)
	assert.Empty(t, table.frames)
	assert.Empty(t, table.functions)
	assert.Empty(t, table.mappings)
}

func TestWindowFits(t *testing.T) {
	const week = 7 * 24 * 3600 * int64(1e9)
	at := func(weeks ...int64) *profile.Groups {
		g := &profile.Groups{Dict: &profile.Dictionary{Stacks: [][]int32{nil}, StackIDs: []profile.ID{{}}, Attributes: []profile.SampleAttributes{{Syscall: -1}}}}
		for _, n := range weeks {
			g.Groups = append(g.Groups, &profile.Group{
				Series: &profile.Series{Tenant: "t"}, Kind: profile.KindCPU, Types: profile.Types(profile.KindCPU),
				Start: n * week, End: n * week, Entries: []profile.Entry{{Values: [profile.MaxTypes]int64{1}, Count: 1}},
			})
		}
		return g
	}
	assert.Equal(t, 3, Weeks(at(1, 2, 2, 9)))
	w := NewTable(1 << 20).NewWindow(time.Second)
	w.Add(at(1, 2))
	assert.True(t, w.Fits(at(2, 3), 4, 3))
	assert.False(t, w.Fits(at(2, 3), 3, 3), "too many groups")
	assert.False(t, w.Fits(at(3, 4), 4, 3), "too many weeks")
}

// A window keeps CPU time beside the samples that it is of, and apart from samples
// without.
func TestWindowKeepsCPUTime(t *testing.T) {
	of := func(values ...int64) pprofile.Profiles {
		b := profile.NewBuilder()
		scope := b.Profiles().ResourceProfiles().AppendEmpty().ScopeProfiles().AppendEmpty()
		types := []profile.ValueType{profile.Types(profile.KindCPU)[0], profile.CPUTime}
		if len(values) == 1 {
			types = types[1:]
		}
		for i, v := range values {
			if v != 0 {
				b.SetValue(b.AddSample(b.AddProfile(scope, profile.KindCPU, types[i], profile.CPUTime, 7).Samples(), 0, nil), v)
			}
		}
		return b.Profiles()
	}
	got := make(map[string][profile.MaxTypes]int64)
	for _, grp := range roundTrip(t, NewTable(1<<20), of(3, 20), of(4, 29), of(5, 0), of(11)).Groups {
		require.Len(t, grp.Entries, 1)
		got[fmt.Sprint(grp.Types)] = grp.Entries[0].Values
	}
	assert.Equal(t, map[string][profile.MaxTypes]int64{
		"[{samples count} {cpu nanoseconds}]": {7, 49}, "[{samples count}]": {5}, "[{cpu nanoseconds}]": {11},
	}, got)
}
