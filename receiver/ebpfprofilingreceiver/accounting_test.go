package ebpfprofilingreceiver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// TestAmount compares the samples of busy processes with the CPU time that the
// kernel's scheduler says they have used. That is exact, unlike /proc/stat, which
// goes by the tick. But it is without the time for which a hypervisor took the
// processor away. A sample that was due meanwhile is taken when the processor is
// back, one for all that were due: they count the time of interruptions that are
// shorter than a period, and not of long ones.
func TestAmount(t *testing.T) {
	ebpftest.Require(t)
	s := profileHost(t, testConfig(func(c *Config) { c.SamplingFrequency = 997 }))
	bin := ebpftest.BuildC(t, "burn.c")
	var programs []*ebpftest.Program
	for range 3 {
		programs = append(programs, ebpftest.Start(t, bin, "2"))
	}
	for _, p := range programs {
		ebpftest.AwaitCPU(t, p.PID(), 1500*time.Millisecond)
	}
	least, most, got := 0.0, 0.0, 0.0
	for _, p := range programs {
		report := p.Stop()
		least += 997 * report.CPUSeconds
		most += 997 * (report.CPUSeconds + max(0, report.Counts["stolen_seconds"]))
	}
	all := s.stop()
	for _, p := range programs {
		_, n := sumOf(flatten(all, ofPID(p.PID())), func(*flatSample) bool { return true })
		got += n
	}
	lost := s.counter("lost_samples")
	t.Logf("%g samples of %g, %.4f, and of %g with stolen time, %.4f; %d lost", got, least, got/least, most, got/most, lost)
	require.Positive(t, least)
	assert.InEpsilon(t, min(max(got, least), most), got, 0.02)
	s.checkLost()
	assert.Positive(t, s.counter("expected_samples"))
	assert.Positive(t, s.counter("bpf_time"))
}

// TestOverload counts what it loses exactly: with room for few stacks, each event
// that reached the programs is in a profile or in a counter.
func TestOverload(t *testing.T) {
	ebpftest.Require(t)
	s := profileHost(t, testConfig(func(c *Config) {
		c.Profiles = []string{profile.KindCPU, profile.KindLock}
		c.SamplingFrequency, c.MaxMapEntries, c.Interval = 997, minMapEntries, 2*time.Second
		c.LockMinDuration = 0
	}))
	p := ebpftest.Start(t, ebpftest.BuildC(t, "storm.c"), "80", "15")
	q := ebpftest.Start(t, ebpftest.BuildC(t, "mmaplock.c"), "4")
	p.Wait()
	ebpftest.Await(t, "loss", func() bool {
		return s.counter("lost_samples", "profile", profile.KindCPU, "reason", "hash_full") > 0 &&
			s.counter("lost_samples", "profile", profile.KindLock, "reason", "hash_full") > 0
	})
	q.Stop()
	p.Stop()
	emitted := map[string]int64{}
	for _, x := range flatten(s.stop(), everything) {
		if x.typ == "samples" || x.typ == "contentions" || x.typ == "waits" {
			emitted[x.kind] += x.sum
		}
	}
	unknown := s.counter("lost_samples", "reason", "stack_unknown")
	var taken int64
	for _, kind := range s.receiver.cfg.Profiles {
		samples := s.counter("samples", "profile", kind)
		lost := s.counter("lost_samples", "profile", kind) // in the kernel
		skipped := s.counter("skipped_events", "profile", kind)
		assert.Equal(t, s.counter("bpf_runs", "profile", kind), samples+lost+skipped, kind)
		of := emitted[kind]
		if kind == profile.KindLock {
			of += emitted[profile.KindLockIdle]
		}
		assert.LessOrEqual(t, of, samples)
		taken += samples
		t.Logf("%s: %d emitted, %d taken, %d lost, %d skipped", kind, of, samples, lost, skipped)
	}
	assert.Equal(t, taken, emitted[profile.KindCPU]+emitted[profile.KindLock]+emitted[profile.KindLockIdle]+unknown)
	require.Positive(t, emitted[profile.KindCPU])
}

// TestExpected compares the samples with what the receiver expects itself, by
// /proc/stat. The processors are busy while the profiles start.
func TestExpected(t *testing.T) {
	ebpftest.Require(t)
	bin := ebpftest.BuildC(t, "burn.c")
	ebpftest.Start(t, bin, "2")
	ebpftest.Start(t, bin, "2")
	s := profileHost(t, testConfig(func(c *Config) { c.Profiles = kinds }))
	stolen := stolenSeconds(t)
	// The two numbers are of the same time when they are reported together, which is
	// not so at the end: sampling ends before the last report.
	var got, want float64
	ebpftest.Await(t, "expected samples", func() bool {
		want = float64(s.counter("expected_samples"))
		got = float64(s.counter("samples", "profile", profile.KindCPU) + s.counter("lost_samples", "profile", profile.KindCPU))
		return want > 4000 && want == float64(s.counter("expected_samples"))
	})
	t.Logf("%g samples, %g expected, %.3f s stolen", got, want, stolenSeconds(t)-stolen)
	most := want + (stolenSeconds(t)-stolen)*float64(s.receiver.cfg.SamplingFrequency)
	assert.InEpsilon(t, min(max(got, want), most), got, 0.1)
}
