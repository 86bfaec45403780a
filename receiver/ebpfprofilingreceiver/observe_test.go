package ebpfprofilingreceiver

import (
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/ebpftest/fixtures"
)

// program is a running program that ends when it is told to.
type program interface {
	PID() int
	Stop() fixtures.Report
}

// observed is what a receiver saw of a program that ran for a while.
type observed struct {
	all     []flatSample // of the process from its beginning to its end
	settled []flatSample // of them since its executables were known
	report  fixtures.Report
}

// observe profiles a program that is busy for some more CPU time.
func (s *session) observe(t *testing.T, p program, d time.Duration) observed {
	t.Helper()
	// Unwind tables are built when the first samples need them, by a thread that
	// gives way to others.
	awaitCPU(t, p.PID(), 50*time.Millisecond)
	s.settle(t)
	built := func() bool {
		stats := s.receiver.profilers.tracker.Stats()
		return stats.Pending+stats.Queued == 0
	}
	for end := time.Now().Add(20 * time.Second); !built() && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	from := s.settle(t)
	awaitCPU(t, p.PID(), cpuTime(p.PID())+d)
	report := p.Stop()
	s.settle(t)
	batches := s.sink.AllProfiles()
	return observed{
		all:     ofType(flatten(batches, ofPID(p.PID())), "samples"),
		settled: ofType(flatten(batches[from:], ofPID(p.PID())), "samples"),
		report:  report,
	}
}

// checkAmount compares the number of samples with CPU time. The clock samples
// exactly; each time that the program is given a processor is rounded to whole
// samples, though, at most as often as there are samples.
func checkAmount(t *testing.T, frequency int, cpuSeconds float64, samples []flatSample) {
	t.Helper()
	_, got := sumOf(samples, func(*flatSample) bool { return true })
	want := cpuSeconds * float64(frequency)
	require.Positive(t, want)
	assert.InEpsilon(t, want, got, 0.02+3/math.Sqrt(want), "samples agree with CPU time")
}

// checkShares compares the part of samples of functions with the truth, within
// four standard deviations.
func checkShares(t *testing.T, truth map[string]float64, samples []flatSample) {
	t.Helper()
	shares, n := leafShares(samples)
	require.Greater(t, n, 100.0)
	for function, want := range truth {
		assert.InDelta(t, want, shares[function], 0.01+4*math.Sqrt(want*(1-want)/n), "share of %s of %g samples", function, n)
	}
}

// checkChains requires that nearly all stacks reach the outermost frame by the
// right functions, and returns the part that does.
func checkChains(t *testing.T, least float64, samples []flatSample, chains ...[]string) float64 {
	t.Helper()
	return checkMost(t, least, samples, func(s *flatSample) bool {
		for _, c := range chains {
			if s.endsLike(c...) {
				return true
			}
		}
		return false
	})
}

// checkMost requires that nearly all samples are right, shows some that are not,
// and returns the part that is.
func checkMost(t *testing.T, least float64, samples []flatSample, right func(*flatSample) bool) float64 {
	t.Helper()
	are, n := sumOf(samples, right)
	require.Greater(t, n, 100.0)
	if assert.GreaterOrEqual(t, are/n, least, "of %g samples", n) {
		return are / n
	}
	wrong := map[string]int64{}
	for _, s := range samples {
		if !right(&s) {
			wrong[folded(s.frames)] += s.sum
		}
	}
	keys := slices.SortedFunc(maps.Keys(wrong), func(a, b string) int { return int(wrong[b] - wrong[a]) })
	for _, text := range keys[:min(len(keys), 8)] {
		t.Logf("%d times %s", wrong[text], text[max(0, len(text)-300):])
	}
	return are / n
}
