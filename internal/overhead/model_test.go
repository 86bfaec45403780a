package overhead

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/aperture-collector/aperture-collector/bpf"
)

// load is a machine whose profiles cost something.
type load struct {
	perSample float64 // of the budget, for one sample a second
	// Of events, as parts of the budget: for every one, and for those above the
	// threshold as configured, whose number falls with a power of the threshold.
	offCPU, offCPUSlow, offCPUPower float64
	lock, lockSlow, lockPower       float64
	syscall                         float64
}

func randomLoad(r *rand.Rand) load {
	amount := func(most float64) float64 {
		if r.IntN(3) == 0 {
			return 0
		}
		return most * math.Pow(10, -4*r.Float64())
	}
	return load{
		perSample: amount(0.1),
		offCPU:    amount(3), offCPUSlow: amount(20), offCPUPower: 2 * r.Float64(),
		lock: amount(3), lockSlow: amount(20), lockPower: 2 * r.Float64(),
		syscall: amount(5),
	}
}

func (l load) cost(r Rates) Cost {
	var at [4]float64
	at[bpf.KindCPU] = l.perSample * float64(r.CPUFrequency)
	if !r.Off[bpf.KindOffCPU] {
		raised := float64(r.OffCPUMinDuration) / float64(configured.OffCPUMinDuration)
		at[bpf.KindOffCPU] = l.offCPU + l.offCPUSlow/math.Pow(raised, l.offCPUPower)
	}
	if !r.Off[bpf.KindLock] {
		raised := float64(r.LockMinDuration) / float64(configured.LockMinDuration)
		at[bpf.KindLock] = l.lock + l.lockSlow/math.Pow(raised, l.lockPower)
	}
	if !r.Off[bpf.KindSyscall] {
		at[bpf.KindSyscall] = l.syscall
	}
	return cost(at[0], at[1], at[2], at[3])
}

func (l load) total(r Rates) float64 {
	var sum time.Duration
	for _, k := range l.cost(r).Kernel {
		sum += k
	}
	return float64(sum) / float64(budget)
}

// TestModelStaysWithinBudget throws loads that last for a while at a guard: the
// cost is above the limit for three intervals in a row at most, whatever comes.
func TestModelStaysWithinBudget(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		g := New(0.01, 2, configured)
		above := 0
		for range 20 {
			l := randomLoad(r)
			above = 0 // a new load is nobody's fault
			for range 5 + r.IntN(100) {
				if l.total(g.Rates()) > 1 {
					above++
				} else {
					above = 0
				}
				d := g.Observe(l.cost(g.Rates()))
				if above > 3 && !strings.Contains(d.Reason, "nothing is left") {
					t.Fatalf("seed %d: above the limit for %d intervals: %+v of %+v", seed, above, d, l)
				}
			}
		}
	}
}

// TestModelSettles finds few changes under a load that stays: those to get
// there, and tries to go back that become rarer.
func TestModelSettles(t *testing.T) {
	for seed := range uint64(50) {
		l := randomLoad(rand.New(rand.NewPCG(seed, 2)))
		g := New(0.01, 2, configured)
		changes, above := 0, 0
		for i := range 8000 {
			if l.total(g.Rates()) > 1 {
				above++
			}
			if g.Observe(l.cost(g.Rates())).Changed && i >= 4000 {
				changes++
			}
		}
		assert.LessOrEqual(t, changes, 60, "seed %d: in the second half, under %+v", seed, l)
		if above == 8000 { // even at the lowest rates
			continue
		}
		assert.LessOrEqual(t, above, 100, "seed %d: of 8000 intervals, under %+v", seed, l)
	}
}

// TestModelRecovers has all rates as configured some time after the load went
// away.
func TestModelRecovers(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 3))
		g := New(0.01, 2, configured)
		for range 10 {
			l := randomLoad(r)
			for range r.IntN(100) {
				g.Observe(l.cost(g.Rates()))
			}
		}
		quiet := load{perSample: 0.0001, offCPU: 0.01, lock: 0.01, syscall: 0.01}
		for range 30 * firstWait * maxWait / 10 {
			g.Observe(quiet.cost(g.Rates()))
		}
		assert.Equal(t, configured, g.Rates(), "seed %d", seed)
	}
}

// FuzzGuard checks that no input makes rates that cannot be.
func FuzzGuard(f *testing.F) {
	f.Add(0.01, 2, 99, int64(time.Second), int64(time.Millisecond), int64(0), int64(5), int64(-1))
	f.Fuzz(func(t *testing.T, limit float64, cpus, hz int, elapsed, cpu, off, lock, sys int64) {
		g := New(limit, cpus, Rates{CPUFrequency: hz, OffCPUMinDuration: time.Millisecond})
		for range 50 {
			d := g.Observe(Cost{Elapsed: time.Duration(elapsed), Kernel: [kinds]time.Duration{
				time.Duration(cpu), time.Duration(off), time.Duration(lock), time.Duration(sys),
			}})
			if d.CPUFrequency < 1 || d.CPUFrequency > max(hz, 1) || d.OffCPUMinDuration < time.Millisecond || d.LockMinDuration < 0 {
				t.Fatalf("%+v", d)
			}
		}
	})
}
