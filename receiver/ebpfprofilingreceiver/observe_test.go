package ebpfprofilingreceiver

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
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
	settled []flatSample // of them since the program was known and until it was told to end
	report  fixtures.Report
	stolen  float64 // seconds that the hypervisor took from this host meanwhile
}

// observe profiles a program that is busy, for some time's worth of samples after it is
// known.
// How soon that is depends on who else wants the processors: unwind tables are built
// when the first samples need them, one after the other along the stack, by a thread
// that gives way to others. What is sampled until then has not all of its callers.
func (s *session) observe(t *testing.T, p program, known matches, d time.Duration) observed {
	t.Helper()
	stolen := stolenSeconds(t)
	of := ofPID(p.PID())
	from := s.await(t, of, known)
	until, n, want := from, 0.0, d.Seconds()*float64(s.receiver.cfg.SamplingFrequency)
	ebpftest.Await(t, "samples", func() bool {
		all := s.sink.AllProfiles()
		_, more := sumOf(ofType(flatten(all[until:], of), "samples"), func(*flatSample) bool { return true })
		until, n = len(all), n+more
		return n >= want
	})
	report := p.Stop()
	s.settle(t)
	batches := s.sink.AllProfiles()
	return observed{
		all:     ofType(flatten(batches, of), "samples"),
		settled: ofType(flatten(batches[from:until], of), "samples"),
		report:  report,
		stolen:  stolenSeconds(t) - stolen,
	}
}

// stolenSeconds returns for how long the hypervisor has taken processors away which
// this host wanted.
func stolenSeconds(t *testing.T) float64 {
	t.Helper()
	var v [8]float64
	_, err := fmt.Sscanf(string(readStat()), "cpu %g %g %g %g %g %g %g %g", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7])
	require.NoError(t, err)
	return v[7] / 100 // USER_HZ, which does not depend on the kernel's HZ
}

// checkAmount compares the number of samples with CPU time. The clock samples
// exactly; each time that the program is given a processor is rounded to whole
// samples, though, at most as often as there are samples: that is a standard deviation
// of at most half of the root of their number, of which six are allowed. Time that a
// hypervisor took away is no CPU time, but some of it is sampled (see TestAmount).
func checkAmount(t *testing.T, frequency int, cpuSeconds float64, seen observed) {
	t.Helper()
	_, got := sumOf(seen.all, func(*flatSample) bool { return true })
	want := cpuSeconds * float64(frequency)
	require.Positive(t, want)
	most := want + seen.stolen*float64(frequency)
	assert.InEpsilon(t, min(max(got, want), most), got, 0.02+3/math.Sqrt(want), "samples agree with CPU time of %g to %g samples", want, most)
}

// checkShares compares the part of samples of functions with the truth, within
// five standard deviations.
func checkShares(t *testing.T, truth map[string]float64, samples []flatSample) {
	t.Helper()
	shares, n := leafShares(samples)
	require.Greater(t, n, 100.0)
	for function, want := range truth {
		assert.InDelta(t, want, shares[function], 0.01+5*math.Sqrt(want*(1-want)/n), "share of %s of %g samples", function, n)
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
