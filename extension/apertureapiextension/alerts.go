package apertureapiextension

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"golang.org/x/sync/errgroup"

	"github.com/aperture-collector/aperture-collector/internal/alert"
	"github.com/aperture-collector/aperture-collector/internal/alert/profilerule"
)

const (
	// alertDialect is what the rules of this API are kept under in the store.
	alertDialect = "aperture"
	alertPrefix  = "alert-"
	// publishedFor is for how many intervals counts what a replica says of itself.
	publishedFor = 3
	// graceIntervals is for how many intervals a rule keeps its state for which
	// nothing is observed any more.
	graceIntervals = 2
)

// alerts are the rules of this API and what evaluates them.
type alerts struct {
	api        *api
	store      alert.Store
	engine     *alert.Engine
	notifiers  []alert.Notifier
	profiles   *profilerule.Evaluator
	throughput throughput
	pushes     recentPushes
	// replica is the name of this process among those that share the store.
	replica string

	cancel context.CancelFunc
	group  errgroup.Group
}

// startAlerts starts the evaluation of rules.
func (a *api) startAlerts(ctx context.Context, host component.Host) error {
	cfg := &a.cfg.Alerts
	s := &alerts{api: a, replica: rand.Text()}
	if p, ok := a.store.(alert.Provider); ok {
		s.store = p.AlertStore()
	} else {
		s.store = alert.NewMemory()
		a.logger.Info("Alert rules and their history are kept in memory and are lost on a restart; set `store` to keep them")
	}
	s.profiles = profilerule.New(profilerule.Options{
		Reader: a.reader, Timeout: a.cfg.QueryTimeout, ExternalURL: cfg.base(),
		Delay: cfg.EvaluationDelay, Grace: graceIntervals * cfg.EvaluationInterval,
	})
	var err error
	if s.notifiers, err = cfg.Notify.Build(ctx, alertDialect, host, a.telemetry); err != nil {
		return fmt.Errorf("build `alerts`: %w", err)
	}
	s.engine = alert.New(alert.Config{
		Dialect: alertDialect, IDPrefix: alertPrefix, Store: s.store, Evaluator: s, Notifiers: s.notifiers,
		Interval: cfg.EvaluationInterval, MaxRules: cfg.MaxRules, Observer: a.alertObserver(), Logger: a.logger,
	})
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	s.group.Go(func() error {
		s.publish(run)
		return nil
	})
	s.engine.Start()
	a.alerts = s
	return nil
}

// shutdownTimeout bounds what is said to a store that does not answer.
const shutdownTimeout = 10 * time.Second

// shutdown ends what startAlerts began.
func (a *alerts) shutdown(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, shutdownTimeout)
	defer stop()
	a.cancel()
	err := a.engine.Shutdown(ctx)
	_ = a.group.Wait()
	// Else the others would count us for a while.
	_ = a.store.Publish(ctx, alertDialect, a.replica, nil)
	for _, n := range a.notifiers {
		if c, ok := n.(io.Closer); ok {
			err = errors.Join(err, c.Close())
		}
	}
	return err
}

type snapshotKey struct{}

// withSnapshot returns a context by which rules are evaluated on a snapshot that
// is known already.
func withSnapshot(ctx context.Context, s *snapshot) context.Context {
	return context.WithValue(ctx, snapshotKey{}, s)
}

// Evaluate implements [alert.Evaluator].
func (a *alerts) Evaluate(ctx context.Context, now time.Time, rules []alert.Rule) []alert.Result {
	results := make([]alert.Result, len(rules))
	var profiles []alert.Rule
	var places []int
	var snap *snapshot
	var snapErr error
	for i := range rules {
		var s profilerule.Spec
		if err := json.Unmarshal(rules[i].Spec, &s); err != nil {
			results[i].Err = fmt.Errorf("read rule: %w", err)
			continue
		}
		if !isSystemMetric(s.Metric) {
			profiles, places = append(profiles, rules[i]), append(places, i)
			continue
		}
		if snap == nil && snapErr == nil {
			snap, snapErr = a.snapshotOf(ctx)
		}
		results[i] = systemResult(&rules[i], s.Metric, snap, snapErr)
	}
	for i, res := range a.profiles.Evaluate(ctx, now, profiles) {
		results[places[i]] = res
	}
	return results
}

func (a *alerts) snapshotOf(ctx context.Context) (*snapshot, error) {
	if s, ok := ctx.Value(snapshotKey{}).(*snapshot); ok {
		return s, nil
	}
	return a.snapshot(ctx)
}

func systemResult(r *alert.Rule, metric string, snap *snapshot, err error) alert.Result {
	res := alert.Result{Metric: metric, Err: err}
	if err == nil {
		res.Value, res.Err = snap.values[metric], snap.errs[metric]
	}
	if res.Err == nil {
		res.Message = systemMessage(r, metric, res.Value)
	}
	return res
}

// alertObserver feeds the metrics of alerts.
func (a *api) alertObserver() alert.Observer {
	of := func(name, value string) metric.MeasurementOption {
		return metric.WithAttributes(attribute.String(name, value))
	}
	return alert.Observer{
		Evaluated: func(ctx context.Context, rules, failed int, took time.Duration) {
			ctx = context.WithoutCancel(ctx)
			a.tel.ExtensionApertureAPIAlertEvaluations.Add(ctx, int64(rules-failed), of("status", "ok"))
			a.tel.ExtensionApertureAPIAlertEvaluations.Add(ctx, int64(failed), of("status", "error"))
			a.tel.ExtensionApertureAPIAlertEvaluationDuration.Record(ctx, took.Seconds())
		},
		Failed: func(ctx context.Context, _ error) {
			a.tel.ExtensionApertureAPIAlertFailures.Add(context.WithoutCancel(ctx), 1)
		},
		Rules: func(ctx context.Context, rules, firing int) {
			ctx = context.WithoutCancel(ctx)
			a.tel.ExtensionApertureAPIAlertRules.Record(ctx, int64(rules))
			a.tel.ExtensionApertureAPIAlertFiring.Record(ctx, int64(firing))
		},
		Event: func(ctx context.Context, e alert.Event) {
			a.tel.ExtensionApertureAPIAlertEvents.Add(context.WithoutCancel(ctx), 1, of("phase", string(e.Phase)))
		},
		Delivery: func(ctx context.Context, receiver string, status alert.DeliveryStatus, events int) {
			a.tel.ExtensionApertureAPIAlertDeliveries.Add(context.WithoutCancel(ctx), int64(events),
				metric.WithAttributes(attribute.String("receiver", receiver), attribute.String("delivery_status", string(status))))
		},
	}
}
