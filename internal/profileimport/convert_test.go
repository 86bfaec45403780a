package profileimport

import (
	"bytes"
	"compress/gzip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/export"
	"github.com/aperture-collector/aperture-collector/internal/pprofwire"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// exported returns a profile of ours as our own export writes it, decoded.
func exported(t *testing.T, p *export.Profile) *pprofwire.Profile {
	t.Helper()
	var packed bytes.Buffer
	require.NoError(t, export.WritePprof(&packed, p))
	z, err := gzip.NewReader(&packed)
	require.NoError(t, err)
	data, err := readAll(z, MaxSize, "file")
	require.NoError(t, err)
	decoded, err := Pprof(data)
	require.NoError(t, err)
	return decoded
}

func TestExportsOfOurs(t *testing.T) {
	stacks := []profilestore.Stack{
		{},
		{Frames: []*profile.Frame{
			{Address: 0xffffffff81000010, Type: profile.FrameKernel, Mapping: profile.KernelMapping, Function: profile.Function{Name: "futex_wait"}},
			{Address: 0x401000, Mapping: "/bin/app", Function: profile.Function{Name: "lock_it"}},
		}},
	}
	lock := profilestore.KindMerge{
		Kind: profile.KindLock, Types: profile.Types(profile.KindLock), Start: 1_700_000_000_000_000_000,
		Rows: []profilestore.Row{
			{Stack: 1, LockAddress: 0xffff_8888_0000_0001, Count: 2, Values: [profile.MaxTypes]int64{30, 2}},
			{Stack: 0, LockAddress: 0x7f00, Count: 1, Values: [profile.MaxTypes]int64{5, 1}},
		},
	}
	groups := split(t, Options{}, exported(t, &export.Profile{Merge: &profilestore.Merge{Stacks: stacks}, Kind: &lock}))
	require.Equal(t, map[string]map[string]int64{"lock": {"observations": 3, "delay": 35, "contentions": 3}}, sums(groups))
	d, entries := groups[0].Dict, groups[0].Groups[0].Entries
	assert.Equal(t, uint64(0xffff_8888_0000_0001), d.Attributes[entries[0].Attrs].LockAddress)
	assert.EqualValues(t, 0x7f00, d.Attributes[entries[1].Attrs].LockAddress)
	assert.Equal(t, profile.FrameKernel, d.Frames[d.Stacks[entries[0].Stack][0]].Type)

	syscall := profilestore.KindMerge{
		Kind: profile.KindSyscall, Types: profile.Types(profile.KindSyscall),
		Syscalls: []profilestore.SyscallStats{{Number: 0, Count: 3, Total: 90}, {Number: 202, Count: 1, Total: 7}},
	}
	groups = split(t, Options{}, exported(t, export.Syscalls(&syscall)))
	require.Equal(t, map[string]map[string]int64{"syscall": {"observations": 4, "duration": 97, "calls": 4}}, sums(groups))
	d, entries = groups[0].Dict, groups[0].Groups[0].Entries
	assert.EqualValues(t, 0, d.Attributes[entries[0].Attrs].Syscall)
	assert.EqualValues(t, 202, d.Attributes[entries[1].Attrs].Syscall)
}

// typed returns a profile of one sample with these types, each worth 100.
func typed(t *testing.T, period string, types ...profile.ValueType) *pprofwire.Profile {
	b := newBuilder("", types...)
	if period != "" {
		b.periodType = profile.ValueType{Type: period, Unit: "nanoseconds"}
		b.period = 8
	}
	s := b.sample(nil)
	for i := range s.values {
		s.values[i] = 100
	}
	return built(t, b)
}

func TestKinds(t *testing.T) {
	ns := func(name string) profile.ValueType { return profile.ValueType{Type: name, Unit: "nanoseconds"} }
	count := func(name string) profile.ValueType { return profile.ValueType{Type: name, Unit: "count"} }
	space := profile.ValueType{Type: "inuse_space", Unit: "bytes"}
	for name, tt := range map[string]struct {
		p    *pprofwire.Profile
		kind string
		want map[string]map[string]int64
	}{
		"cpu of Go":         {typed(t, "cpu", count("samples"), ns("cpu")), "", map[string]map[string]int64{"cpu": {"observations": 100, "samples": 100}}},
		"cpu without count": {typed(t, "cpu", ns("cpu")), "", map[string]map[string]int64{"cpu": {"observations": 13, "samples": 13}}},
		"mutex of Go":       {typed(t, "contentions", count("contentions"), ns("delay")), "", map[string]map[string]int64{"lock": {"observations": 100, "delay": 100, "contentions": 100}}},
		"heap of Go": {typed(t, "space", count("inuse_objects"), space), "", map[string]map[string]int64{
			"inuse_objects": {"observations": 100, "inuse_objects": 100},
			"inuse_space":   {"observations": 1, "inuse_space": 100},
		}},
		"one kind by name": {typed(t, "", count("inuse_objects"), space), "heap", map[string]map[string]int64{"heap": {"observations": 100, "inuse_objects": 100, "inuse_space": 100}}},
		"samples of what?": {typed(t, "", count("samples")), "", map[string]map[string]int64{"samples": {"observations": 100, "samples": 100}}},
		"forced cpu":       {typed(t, "", count("samples")), "cpu", map[string]map[string]int64{"cpu": {"observations": 100, "samples": 100}}},
		"no name":          {typed(t, "", profile.ValueType{}), "", map[string]map[string]int64{"unknown": {"observations": 1, "": 100}}},
	} {
		assert.Equal(t, tt.want, sums(split(t, Options{Kind: tt.kind}, tt.p)), name)
	}
	_, err := Convert(typed(t, "", count("samples"), space), Options{Kind: "lock"})
	require.ErrorContains(t, err, `kind "lock" needs sample type delay/nanoseconds; there are [{"samples" "count"} {"inuse_space" "bytes"}]`)
}

// Large profiles are cut into messages that servers take; nothing gets lost.
func TestParts(t *testing.T) {
	b := newBuilder(profile.KindCPU, profile.Types(profile.KindCPU)...)
	for i := range 2*samplesPerMessage + 1 {
		b.sample([]uint64{b.location(locationKey{address: uint64(i + 1)})}).values[0] = 1
	}
	at := time.Unix(1_700_000_123, 0)
	groups := split(t, Options{Time: at}, built(t, b))
	require.Len(t, groups, 3)
	assert.EqualValues(t, 2*samplesPerMessage+1, sums(groups)["cpu"]["samples"])
	assert.Equal(t, at.UnixNano(), groups[2].Groups[0].Start, "a file without a time has that of the options")
}

// A file without a time cannot have one that OTLP has not.
func TestTimes(t *testing.T) {
	p := typed(t, "cpu", profile.Types(profile.KindCPU)...)
	for seconds, want := range map[int64]string{
		-1: "the profile has no time of its own, and 1969-12-31T23:59:59Z is not between 1970 and 2262",
		0:  "the profile has no time of its own, and 1970-01-01T00:00:00Z is not between 1970 and 2262",
		// The next second after the last.
		9_223_372_037: "the profile has no time of its own, and 2262-04-11T23:47:17Z is not between 1970 and 2262",
	} {
		_, err := Convert(p, Options{Time: time.Unix(seconds, 0)})
		require.EqualError(t, err, want)
		require.ErrorIs(t, err, ErrTime)
	}
	p.TimeNanos = 1
	_, err := Convert(p, Options{Time: time.Unix(-1, 0)})
	require.NoError(t, err, "it has a time")
}
