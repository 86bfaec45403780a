package notify

import (
	"context"
	"errors"
	"fmt"

	"github.com/aperture-collector/aperture-collector/internal/alert"
)

// batchSize is how many events a request has at most.
const batchSize = 64

// inBatches sends events in their order. A batch that is refused for good is
// sent again in halves, so that one bad event does not take others with it. The
// error wraps alert.ErrPermanent only if all others were taken; any other error
// ends it at once.
func inBatches(ctx context.Context, events []alert.Event, send func(context.Context, []alert.Event) error) error {
	refused := 0
	var first error
	var try func(batch []alert.Event) error
	try = func(batch []alert.Event) error {
		err := send(ctx, batch)
		switch {
		case err == nil || !errors.Is(err, alert.ErrPermanent):
			return err
		case len(batch) == 1:
			refused++
			if first == nil {
				first = err
			}
			return nil
		}
		if err := try(batch[:len(batch)/2]); err != nil {
			return err
		}
		return try(batch[len(batch)/2:])
	}
	for from := 0; from < len(events); from += batchSize {
		if err := try(events[from:min(from+batchSize, len(events))]); err != nil {
			return err
		}
	}
	if refused > 0 {
		return fmt.Errorf("%d of %d alerts: %w", refused, len(events), first)
	}
	return nil
}
