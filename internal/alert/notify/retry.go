package notify

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v7"
	"go.opentelemetry.io/collector/config/configretry"
)

// retry calls send until it succeeds, fails with something that does not pass by
// itself, or the next try would come after the configured time. It returns the
// error of the last try.
func retry(ctx context.Context, cfg configretry.BackOffConfig, send func(context.Context) error) error {
	if !cfg.Enabled {
		return send(ctx)
	}
	end := time.Now().Add(cfg.MaxElapsedTime)
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	pause := backoff.ExponentialBackOff{
		InitialInterval:     cfg.InitialInterval,
		RandomizationFactor: cfg.RandomizationFactor,
		Multiplier:          cfg.Multiplier,
		MaxInterval:         cfg.MaxInterval,
	}
	for {
		err := send(ctx)
		var f *failure
		if err == nil || !errors.As(err, &f) || f.when != soon {
			return err
		}
		wait := max(pause.NextBackOff(), f.after)
		if time.Until(end) < wait {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
	}
}
