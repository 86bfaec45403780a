package profile

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pprofile"
)

// lockProfiles builds one resource with raw or aggregated lock delays.
func lockProfiles(t testing.TB, aggregated bool) pprofile.Profiles {
	t.Helper()
	b := NewBuilder()
	rp := b.Profiles().ResourceProfiles().AppendEmpty()
	a := rp.Resource().Attributes()
	a.PutStr(AttrAgentID, "host-1")
	a.PutStr("service.name", "api")
	a.PutStr(AttrTenant, "t1")
	a.PutInt(AttrBatchSequence, 7)
	a.PutInt(AttrBatchEventCount, 3)
	a.PutInt(AttrBatchReceivedAt, 99)
	scope := rp.ScopeProfiles().AppendEmpty()
	fn := b.Function(Function{Name: "wait"})
	st := b.Stack([]int32{b.Location(b.Mapping(Mapping{Filename: "libc", BuildID: "ab"}), 0x10, FrameNative, Line{Function: fn, Line: 3})})
	types := Types(KindLock)
	attrs := []int32{b.IntAttribute(AttrLockAddress, -1), b.StringAttribute(AttrThreadName, "main")}
	p := b.AddProfile(scope, KindLock, types[0], ValueType{}, 0)
	s := p.Samples().AppendEmpty()
	s.SetStackIndex(st)
	s.AttributeIndices().FromRaw(attrs)
	if !aggregated {
		s.Values().FromRaw([]int64{5, 1, 9})
		s.TimestampsUnixNano().FromRaw([]uint64{1_000_000_001, 1_000_000_002, 2_000_000_000})
		return b.Profiles()
	}
	p.AttributeIndices().Append(b.StringAttribute(AttrValues, ValuesMinRestMax))
	p.SetTime(1_000_000_001)
	p.SetDurationNano(999_999_999)
	s.Values().FromRaw([]int64{1, 5, 9})
	c := b.AddProfile(scope, KindLock, types[1], ValueType{}, 0)
	c.SetTime(p.Time())
	c.SetDurationNano(p.DurationNano())
	cs := c.Samples().AppendEmpty()
	cs.SetStackIndex(st)
	cs.AttributeIndices().FromRaw(attrs)
	cs.Values().Append(3)
	return b.Profiles()
}

func TestSplitFusesAggregatedSiblings(t *testing.T) {
	g, err := Split(lockProfiles(t, true), time.Second, Limits{})
	require.NoError(t, err)
	require.Len(t, g.Groups, 1)
	assert.Equal(t, []Batch{{Tenant: "t1", AgentID: "host-1", Sequence: 7, EventCount: 3, ReceivedAt: 99}}, g.Batches)
	grp := g.Groups[0]
	assert.Equal(t, "api", grp.Series.Service)
	assert.Equal(t, "t1", grp.Series.Tenant)
	assert.Equal(t, []Label{{AttrAgentID, "host-1"}, {"service.name", "api"}}, grp.Series.Labels)
	require.Len(t, grp.Entries, 1)
	e := grp.Entries[0]
	assert.Equal(t, [MaxTypes]int64{15, 3}, e.Values)
	assert.EqualValues(t, 3, e.Count)
	assert.EqualValues(t, 1, e.Min)
	assert.EqualValues(t, 9, e.Max)
	at := g.Dict.Attributes[e.Attrs]
	assert.Equal(t, ^uint64(0), at.LockAddress)
	assert.Equal(t, []Label{{AttrThreadName, "main"}}, at.Labels)
	f := g.Dict.Frames[g.Dict.Stacks[e.Stack][0]]
	assert.Equal(t, "wait", f.Function.Name)
	assert.Equal(t, "ab", f.BuildID)
	assert.EqualValues(t, 3, g.Events)
}

func TestSplitBucketsRawObservations(t *testing.T) {
	g, err := Split(lockProfiles(t, false), time.Second, Limits{})
	require.NoError(t, err)
	require.Len(t, g.Groups, 2)
	first, second := g.Groups[0], g.Groups[1]
	assert.Equal(t, [MaxTypes]int64{6, 2}, first.Entries[0].Values)
	assert.EqualValues(t, 1, first.Entries[0].Min)
	assert.EqualValues(t, 5, first.Entries[0].Max)
	assert.EqualValues(t, 1_000_000_001, first.Start)
	assert.EqualValues(t, 1_000_000_002, first.End)
	assert.Equal(t, [MaxTypes]int64{9, 1}, second.Entries[0].Values)
	assert.EqualValues(t, 3, g.Events)
}

func TestSplitRawAndAggregatedHaveEqualIDs(t *testing.T) {
	a, err := Split(lockProfiles(t, false), time.Second, Limits{})
	require.NoError(t, err)
	b, err := Split(lockProfiles(t, true), time.Second, Limits{})
	require.NoError(t, err)
	assert.Equal(t, a.Dict.StackIDs[1], b.Dict.StackIDs[1])
	assert.Equal(t, a.Groups[0].Series.ID, b.Groups[0].Series.ID)
	assert.Equal(t, a.Dict.Attributes[1].ID, b.Dict.Attributes[1].ID)
}

func TestSplitRefusesBadIndices(t *testing.T) {
	f := func(name, want string, spoil func(pprofile.Profiles)) {
		t.Helper()
		pd := lockProfiles(t, false)
		spoil(pd)
		_, err := Split(pd, time.Second, Limits{MaxFrames: 4, MaxStringLength: 64, MaxLabels: 8, MaxGroups: 3})
		require.ErrorIs(t, err, ErrInvalid, name)
		assert.ErrorContains(t, err, want, name)
	}
	profile := func(pd pprofile.Profiles) pprofile.Profile {
		return pd.ResourceProfiles().At(0).ScopeProfiles().At(0).Profiles().At(0)
	}
	f("stack", "sample[0].stack_index is -1", func(pd pprofile.Profiles) { profile(pd).Samples().At(0).SetStackIndex(-1) })
	f("stack high", "stack_table has 2", func(pd pprofile.Profiles) { profile(pd).Samples().At(0).SetStackIndex(2) })
	f("link", "link_index is 9", func(pd pprofile.Profiles) { profile(pd).Samples().At(0).SetLinkIndex(9) })
	f("attribute", "attribute_indices has 77", func(pd pprofile.Profiles) { profile(pd).Samples().At(0).AttributeIndices().Append(77) })
	f("labels", "limit is 8", func(pd pprofile.Profiles) {
		profile(pd).Samples().At(0).AttributeIndices().Append(1, 1, 1, 1, 1, 1, 1)
	})
	f("values", "2 values and 3 timestamps", func(pd pprofile.Profiles) { profile(pd).Samples().At(0).Values().FromRaw([]int64{1, 2}) })
	f("groups", "more than 3 groups", func(pd pprofile.Profiles) {
		s := profile(pd).Samples().At(0)
		s.Values().FromRaw([]int64{1, 2, 3, 4})
		s.TimestampsUnixNano().FromRaw([]uint64{1e9, 2e9, 3e9, 4e9})
	})
	f("time", "timestamps_unix_nano[0] is 4294967296000000000", func(pd pprofile.Profiles) {
		profile(pd).Samples().At(0).TimestampsUnixNano().SetAt(0, 1<<32*1e9)
	})
	f("profile time", "must be less than 4294967296000000000", func(pd pprofile.Profiles) { profile(pd).SetTime(1 << 63) })
	f("received", "aperture.batch.received_at", func(pd pprofile.Profiles) {
		pd.ResourceProfiles().At(0).Resource().Attributes().PutInt(AttrBatchReceivedAt, -1)
	})
	f("location", "location_table has 2", func(pd pprofile.Profiles) {
		pd.Dictionary().StackTable().At(1).LocationIndices().SetAt(0, 5)
	})
	f("frames", "more than 4 frames", func(pd pprofile.Profiles) {
		pd.Dictionary().StackTable().At(1).LocationIndices().Append(1, 1, 1, 1)
	})
	f("mapping", "mapping_index is -3", func(pd pprofile.Profiles) { pd.Dictionary().LocationTable().At(1).SetMappingIndex(-3) })
	f("function", "function_index is -1", func(pd pprofile.Profiles) {
		pd.Dictionary().LocationTable().At(1).Lines().At(0).SetFunctionIndex(-1)
	})
	f("name", "name_strindex is 1000", func(pd pprofile.Profiles) { pd.Dictionary().FunctionTable().At(1).SetNameStrindex(1000) })
	f("string", "the limit is 64", func(pd pprofile.Profiles) {
		pd.Dictionary().StringTable().SetAt(1, string(make([]byte, 65)))
	})
	f("key", "key_strindex is -1", func(pd pprofile.Profiles) { pd.Dictionary().AttributeTable().At(1).SetKeyStrindex(-1) })
	f("type", "type_strindex is 50", func(pd pprofile.Profiles) { profile(pd).SampleType().SetTypeStrindex(50) })
}

// FuzzSplit feeds arbitrary OTLP bytes; the seeds are valid messages.
func FuzzSplit(f *testing.F) {
	for _, aggregated := range []bool{false, true} {
		b, err := (&pprofile.ProtoMarshaler{}).MarshalProfiles(lockProfiles(f, aggregated))
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		pd, err := (&pprofile.ProtoUnmarshaler{}).UnmarshalProfiles(b)
		if err != nil {
			return
		}
		g, err := Split(pd, time.Second, Limits{})
		if err != nil {
			require.ErrorIs(t, err, ErrInvalid)
			return
		}
		for _, grp := range g.Groups {
			for _, e := range grp.Entries {
				_ = g.Dict.StackIDs[e.Stack]
				_ = g.Dict.Attributes[e.Attrs]
			}
		}
	})
}

// TestSplitTruncated feeds every truncation of a valid message.
func TestSplitTruncated(t *testing.T) {
	b, err := (&pprofile.ProtoMarshaler{}).MarshalProfiles(lockProfiles(t, true))
	require.NoError(t, err)
	for n := range b {
		pd, err := (&pprofile.ProtoUnmarshaler{}).UnmarshalProfiles(b[:n])
		if err != nil {
			continue
		}
		if _, err = Split(pd, time.Second, Limits{}); err != nil {
			require.ErrorIs(t, err, ErrInvalid)
		}
	}
}

func TestLatencyBucket(t *testing.T) {
	for ns, want := range map[uint64]int{0: 0, 1: 0, 2: 1, 3: 1, 4: 2, 1023: 9, 1024: 10, 1 << 29: 29, 1 << 40: 29} {
		assert.Equal(t, want, LatencyBucket(ns), "%d ns", ns)
	}
}

// Profiles that have the name of one of our kinds but types of their own are
// never summed with each other or with ours.
func TestSplitKeepsForeignTypesApart(t *testing.T) {
	b := NewBuilder()
	scope := b.Profiles().ResourceProfiles().AppendEmpty().ScopeProfiles().AppendEmpty()
	for i, typ := range []ValueType{{"a", "count"}, {"samples", "count"}, {"b", "bytes"}} {
		b.AddProfile(scope, KindCPU, typ, ValueType{}, 0).Samples().AppendEmpty().Values().Append(int64(i + 1))
	}
	g, err := Split(b.Profiles(), time.Second, Limits{})
	require.NoError(t, err)
	got := make(map[ValueType]int64)
	for _, grp := range g.Groups {
		require.Len(t, grp.Types, 1)
		require.Len(t, grp.Entries, 1)
		got[grp.Types[0]] = grp.Entries[0].Values[0]
	}
	assert.Equal(t, map[ValueType]int64{{"a", "count"}: 1, {"samples", "count"}: 2, {"b", "bytes"}: 3}, got)
}

// CPU time belongs to the samples of its scope, in either order, and is foreign without any.
func TestSplitFusesCPUTime(t *testing.T) {
	samples := ownTypes[KindCPU][0]
	f := func(want map[string][MaxTypes]int64, scopes ...[]ValueType) {
		t.Helper()
		b := NewBuilder()
		rp := b.Profiles().ResourceProfiles().AppendEmpty()
		for _, types := range scopes {
			scope := rp.ScopeProfiles().AppendEmpty()
			for i, typ := range types {
				b.AddProfile(scope, KindCPU, typ, CPUTime, 10).Samples().AppendEmpty().Values().Append(int64(i + 1))
			}
		}
		g, err := Split(b.Profiles(), time.Second, Limits{})
		require.NoError(t, err)
		got := make(map[string][MaxTypes]int64)
		for _, grp := range g.Groups {
			text := ""
			for _, typ := range grp.Types {
				text += typ.Type + " "
			}
			require.Len(t, grp.Entries, 1)
			sums := got[text]
			AddValues(&sums, &grp.Entries[0].Values)
			got[text] = sums
		}
		assert.Equal(t, want, got)
	}
	f(map[string][MaxTypes]int64{"samples cpu ": {1, 2}}, []ValueType{samples, CPUTime})
	f(map[string][MaxTypes]int64{"samples cpu ": {2, 1}}, []ValueType{CPUTime, samples})
	f(map[string][MaxTypes]int64{"cpu ": {3}}, []ValueType{CPUTime, CPUTime})
	f(map[string][MaxTypes]int64{"samples ": {1}, "cpu ": {1}}, []ValueType{samples}, []ValueType{CPUTime})
	f(map[string][MaxTypes]int64{"samples cpu ": {1, 2}, "samples ": {1}}, []ValueType{samples}, []ValueType{samples, CPUTime})
}
