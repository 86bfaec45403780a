package profilerule

import (
	"slices"
	"time"
)

const day = 24 * time.Hour

// lengths are those that windows, and up to a day the time to their baselines,
// can have. They are few: rules on the same profiles with about the same window
// share a query.
var lengths = []time.Duration{
	30 * time.Second, 45 * time.Second,
	time.Minute, 90 * time.Second, 2 * time.Minute, 3 * time.Minute, 4 * time.Minute, 5 * time.Minute, 6 * time.Minute,
	8 * time.Minute, 10 * time.Minute, 12 * time.Minute, 15 * time.Minute, 20 * time.Minute, 30 * time.Minute, 45 * time.Minute,
	time.Hour, 90 * time.Minute, 2 * time.Hour, 3 * time.Hour, 4 * time.Hour, 6 * time.Hour, 8 * time.Hour, 12 * time.Hour,
	18 * time.Hour, day,
}

// roundUp returns the shortest length that is not below d; above a day, days.
func roundUp(d Duration) Duration {
	i, _ := slices.BinarySearch(lengths, time.Duration(d))
	if i < len(lengths) {
		return Duration(lengths[i])
	}
	return (d + Duration(day) - 1) / Duration(day) * Duration(day)
}

// window returns the bounds of the window in Unix nanoseconds. Its end is cut down
// to a step, so that evaluations of about the same time, by several replicas and on
// demand, ask the store the same. The step is short: what happened since counts
// only the next time.
func (s *Spec) window(end time.Time) (from, to int64) {
	const parts, shortest, longest = 60, time.Second, 10 * time.Second
	step := min(max(time.Duration(s.Window)/parts, shortest), longest)
	to = end.Truncate(step).UnixNano()
	return to - int64(s.Window), to
}
