package ebpfprofilingreceiver

import (
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
	"github.com/aperture-collector/aperture-collector/internal/ebpftest/fixtures"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// checkTimed checks all profiles of durations: those with the numbers of events
// are next to them and have the same samples, and the values are as the layout
// says.
func checkTimed(t *testing.T, all []pprofile.Profiles) {
	t.Helper()
	found := 0
	for _, pd := range all {
		dict := pd.Dictionary()
		for _, rp := range pd.ResourceProfiles().All() {
			profiles := rp.ScopeProfiles().At(0).Profiles()
			for i := 0; i < profiles.Len(); i++ {
				p := profiles.At(i)
				kind := attr(dict, p.AttributeIndices(), profile.AttrKind)
				if kind == profile.KindCPU {
					continue
				}
				require.Less(t, i+1, profiles.Len())
				i++
				counts := profiles.At(i)
				types := profile.Types(kind)
				require.Equal(t, kind, attr(dict, counts.AttributeIndices(), profile.AttrKind))
				for k, p := range []pprofile.Profile{p, counts} {
					assert.Equal(t, types[k].Type, dict.StringTable().At(int(p.SampleType().TypeStrindex())))
					assert.Equal(t, types[k].Unit, dict.StringTable().At(int(p.SampleType().UnitStrindex())))
				}
				assert.Equal(t, profile.ValuesMinRestMax, attr(dict, p.AttributeIndices(), profile.AttrValues))
				require.Equal(t, p.Samples().Len(), counts.Samples().Len())
				for j, s := range p.Samples().All() {
					c := counts.Samples().At(j)
					require.Equal(t, s.StackIndex(), c.StackIndex())
					require.Equal(t, s.AttributeIndices().AsRaw(), c.AttributeIndices().AsRaw())
					require.Equal(t, 1, c.Values().Len())
					checkLayout(t, s.Values().AsRaw(), c.Values().At(0))
					found++
				}
			}
		}
	}
	assert.Positive(t, found)
}

// checkLayout checks the values of n durations.
func checkLayout(t *testing.T, values []int64, n int64) {
	t.Helper()
	require.Positive(t, n)
	switch {
	case n == 1:
		require.Len(t, values, 1)
	case n == 2:
		require.Len(t, values, 2)
	default:
		require.Len(t, values, 3)
		assert.GreaterOrEqual(t, values[1], (n-2)*values[0], "%d durations %v", n, values)
		assert.LessOrEqual(t, values[1], (n-2)*values[2], "%d durations %v", n, values)
	}
	assert.GreaterOrEqual(t, values[0], int64(0))
	assert.LessOrEqual(t, values[0], values[len(values)-1], "least and most")
}

// matches is a test of a sample.
type matches func(*flatSample) bool

func in(function string) matches { return func(s *flatSample) bool { return s.has(function) } }

func (m matches) with(key, value string) matches {
	return func(s *flatSample) bool { return m(s) && s.attrs[key] == value }
}

// checkWaits compares the waits of a function with what the program measured
// around them, which includes its way to and from the kernel. Nothing may be
// missing: the program has begun to count when its code was known.
func checkWaits(t *testing.T, samples []flatSample, kind string, want fixtures.Waits, m matches) {
	t.Helper()
	types := profile.Types(kind)
	sum, _ := sumOf(ofType(samples, types[0].Type), m)
	n, _ := sumOf(ofType(samples, types[1].Type), m)
	require.Positive(t, want.Count)
	switch kind {
	case profile.KindOffCPU:
		// A thread that is preempted on its way waits for a processor as well, which is
		// part of the time but no sleep. Few waits are lost.
		n, _ = sumOf(ofType(samples, types[1].Type), m.with(profile.AttrWaitState, "interruptible"))
		assert.InDelta(t, want.Count, n, 1+0.03*float64(want.Count))
	default:
		assert.EqualValues(t, want.Count, n)
	}
	// Being preempted on the way adds to what the program measures: for once, as
	// long as others want the processor.
	assert.LessOrEqual(t, sum, float64(want.TotalNS))
	assert.GreaterOrEqual(t, sum, 0.95*float64(want.TotalNS-want.MaxNS))
	t.Logf("program %d waits, %d ns; profile %g, %g ns (%.4f)", want.Count, want.TotalNS, n, sum, sum/float64(want.TotalNS))
}

// checkBuckets requires that all durations are in the bucket that is said.
func checkBuckets(t *testing.T, samples []flatSample) {
	t.Helper()
	for _, s := range ofType(samples, "duration") {
		bucket, err := strconv.Atoi(s.attrs[profile.AttrLatencyBucket])
		require.NoError(t, err)
		for _, v := range []int64{s.values[0], s.values[len(s.values)-1]} {
			want := 0
			if v > 1 {
				want = min(int(math.Log2(float64(v))), 29)
			}
			require.Equal(t, want, bucket, "%v", s.values)
		}
	}
}

// measure runs a program that can rest: first until the profile knows it, that is,
// has a sample that satisfies known, so that the callers of nothing are lost, then
// for so long, or until its work is done if that is 0. The samples are those of
// what the report is about.
func (s *session) measure(t *testing.T, p *ebpftest.Program, known matches, d time.Duration) (samples []flatSample, report fixtures.Report) {
	t.Helper()
	s.await(t, ofPID(p.PID()), known)
	p.Rest()
	from := s.settle(t)
	p.Continue()
	if d == 0 {
		p.Wait()
	}
	time.Sleep(d)
	ebpftest.Await(t, "sample of what is measured", func() bool {
		n, _ := sumOf(flatten(s.sink.AllProfiles()[from:], ofPID(p.PID())), known)
		return n > 0
	})
	report = p.Stop()
	s.settle(t)
	return flatten(s.sink.AllProfiles()[from:], ofPID(p.PID())), report
}
