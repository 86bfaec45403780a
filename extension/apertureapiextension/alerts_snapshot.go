package apertureapiextension

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/alert"
)

// The metrics of rules on the system itself, in the order of the reference.
const (
	bufferUtilization     = "buffer_utilization"
	pushErrorRate         = "push_error_rate"
	pushErrorsTotal       = "push_errors_total"
	clickHouseFlushErrors = "clickhouse_flush_errors"
	clickHousePendingRows = "clickhouse_pending_rows"
	eventThroughput       = "event_throughput"
)

// What replicas say beside the metrics; the rate of errors is made of it.
const (
	recentPushesOK   = "push_ok_recent"
	recentPushErrors = "push_errors_recent"
)

var systemLabels = map[string]string{
	bufferUtilization: "Buffer Utilization", pushErrorRate: "Push Error Rate", pushErrorsTotal: "Push Errors (total)",
	clickHouseFlushErrors: "ClickHouse Flush Errors", clickHousePendingRows: "ClickHouse Pending Rows",
	eventThroughput: "Event Throughput",
}

func systemMetrics() []string {
	return []string{bufferUtilization, pushErrorRate, pushErrorsTotal, clickHouseFlushErrors, clickHousePendingRows, eventThroughput}
}

func isSystemMetric(name string) bool { return systemLabels[name] != "" }

// snapshot is what is known of the system.
type snapshot struct {
	values map[string]float64
	// errs say why there is no value.
	errs map[string]error
}

// MarshalJSON writes the numbers of the reference; what is not known is 0.
func (s *snapshot) MarshalJSON() ([]byte, error) {
	v := func(name string) float { return float(s.values[name]) }
	return json.Marshal(struct {
		BufferUtilization     float `json:"buffer_utilization"`
		PushErrorRate         float `json:"push_error_rate"`
		PushErrorsTotal       float `json:"push_errors_total"`
		ClickHouseFlushErrors float `json:"clickhouse_flush_errors"`
		ClickHousePendingRows float `json:"clickhouse_pending_rows"`
		EventThroughput       float `json:"event_throughput"`
	}{
		v(bufferUtilization), v(pushErrorRate), v(pushErrorsTotal),
		v(clickHouseFlushErrors), v(clickHousePendingRows), v(eventThroughput),
	})
}

// combine makes one snapshot of what the replicas say: the fullest buffer, and
// sums of the rest. What one of them does not know is not known.
func combine(replicas map[string]map[string]float64) *snapshot {
	s := &snapshot{values: make(map[string]float64), errs: make(map[string]error)}
	names := []string{
		bufferUtilization, recentPushesOK, recentPushErrors, pushErrorsTotal,
		clickHouseFlushErrors, clickHousePendingRows, eventThroughput,
	}
	for _, replica := range slices.Sorted(maps.Keys(replicas)) {
		if len(replicas[replica]) == 0 {
			// It has taken its leave.
			continue
		}
		for _, name := range names {
			v, ok := replicas[replica][name]
			switch {
			case !ok:
				s.errs[name] = fmt.Errorf("replica %s does not know `%s`", replica, name)
			case name == bufferUtilization:
				s.values[name] = max(s.values[name], v)
			default:
				s.values[name] += v
			}
		}
	}
	if all := s.values[recentPushesOK] + s.values[recentPushErrors]; all > 0 {
		s.values[pushErrorRate] = s.values[recentPushErrors] / all
	}
	if err := errors.Join(s.errs[recentPushesOK], s.errs[recentPushErrors]); err != nil {
		s.errs[pushErrorRate] = err
	}
	return s
}

// throughput is how many events per second there were between two snapshots. It
// is safe for concurrent use.
type throughput struct {
	mu     sync.Mutex
	at     time.Time
	events float64
	rate   float64
	known  bool
}

// minRateSpan is the least time between two snapshots that tell a rate.
const minRateSpan = time.Second

// observe takes a counter and returns its rate, if it is known.
func (t *throughput) observe(at time.Time, events float64) (rate float64, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	span := at.Sub(t.at)
	switch {
	case span <= 0:
		// Seen before.
	case events < t.events, t.at.IsZero():
		// The first one, or the counter began anew.
		t.at, t.events = at, events
	case span >= minRateSpan:
		t.rate, t.known = (events-t.events)/span.Seconds(), true
		t.at, t.events = at, events
	}
	return t.rate, t.known
}

// own returns what this replica knows of itself.
func (a *alerts) own(ctx context.Context) map[string]float64 {
	values := map[string]float64{bufferUtilization: a.api.views.stats().Utilization}
	s, err := a.api.scrape.get(ctx)
	if err != nil {
		return values
	}
	values[pushErrorsTotal] = s.pushes("error")
	span := max(minPushSpan, a.api.cfg.Alerts.EvaluationInterval)
	values[recentPushesOK], values[recentPushErrors] = a.pushes.observe(s.at, s.pushes("ok"), values[pushErrorsTotal], span)
	values[clickHouseFlushErrors] = s.flushes("error")
	values[clickHousePendingRows] = s.pendingRows()
	if rate, known := a.throughput.observe(s.at, s.sum(sourcePushEvents, nil)); known {
		values[eventThroughput] = rate
	}
	return values
}

// snapshot returns what the replicas together know now.
func (a *alerts) snapshot(ctx context.Context) (*snapshot, error) {
	replicas, err := a.store.Published(ctx, alertDialect, publishedFor*a.api.cfg.Alerts.EvaluationInterval)
	if err != nil {
		return nil, fmt.Errorf("read metrics of the replicas: %w", err)
	}
	all := map[string]map[string]float64{a.replica: a.own(ctx)}
	for name, values := range replicas {
		if name != a.replica {
			all[name] = values
		}
	}
	return combine(all), nil
}

// publish tells the other replicas what this one knows of itself, until ctx ends.
func (a *alerts) publish(ctx context.Context) {
	ticker := time.NewTicker(a.api.cfg.Alerts.EvaluationInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		attempt, cancel := context.WithTimeout(ctx, a.api.cfg.Alerts.EvaluationInterval)
		// While the store is away there is nobody to tell: the engine's log has it.
		_ = a.store.Publish(attempt, alertDialect, a.replica, a.own(attempt))
		cancel()
	}
}

// systemMessage is the sentence of an event, as the reference has it.
func systemMessage(r *alert.Rule, metric string, value float64) string {
	return fmt.Sprintf("%s: %s %s %s (current: %.2f)", r.Name, systemLabels[metric], r.Operator.Symbol(),
		strconv.FormatFloat(r.Threshold, 'f', -1, 64), value)
}
