package profilerule

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/aperturejson"
	"github.com/aperture-collector/aperture-collector/internal/diff"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// errNothing says that there is no value because nothing was observed.
var errNothing = errors.New("nothing was observed")

// noData says why there is no value although everything could be read.
type noData struct{ error }

func (e noData) Unwrap() error { return e.error }

func nothing(format string, args ...any) error {
	return noData{fmt.Errorf("%w: "+format, append([]any{errNothing}, args...)...)}
}

// value returns the value of a rule. baseline is nil if it needs none.
func (s *Spec) value(now, baseline *read) (float64, error) {
	if now.err != nil {
		return 0, now.err
	}
	if now.kind == nil {
		return 0, nothing("no %s profiles in the last %s", s.EventType, s.Window)
	}
	switch s.Metric {
	case LockWait:
		if now.kind.Types[0].Unit != "nanoseconds" {
			return 0, nothing("profiles of kind lock are in %s", now.kind.Types[0].Unit)
		}
		return seconds(now.kind.Totals[0]), nil
	case SyscallP99, SyscallErrorRate:
		return s.syscalls(now.kind)
	}
	if now.total.value <= 0 {
		return 0, nothing("no %s profiles with stacks in the last %s", s.EventType, s.Window)
	}
	switch s.Metric {
	case StackShare:
		return now.foundPaths[now.paths[path{s.Stack, s.Anywhere}]].share(now.total), nil
	case FunctionShare:
		return now.function(s).share(now.total), nil
	}
	return s.change(now, baseline)
}

func (r *read) function(s *Spec) sums {
	return r.foundFunctions[r.functions[s.Function]].of(s.Self)
}

func (s *Spec) change(now, baseline *read) (float64, error) {
	if baseline.err != nil {
		return 0, fmt.Errorf("baseline: %w", baseline.err)
	}
	if unit := now.kind.Types[0].Unit; unit != "count" {
		return 0, nothing("profiles of kind %s are in %s", s.EventType, unit)
	}
	if now.truncated || baseline.truncated {
		// What was cut off one side would be a change.
		return 0, fmt.Errorf("there are more than %d stacks in a window: shares of what is left cannot be compared", maxRows)
	}
	if n := min(now.total.count, baseline.total.count); n < s.MinSamples {
		return 0, nothing("%d observations in a window; `min_samples` is %d", n, s.MinSamples)
	}
	after, before := now.function(s), baseline.function(s)
	p := diff.PValue(before.count, after.count, float64(baseline.total.count), float64(now.total.count))
	// What is not a number is not significant.
	if !(p <= s.MaxPValue) {
		return 0, noData{fmt.Errorf("the change is not significant: p_value is %s; `max_p_value` is %s", number(p), number(s.MaxPValue))}
	}
	return after.share(now.total) - before.share(baseline.total), nil
}

// syscalls returns a value of one system call or of all of them.
func (s *Spec) syscalls(k *profilestore.KindMerge) (float64, error) {
	var all profilestore.SyscallStats
	for i := range k.Syscalls {
		c := &k.Syscalls[i]
		if s.Syscall != "" && s.Syscall != aperturejson.SyscallName(c) {
			continue
		}
		all.Count = profile.AddCount(all.Count, c.Count)
		all.Errors = profile.AddCount(all.Errors, c.Errors)
		all.Max = max(all.Max, c.Max)
		for b, n := range c.Histogram {
			all.Histogram[b] = profile.AddCount(all.Histogram[b], n)
		}
	}
	if all.Count == 0 {
		return 0, nothing("no calls of %s in the last %s", orAll(s.Syscall), s.Window)
	}
	if s.Metric == SyscallErrorRate {
		return float64(all.Errors) / float64(all.Count), nil
	}
	return p99(&all)
}

func orAll(syscall string) string {
	if syscall == "" {
		return "any system call"
	}
	return syscall
}

// p99 returns an upper bound of the 99th percentile in seconds: the end of the
// bucket that it is in, or the longest duration if that is less. Bucket b has the
// durations from 2^b to 2^(b+1) nanoseconds, so the bound is less than twice as
// large; nothing is interpolated within a bucket. The last bucket has no end.
func p99(s *profilestore.SyscallStats) (float64, error) {
	var known uint64
	for _, n := range s.Histogram {
		known = profile.AddCount(known, n)
	}
	if known == 0 {
		return 0, nothing("system calls without a histogram")
	}
	// The smallest rank that 99 of 100 are not above.
	rank := known - known/100
	var below uint64
	for b, n := range s.Histogram {
		if below = profile.AddCount(below, n); below < rank {
			continue
		}
		end := int64(math.MaxInt64)
		if b < profile.LatencyBuckets-1 {
			end = 2 << b
		}
		if s.Max > 0 {
			end = min(end, s.Max)
		}
		if end == math.MaxInt64 {
			// Nothing tells how long it took: at least this.
			end = 1 << b
		}
		return seconds(end), nil
	}
	return 0, nothing("system calls without a histogram")
}

func seconds(ns int64) float64 { return float64(ns) / float64(time.Second) }
