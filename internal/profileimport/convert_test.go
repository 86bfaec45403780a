package profileimport

import (
	"bytes"
	"compress/gzip"
	"math"
	"testing"
	"time"

	pprof "github.com/google/pprof/profile"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/export"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// exported returns a profile of ours as our own export writes it, decoded.
func exported(t *testing.T, p *export.Profile) *pprof.Profile {
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
func typed(period string, types ...profile.ValueType) *pprof.Profile {
	b := newPprofBuilder("", types...)
	if period != "" {
		b.p.PeriodType = &pprof.ValueType{Type: period, Unit: "nanoseconds"}
		b.p.Period = 8
	}
	s := b.sample(nil)
	for i := range s.Value {
		s.Value[i] = 100
	}
	return b.p
}

func TestKinds(t *testing.T) {
	ns := func(name string) profile.ValueType { return profile.ValueType{Type: name, Unit: "nanoseconds"} }
	count := func(name string) profile.ValueType { return profile.ValueType{Type: name, Unit: "count"} }
	space := profile.ValueType{Type: "inuse_space", Unit: "bytes"}
	for name, tt := range map[string]struct {
		p    *pprof.Profile
		kind string
		want map[string]map[string]int64
	}{
		"cpu of Go":         {typed("cpu", count("samples"), ns("cpu")), "", map[string]map[string]int64{"cpu": {"observations": 100, "samples": 100}}},
		"cpu without count": {typed("cpu", ns("cpu")), "", map[string]map[string]int64{"cpu": {"observations": 13, "samples": 13}}},
		"mutex of Go":       {typed("contentions", count("contentions"), ns("delay")), "", map[string]map[string]int64{"lock": {"observations": 100, "delay": 100, "contentions": 100}}},
		"heap of Go": {typed("space", count("inuse_objects"), space), "", map[string]map[string]int64{
			"inuse_objects": {"observations": 100, "inuse_objects": 100},
			"inuse_space":   {"observations": 1, "inuse_space": 100},
		}},
		"one kind by name": {typed("", count("inuse_objects"), space), "heap", map[string]map[string]int64{"heap": {"observations": 100, "inuse_objects": 100, "inuse_space": 100}}},
		"samples of what?": {typed("", count("samples")), "", map[string]map[string]int64{"samples": {"observations": 100, "samples": 100}}},
		"forced cpu":       {typed("", count("samples")), "cpu", map[string]map[string]int64{"cpu": {"observations": 100, "samples": 100}}},
		"no name":          {typed("", profile.ValueType{}), "", map[string]map[string]int64{"unknown": {"observations": 1, "": 100}}},
	} {
		assert.Equal(t, tt.want, sums(split(t, Options{Kind: tt.kind}, tt.p)), name)
	}
	_, err := Convert(typed("", count("samples"), space), Options{Kind: "lock"})
	require.EqualError(t, err, "the profile has the sample types samples in count, inuse_space in bytes; one of kind lock must have delay in nanoseconds")
}

// Large profiles are cut into messages that servers take; nothing gets lost.
func TestParts(t *testing.T) {
	b := newPprofBuilder(profile.KindCPU, profile.Types(profile.KindCPU)...)
	for i := range 2*samplesPerMessage + 1 {
		b.sample([]*pprof.Location{b.location(locationKey{address: uint64(i + 1)})}).Value[0] = 1
	}
	at := time.Unix(1_700_000_123, 0)
	groups := split(t, Options{Time: at}, b.p)
	require.Len(t, groups, 3)
	assert.EqualValues(t, 2*samplesPerMessage+1, sums(groups)["cpu"]["samples"])
	assert.Equal(t, at.UnixNano(), groups[2].Groups[0].Start, "a file without a time has that of the options")
}

// A file without a time cannot have one that OTLP has not.
func TestTimes(t *testing.T) {
	p := typed("cpu", profile.Types(profile.KindCPU)...)
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

func TestDivide(t *testing.T) {
	for _, tt := range []struct{ v, by, want int64 }{
		{100, 8, 13},
		{99, 8, 12},
		{7, 3, 2},
		{8, 3, 3},
		{0, 5, 0},
		{math.MaxInt64, math.MaxInt64, 1},
		{math.MaxInt64, 2, 1 << 62},
		{math.MaxInt64 / 2, math.MaxInt64, 0},
	} {
		assert.Equal(t, tt.want, divide(tt.v, tt.by), "%d/%d", tt.v, tt.by)
	}
}
