package pyroscopeapiextension

import (
	"context"
	"fmt"

	"github.com/aperture-collector/aperture-collector/internal/flamebearer"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// sumSamples sums the samples of selected stacks, profile by profile.
func (a *api) sumSamples(ctx context.Context, q *seriesQuery, sel profilestore.Selector, sums map[string]*seriesSums) error {
	t := target{q.id}
	groups := make(map[profile.ID]*seriesSums)
	return a.store.EachProfile(ctx, sel, func(p *profilestore.Profile, samples []profilestore.Sample) error {
		column, scale, ok := t.column(p.Types, p.Period)
		if !ok {
			return nil
		}
		value, found := int64(0), false
		for i := range samples {
			s := &samples[i]
			if s.Syscall != profilestore.NoSyscall && len(s.Stack.Frames) == 0 {
				return fmt.Errorf("series of %s by call_site: %w: its system calls have no stacks", q.id, errUnsupported)
			}
			if q.stacks.has(s.Stack.Frames) {
				found = true
				value = profile.Add(value, flamebearer.Scaled(s.Values[column], scale))
			}
		}
		if !found {
			return nil
		}
		to := groups[p.Series]
		if to == nil {
			to = q.series(sums, labelSet(q.by, q.id, func(public string) string { return labelOf(p.Service, p.Labels, public) }))
			groups[p.Series] = to
		}
		to.add(q.point(p.Time), value, 1)
		return nil
	})
}
