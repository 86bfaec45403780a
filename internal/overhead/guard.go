package overhead

import (
	"fmt"
	"strings"
	"time"

	"github.com/aperture-collector/aperture-collector/bpf"
)

// ActAt is the part of the budget from which on the cost is lowered.
const ActAt = 0.8

const (
	// restoreAt is the part of the budget below which there is room.
	restoreAt = 0.5
	// An interval is too short to judge below this.
	minInterval = 100 * time.Millisecond

	kinds = int(bpf.KindSyscall) + 1
)

// Rates are how much the profiles do.
type Rates struct {
	// CPUFrequency is in samples per second and processor.
	CPUFrequency int
	// OffCPUMinDuration and LockMinDuration are the thresholds of the profiles.
	OffCPUMinDuration, LockMinDuration time.Duration
	// Off tells, by bpf.Kind, which profiles are to be stopped until a later
	// Decision. The CPU profile never is.
	Off [kinds]bool
}

// Cost is what profiling cost in one interval.
type Cost struct {
	// Elapsed is the length of the interval.
	Elapsed time.Duration
	// Kernel is the time spent in the programs of each profile, by bpf.Kind,
	// summed over all processors. That of the CPU profile may include an estimate
	// of its timer interrupts, which nobody else would take.
	Kernel [kinds]time.Duration
	// User is the CPU time of user space that follows the number of samples:
	// collecting and encoding them. What programs cost to get to know (unwind
	// tables, symbols) is not part of it; no rate would lower it. It is
	// attributed to the profiles in proportion to Kernel.
	User time.Duration
}

// Decision is what a Guard makes of a Cost.
type Decision struct {
	// Rates are those for the next interval.
	Rates
	// Changed tells that they differ from the ones before.
	Changed bool
	// Share is the cost as a part of all processors.
	Share float64
	// Reason tells why the rates changed, or why they cannot be lowered although
	// the cost is too high. Otherwise it is empty.
	Reason string
}

// Guard decides on rates. It is not safe for concurrent use.
type Guard struct {
	limit float64
	cpus  float64

	knobs    [kinds]knob
	interval int
	calm     int     // intervals in a row that left room
	over     int     // intervals in a row above the budget
	last     float64 // cost of the last interval as a part of the budget
}

// New returns a Guard that keeps the cost below limit, a part of each of cpus
// processors, and never does more than the configured rates. A limit of 0 or
// less is none. Profiles that do not run need no mention: they cost nothing.
func New(limit float64, cpus int, configured Rates) *Guard {
	g := &Guard{limit: limit, cpus: float64(max(cpus, 1))}
	g.knobs[bpf.KindCPU] = newClock(configured.CPUFrequency)
	g.knobs[bpf.KindOffCPU] = newThreshold("off_cpu", configured.OffCPUMinDuration, thresholdSteps)
	g.knobs[bpf.KindLock] = newThreshold("lock", configured.LockMinDuration, thresholdSteps)
	g.knobs[bpf.KindSyscall] = newThreshold("syscall", 0, 0)
	return g
}

// Rates returns the rates that hold now.
func (g *Guard) Rates() Rates {
	r := Rates{
		CPUFrequency:      g.knobs[bpf.KindCPU].frequency(),
		OffCPUMinDuration: g.knobs[bpf.KindOffCPU].threshold(),
		LockMinDuration:   g.knobs[bpf.KindLock].threshold(),
	}
	for i := range g.knobs {
		r.Off[i] = g.knobs[i].off()
	}
	return r
}

// Observe takes the cost of the interval since the last call, in which the rates
// of the last Decision held, and decides on the next one. An interval that is
// too short to judge changes nothing.
func (g *Guard) Observe(c Cost) Decision {
	if c.Elapsed < minInterval || g.limit <= 0 {
		return Decision{Rates: g.Rates()}
	}
	g.interval++
	cost := g.shares(c)
	total := sum(cost)
	d := Decision{Share: total * g.limit}
	var done []string
	switch {
	case total > ActAt:
		g.calm = 0
		again := g.over >= 2 || g.over == 1 && total > g.last*helped
		done = g.lower(cost, total > 1, total > 1 && again)
		if len(done) == 0 {
			done = []string{"nothing is left to lower"}
		} else {
			d.Changed = true
		}
	case total < restoreAt:
		g.calm++
		if s := g.restore(cost); s != "" {
			g.calm, d.Changed, done = 0, true, []string{s}
		}
	default:
		g.calm = 0
	}
	g.last = total
	g.over++
	if total <= 1 {
		g.over = 0
	}
	d.Rates = g.Rates()
	if len(done) > 0 {
		d.Reason = fmt.Sprintf("profiling cost %.2f %% of the processors, limit %.2f %%: %s",
			100*d.Share, 100*g.limit, strings.Join(done, ", "))
	}
	return d
}

// shares returns the cost of each profile as a part of the budget.
func (g *Guard) shares(c Cost) (cost [kinds]float64) {
	budget := g.limit * g.cpus * float64(c.Elapsed)
	var kernel time.Duration
	for _, k := range c.Kernel {
		kernel += max(k, 0)
	}
	if kernel == 0 {
		return cost // what user space does is not due to samples
	}
	for i, k := range c.Kernel {
		k = max(k, 0)
		cost[i] = (float64(k) + float64(max(c.User, 0))*float64(k)/float64(kernel)) / budget
	}
	return cost
}

func sum(cost [kinds]float64) (total float64) {
	for _, c := range cost {
		total += c
	}
	return total
}

// lower lowers the most expensive profiles until the cost is predicted to fit,
// and says what it did. Above the budget it lowers as many as it takes,
// otherwise one.
func (g *Guard) lower(cost [kinds]float64, above, again bool) (done []string) {
	measured := cost
	for sum(cost) > ActAt {
		most := g.most(cost, !again, above)
		if most < 0 {
			break
		}
		k := &g.knobs[most]
		before := k.String()
		k.lowering(g.interval)
		if k.clock {
			// As far as it takes at once: the cost of samples follows their rate.
			rest := sum(cost) - cost[most]
			for k.canLower() && rest+cost[most] > ActAt {
				cost[most] *= k.down()
			}
		} else {
			// Half is a guess, which the next interval corrects.
			useless := k.useless(g.interval, measured[most])
			cost[most] *= k.raise(above && (again || useless), g.interval, measured[most])
		}
		done = append(done, before+" -> "+k.String())
		if !above {
			break
		}
	}
	return done
}

// most returns the most expensive profile that can be lowered, -1 if there is
// none. With spare, one that would be switched off is not it while the thresholds
// of others can make up for it; without above, it never is.
func (g *Guard) most(cost [kinds]float64, spare, above bool) int {
	most, raisable, rest := -1, -1, sum(cost)
	for i := range g.knobs {
		k := &g.knobs[i]
		if !k.canLower() || cost[i] <= 0 || !above && k.atLast() {
			continue
		}
		if most < 0 || cost[i] > cost[most] {
			most = i
		}
		if !k.clock && !k.atLast() {
			rest -= cost[i]
			if raisable < 0 || cost[i] > cost[raisable] {
				raisable = i
			}
		}
	}
	if spare && most >= 0 && !g.knobs[most].clock && raisable >= 0 && rest <= ActAt {
		return raisable
	}
	return most
}

// restore brings the profile that was lowered last back by one step, if it may
// and is predicted to fit, and says what it did.
func (g *Guard) restore(cost [kinds]float64) string {
	last := -1
	for i := range g.knobs {
		k := &g.knobs[i]
		if k.lowered() && g.calm >= k.wait && (last < 0 || k.loweredAt > g.knobs[last].loweredAt) &&
			sum(cost)-cost[i]+k.predictUp(cost[i]) <= ActAt {
			last = i
		}
	}
	if last < 0 {
		return ""
	}
	k := &g.knobs[last]
	before := k.String()
	k.up(g.interval)
	return before + " -> " + k.String()
}
