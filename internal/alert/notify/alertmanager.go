package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/aperture-collector/aperture-collector/internal/alert"
)

// Alertmanager posts alerts to all members of an Alertmanager cluster, by its
// API v2. They tell each other who notifies, so that one that took an alert is
// enough, but all must be asked: see
// https://prometheus.io/docs/alerting/latest/alertmanager/#high-availability.
//
// What Alertmanager keeps is a state, not events: an alert is known by its
// labels, and it ends when nobody repeats it. It is safe for concurrent use.
type Alertmanager struct {
	dialect string
	client  *client
	members []member
	repeat  time.Duration
	pause   time.Duration // the longest between two calls of Repeat
	logger  *zap.Logger

	// turn is held while something is sent, so that a repetition does not overtake
	// the end of an alert and make it fire again.
	turn chan struct{}
	// What follows belongs to who has the turn.
	repeated time.Time
	ended    map[alert.Key]ended
}

// member is one Alertmanager.
type member struct {
	target *url.URL
	down   bool // it has failed last time, and that was logged
}

// ended is the end of the last alert of a rule.
type ended struct {
	episode uint64
	at      time.Time
}

var _ alert.Repeater = (*Alertmanager)(nil)

// lifetimes is how many repetitions of an alert may get lost before it ends. It
// is what Prometheus uses.
const lifetimes = 4

// LongestPause implements alert.Repeater.
func (a *Alertmanager) LongestPause(d time.Duration) { a.pause = d }

// lifetime is how long an alert lives that is not repeated.
func (a *Alertmanager) lifetime() time.Duration { return max(lifetimes*a.repeat, a.pause) }

// Name implements alert.Notifier.
func (a *Alertmanager) Name() string { return "alertmanager" }

// Notify implements alert.Notifier. It returns nil if one member took all
// events. Members that did not are logged.
func (a *Alertmanager) Notify(ctx context.Context, events []alert.Event) error {
	if err := a.take(ctx); err != nil {
		return err
	}
	defer func() { <-a.turn }()
	now := time.Now()
	for i := range events {
		// Kept also if sending fails: nothing that has ended is to be repeated.
		if e := &events[i]; e.Phase == alert.Resolved {
			a.ended[e.Key] = ended{max(e.Episode, a.ended[e.Key].episode), now}
		}
	}
	for key, end := range a.ended {
		if now.Sub(end.at) > a.lifetime() {
			delete(a.ended, key)
		}
	}
	return a.send(ctx, newestOf(events))
}

// Repeat implements alert.Repeater. It sends all firing alerts again when the
// repeat interval is over, and at the first call.
func (a *Alertmanager) Repeat(ctx context.Context, now time.Time, firing []alert.Event) error {
	if err := a.take(ctx); err != nil {
		return err
	}
	defer func() { <-a.turn }()
	if since := now.Sub(a.repeated); since >= 0 && since < a.repeat {
		return nil
	}
	alive := make([]alert.Event, 0, len(firing))
	for i := range firing {
		if end, ok := a.ended[firing[i].Key]; !ok || end.episode < firing[i].Episode {
			alive = append(alive, firing[i])
		}
	}
	if err := a.send(ctx, alive); err != nil && !errors.Is(err, alert.ErrPermanent) {
		return err // the next call tries again
	}
	a.repeated = now
	return nil
}

// Close closes idle connections.
func (a *Alertmanager) Close() error {
	a.client.close()
	return nil
}

func (a *Alertmanager) take(ctx context.Context) error {
	select {
	case a.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("notify alertmanager: %w", ctx.Err())
	}
}

// send sends events to all members at once. The answer of a member that was
// reached, whatever it is, counts more than that another one is away.
func (a *Alertmanager) send(ctx context.Context, events []alert.Event) error {
	if len(events) == 0 {
		return nil
	}
	errs := make([]error, len(a.members))
	var wg sync.WaitGroup
	for i := range a.members {
		wg.Go(func() {
			errs[i] = inBatches(ctx, events, func(ctx context.Context, batch []alert.Event) error {
				return a.post(ctx, a.members[i].target, batch)
			})
		})
	}
	wg.Wait()
	a.report(ctx, errs)
	var refused, away []error
	for _, err := range errs {
		switch {
		case err == nil:
			return nil
		case errors.Is(err, alert.ErrPermanent):
			refused = append(refused, err)
		default:
			away = append(away, err)
		}
	}
	if len(refused) > 0 {
		away = refused
	}
	return fmt.Errorf("notify alertmanager: %w", errors.Join(away...))
}

func (a *Alertmanager) post(ctx context.Context, target *url.URL, events []alert.Event) error {
	alerts := make([]postableAlert, len(events))
	until := time.Now().Add(a.lifetime())
	for i := range events {
		alerts[i] = newPostableAlert(a.dialect, &events[i], until)
	}
	body, err := json.Marshal(alerts)
	if err != nil {
		return &failure{when: never, err: fmt.Errorf("encode alerts: %w", err)}
	}
	return a.client.post(ctx, target, nil, body)
}

// report logs members that begin or cease to fail.
func (a *Alertmanager) report(ctx context.Context, errs []error) {
	if ctx.Err() != nil {
		return // that is us
	}
	for i, err := range errs {
		m := &a.members[i]
		switch {
		case err != nil && !m.down:
			a.logger.Warn("Alertmanager does not take alerts", zap.String("host", m.target.Host), zap.Error(err))
		case err == nil && m.down:
			a.logger.Info("Alertmanager takes alerts again", zap.String("host", m.target.Host))
		}
		m.down = err != nil
	}
}

// newestOf keeps the last event of each rule: what came before it is over.
func newestOf(events []alert.Event) []alert.Event {
	last := make(map[alert.Key]int, len(events))
	for i := range events {
		last[events[i].Key] = i
	}
	out := make([]alert.Event, 0, len(last))
	for i := range events {
		if last[events[i].Key] == i {
			out = append(out, events[i])
		}
	}
	return out
}
