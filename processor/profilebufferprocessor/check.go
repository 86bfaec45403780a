package profilebufferprocessor

import (
	"fmt"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// checkLabels bounds the labels that a series has from its resource and profile
// together, so that the next hop, which sees them all on the resource, takes them.
func (p *bufferProcessor) checkLabels(g *profile.Groups) error {
	for _, grp := range g.Groups {
		n := len(grp.Series.Labels)
		if grp.Series.AgentID() != "" {
			n-- // ours
		}
		if n > p.cfg.Limits.MaxLabels {
			return fmt.Errorf("%w: series has %d labels; `limits::max_labels` is %d", profile.ErrInvalid, n, p.cfg.Limits.MaxLabels)
		}
	}
	return nil
}

// checkTimes refuses what is of the future. Windows of other collectors may be as
// much ahead again: they hold what was not too far ahead of another clock, of many
// producers.
func checkTimes(g *profile.Groups, now time.Time) error {
	ahead := profile.MaxAhead
	if g.WindowID != "" {
		ahead *= 2
	}
	latest := now.Add(ahead).UnixNano()
	for _, grp := range g.Groups {
		if grp.End > latest {
			return fmt.Errorf("%w: a profile of kind %q has a time (timestamps_unix_nano, or time_unix_nano + duration_nano) of %d; it must be at most %v ahead of the clock here, %d",
				profile.ErrInvalid, grp.Kind, grp.End, ahead, now.UnixNano())
		}
	}
	for _, b := range g.Batches {
		if b.ReceivedAt > latest {
			return fmt.Errorf("%w: resource attribute %q is %d; it must be at most %v ahead of the clock here, %d",
				profile.ErrInvalid, profile.AttrBatchReceivedAt, b.ReceivedAt, ahead, now.UnixNano())
		}
	}
	return nil
}
