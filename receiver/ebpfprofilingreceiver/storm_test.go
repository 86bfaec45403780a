package ebpfprofilingreceiver

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
	"github.com/aperture-collector/aperture-collector/internal/ebpftest/fixtures"
)

// testStorm names nearly all samples of processes that live for 30 ms, most of
// which have ended when their samples are read. How many are named and complete
// depends on how soon the receiver gets a processor: one storm of many must be seen
// well. The samples of all agree with the CPU time.
func testStorm(t *testing.T, s *session) {
	bin := ebpftest.BuildC(t, "storm.c", append(fixtures.NoFramePointers, "-fno-optimize-sibling-calls")...)
	for tries := 10; ; tries-- {
		samples := stormOf(t, s, bin)
		burnt, _ := sumOf(samples, func(s *flatSample) bool { return s.has("storm_burn") || s.has("storm_child") })
		chain := mainChain("?", "storm_burn|clock_gettime|__clock_gettime", "storm_child")
		whole, _ := sumOf(samples, func(s *flatSample) bool { return s.has("storm_child") && s.endsLike(chain...) })
		named, n := sumOf(samples, func(s *flatSample) bool { return len(s.frames) > 0 && s.frames[0].name != "" })
		t.Logf("of %g samples: %.4f named, %.4f complete", n, named/n, whole/burnt)
		if named >= 0.95*n && whole > 0.1*burnt {
			return
		}
		require.Positive(t, tries, "storms, none of which had 0.95 named and 0.1 complete")
	}
}

// stormOf returns the samples of a storm.
func stormOf(t *testing.T, s *session, bin string) []flatSample {
	t.Helper()
	from, stolen := len(s.sink.AllProfiles()), stolenSeconds(t)
	p := ebpftest.Start(t, bin, "100", "30")
	p.Wait()
	s.settle(t)
	report := p.Stop()
	samples := flatten(s.sink.AllProfiles()[from:], func(m pcommon.Map) bool {
		path, _ := m.Get("process.executable.path")
		name, _ := m.Get("process.executable.name")
		// Where nothing but the thread's name is known it is that of the path it
		// was started by, /proc/self/exe.
		return path.Str() == bin || name.Str() == "exe"
	})
	_, n := sumOf(samples, func(*flatSample) bool { return true })
	want := (report.CPUSeconds + report.ChildrenCPUSeconds) * 997
	most := want + (stolenSeconds(t)-stolen)*997
	assert.InEpsilon(t, min(max(n, want), most), n, 0.1, "samples agree with CPU time")
	return samples
}
