package overhead

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/aperture-collector/aperture-collector/bpf"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const interval = 10 * time.Second

var configured = Rates{CPUFrequency: 99, OffCPUMinDuration: time.Millisecond, LockMinDuration: 10 * time.Microsecond}

// budget is what one interval may cost with a limit of 1 % on two processors.
const budget = 200 * time.Millisecond

func part(f float64) time.Duration { return time.Duration(f * float64(budget)) }

func cost(cpu, offCPU, lock, syscall float64) Cost {
	return Cost{Elapsed: interval, Kernel: [kinds]time.Duration{part(cpu), part(offCPU), part(lock), part(syscall)}}
}

func TestGuardWithinBudgetChangesNothing(t *testing.T) {
	g := New(0.01, 2, configured)
	for range 100 {
		d := g.Observe(cost(0.3, 0.2, 0.2, 0.09))
		assert.Equal(t, Decision{Rates: configured, Share: d.Share}, d)
		assert.InDelta(t, 0.0079, d.Share, 1e-9)
	}
}

// TestGuardActsBeforeTheLimit halves the frequency at four fifths.
func TestGuardActsBeforeTheLimit(t *testing.T) {
	g := New(0.01, 2, configured)
	d := g.Observe(cost(0.5, 0.35, 0, 0))
	assert.True(t, d.Changed)
	assert.Equal(t, 49, d.CPUFrequency)
	assert.Equal(t, time.Millisecond, d.OffCPUMinDuration, "only the most expensive one")
	assert.Equal(t, "profiling cost 0.85 % of the processors, limit 1.00 %: cpu at 99 Hz -> cpu at 49 Hz", d.Reason)
}

// TestGuardGoesFarEnough lowers the frequency to what fits at once.
func TestGuardGoesFarEnough(t *testing.T) {
	g := New(0.01, 2, Rates{CPUFrequency: 1000})
	d := g.Observe(cost(20, 0, 0, 0))
	assert.Equal(t, 31, d.CPUFrequency)
	d = g.Observe(cost(100000, 0, 0, 0))
	assert.Equal(t, 1, d.CPUFrequency)
	assert.False(t, d.Off[bpf.KindCPU])
	d = g.Observe(cost(3, 0, 0, 0))
	assert.False(t, d.Changed)
	assert.Equal(t, "profiling cost 3.00 % of the processors, limit 1.00 %: nothing is left to lower", d.Reason)
}

// TestGuardRaisesThresholds doubles a threshold for as long as that helps.
func TestGuardRaisesThresholds(t *testing.T) {
	g := New(0.01, 2, configured)
	d := g.Observe(cost(0.1, 0.9, 0, 0))
	assert.Equal(t, 2*time.Millisecond, d.OffCPUMinDuration)
	d = g.Observe(cost(0.1, 0.5, 0, 0))
	assert.False(t, d.Changed)
	d = g.Observe(cost(0.1, 0.1, 0.75, 0))
	assert.Equal(t, 20*time.Microsecond, d.LockMinDuration)
	d = g.Observe(cost(0.1, 0.1, 0.75, 0))
	assert.Equal(t, 40*time.Microsecond, d.LockMinDuration, "nothing is switched off within the budget")
	d = g.Observe(cost(0.1, 0.1, 0.85, 0))
	assert.True(t, d.Off[bpf.KindLock], "it hardly helped")
	assert.Equal(t, 20*time.Microsecond<<5, d.LockMinDuration)
	assert.Equal(t, 99, d.CPUFrequency)
}

// TestGuardSwitchesOffWhatExceedsTwice does not try small steps for long, but goes
// on with them while they help.
func TestGuardSwitchesOffWhatExceedsTwice(t *testing.T) {
	g := New(0.01, 2, configured)
	d := g.Observe(cost(0.1, 3, 0, 0))
	assert.Equal(t, 8*time.Millisecond, d.OffCPUMinDuration)
	d = g.Observe(cost(0.1, 1.5, 0, 0))
	assert.False(t, d.Off[bpf.KindOffCPU], "it was three times as much")
	assert.Equal(t, 32*time.Millisecond, d.OffCPUMinDuration)
	d = g.Observe(cost(0.1, 1.4, 0, 0))
	assert.True(t, d.Off[bpf.KindOffCPU])
}

// TestGuardRaisesThresholdsFirst keeps a profile that can only be switched off
// while the thresholds of others make up for it.
func TestGuardRaisesThresholdsFirst(t *testing.T) {
	g := New(0.01, 2, configured)
	d := g.Observe(cost(0.1, 1.9, 0.4, 0.6))
	assert.False(t, d.Off[bpf.KindSyscall])
	assert.Equal(t, 99, d.CPUFrequency)
	assert.Greater(t, d.OffCPUMinDuration, 8*time.Millisecond)
	assert.Greater(t, d.LockMinDuration, 20*time.Microsecond)
	g = New(0.01, 2, configured)
	d = g.Observe(cost(0.1, 0.3, 0, 0.75))
	assert.True(t, d.Off[bpf.KindSyscall], "too much without the others")
}

// TestGuardSyscalls switches them off and tries again, each time later.
func TestGuardSyscalls(t *testing.T) {
	g := New(0.01, 2, configured)
	var tries []int
	off := g.Observe(cost(0.1, 0, 0, 0.95))
	require.True(t, off.Off[bpf.KindSyscall])
	assert.Contains(t, off.Reason, "syscall on -> syscall off")
	last := 0
	for i := 1; len(tries) < 9; i++ {
		d := g.Observe(cost(0.1, 0, 0, 0))
		if !d.Changed {
			continue
		}
		require.False(t, d.Off[bpf.KindSyscall])
		tries = append(tries, i-last)
		last = i
		require.True(t, g.Observe(cost(0.1, 0, 0, 2)).Off[bpf.KindSyscall])
	}
	assert.Equal(t, []int{10, 20, 40, 80, 160, 320, 640, 640, 640}, tries)
}

// TestGuardGoesBack restores the rates when there is room, and stays there.
func TestGuardGoesBack(t *testing.T) {
	g := New(0.01, 2, configured)
	g.Observe(cost(2, 0, 0, 0))
	require.Equal(t, 24, g.Rates().CPUFrequency)
	var seen []int
	for range 20 {
		// A load that is a tenth of what it was.
		if d := g.Observe(cost(0.2*float64(g.Rates().CPUFrequency)/99, 0, 0, 0)); d.Changed {
			seen = append(seen, d.CPUFrequency)
		}
	}
	assert.Equal(t, []int{49, 99}, seen)
	assert.Equal(t, configured, g.Rates())
}

// TestGuardDoesNotGoBackIntoExcess leaves room for what a step back costs.
func TestGuardDoesNotGoBackIntoExcess(t *testing.T) {
	g := New(0.01, 2, configured)
	g.Observe(cost(0.9, 0, 0, 0))
	for range 1000 {
		assert.False(t, g.Observe(cost(0.45, 0, 0, 0)).Changed, "twice as much is above four fifths")
	}
}

func TestGuardUserTime(t *testing.T) {
	g := New(0.01, 2, configured)
	c := cost(0.3, 0.1, 0, 0)
	c.User = part(0.4)
	d := g.Observe(c)
	assert.InDelta(t, 0.008, d.Share, 1e-9)
	c.User = part(0.5)
	d = g.Observe(c)
	assert.Equal(t, 49, d.CPUFrequency)
	c = Cost{Elapsed: interval, User: part(100)}
	d = g.Observe(c)
	assert.False(t, d.Changed, "nothing that rates would lower")
	assert.Zero(t, d.Share)
}

func TestGuardWithoutLimit(t *testing.T) {
	g := New(0, 2, configured)
	assert.Equal(t, Decision{Rates: configured}, g.Observe(cost(100, 100, 100, 100)))
}

func TestGuardIgnoresShortIntervals(t *testing.T) {
	g := New(0.01, 2, configured)
	for _, elapsed := range []time.Duration{-time.Second, 0, time.Millisecond} {
		c := cost(100, 0, 0, 0)
		c.Elapsed = elapsed
		assert.Equal(t, Decision{Rates: configured}, g.Observe(c))
	}
}

// TestGuardOddInput makes the best of what cannot be.
func TestGuardOddInput(t *testing.T) {
	g := New(0.01, -1, Rates{CPUFrequency: -5})
	c := cost(-1, 1e6, 0, 0)
	c.User = -time.Hour
	d := g.Observe(c)
	assert.Equal(t, 1, d.CPUFrequency)
	assert.True(t, d.Off[bpf.KindOffCPU])
	assert.Equal(t, time.Microsecond<<thresholdSteps, d.OffCPUMinDuration)
}
