package aggregate

import "github.com/aperture-collector/aperture-collector/internal/profile"

// week numbers the weeks since 1970, Mondays first. The store partitions its
// tables by week, so it is what one insert is cut into.
func week(ns int64) int64 {
	const day = 24 * 3600 * 1_000_000_000
	return (ns/day + 3) / 7
}

// Weeks is the number of different weeks that groups fall on.
func Weeks(g *profile.Groups) int {
	weeks := make(map[int64]struct{}, 1)
	for _, grp := range g.Groups {
		weeks[week(grp.Start)] = struct{}{}
	}
	return len(weeks)
}

// Fits reports whether w with g added would have at most so many groups and
// weeks.
func (w *Window) Fits(g *profile.Groups, maxGroups, maxWeeks int) bool {
	if len(w.groups)+len(g.Groups) > maxGroups {
		return false
	}
	more := make(map[int64]struct{}, 1)
	for _, grp := range g.Groups {
		n := week(grp.Start)
		if _, ok := w.weeks[n]; !ok {
			more[n] = struct{}{}
		}
	}
	return len(w.weeks)+len(more) <= maxWeeks
}
