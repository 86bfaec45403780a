package overhead

import (
	"fmt"
	"time"
)

const (
	// thresholdSteps is how often a threshold is doubled before the profile is
	// switched off.
	thresholdSteps = 6
	// helped is the part of the former cost that a raised threshold must leave at
	// most, or it is not what the profile costs.
	helped = 0.75

	firstWait    = 3  // calm intervals before a step back
	firstWaitOff = 10 // and before a profile is switched on again
	maxWait      = 640
)

// knob is what can be turned about one profile. Step 0 is as configured.
type knob struct {
	name string
	// clock tells that the profile is one of samples: step n has the frequency
	// base/2^n.
	clock bool
	base  int
	// Otherwise step n has the threshold first*2^n, and beyond the last step the
	// profile is off.
	first time.Duration
	last  int

	step      int
	wait      int // calm intervals before it goes back
	raisedAt  int // the interval of the last step back, 0 for none
	loweredAt int
	// When a threshold was raised last, and what the profile cost then.
	steppedAt int
	cost      float64
}

func newClock(frequency int) knob {
	return knob{name: "cpu", clock: true, base: max(frequency, 1), wait: firstWait}
}

func newThreshold(name string, first time.Duration, steps int) knob {
	return knob{name: name, first: first, last: steps, wait: firstWait}
}

func (k *knob) frequency() int { return max(k.base>>k.step, 1) }

// threshold returns the duration, which is that of the last step while the
// profile is off.
func (k *knob) threshold() time.Duration {
	step := min(k.step, k.last)
	if step == 0 {
		return k.first
	}
	return max(k.first, time.Microsecond) << step
}

func (k *knob) off() bool { return !k.clock && k.step > k.last }

func (k *knob) lowered() bool { return k.step > 0 }

func (k *knob) canLower() bool {
	if k.clock {
		return k.frequency() > 1
	}
	return !k.off()
}

// atLast tells that the next thing to do is to switch the profile off.
func (k *knob) atLast() bool { return !k.clock && k.step >= k.last }

// lowering notes that the knob is about to be turned down: what brought it up
// before did not last if that was not long ago.
func (k *knob) lowering(interval int) {
	if k.raisedAt > 0 && interval-k.raisedAt <= 2*k.wait {
		k.wait = min(2*k.wait, maxWait)
	} else {
		k.wait = firstWait
	}
	k.raisedAt, k.loweredAt = 0, interval
}

// down halves the frequency and returns what is left of the cost.
func (k *knob) down() float64 {
	before := k.frequency()
	k.step++
	return float64(k.frequency()) / float64(before)
}

// useless tells that the threshold was raised just before and the cost hardly
// fell.
func (k *knob) useless(interval int, cost float64) bool {
	return k.steppedAt > 0 && interval-k.steppedAt == 1 && cost > k.cost*helped
}

// raise doubles the threshold, or switches the profile off, and returns what is
// predicted to be left of the cost.
func (k *knob) raise(off bool, interval int, cost float64) float64 {
	k.steppedAt, k.cost = interval, cost
	k.step++
	if off {
		k.step = k.last + 1
	}
	if !k.off() {
		return 0.5
	}
	k.wait = max(k.wait, firstWaitOff)
	return 0
}

// predictUp returns what the profile is expected to cost after a step back.
func (k *knob) predictUp(cost float64) float64 {
	switch {
	case k.clock:
		return cost * float64(max(k.base>>(k.step-1), 1)) / float64(k.frequency())
	case k.off():
		return 0 // nobody knows: it is tried
	}
	return 2 * cost
}

func (k *knob) up(interval int) {
	k.step--
	k.raisedAt = interval
}

// String returns the setting as a person reads it.
func (k *knob) String() string {
	switch {
	case k.clock:
		return fmt.Sprintf("%s at %d Hz", k.name, k.frequency())
	case k.off():
		return k.name + " off"
	case k.last == 0:
		return k.name + " on"
	}
	return fmt.Sprintf("%s from %s", k.name, k.threshold())
}
