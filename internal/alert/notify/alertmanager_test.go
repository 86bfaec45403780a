package notify

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/aperture-collector/aperture-collector/internal/alert"
)

// wait is how long a real Alertmanager is given, which is much more than it
// takes.
const wait, tick = 20 * time.Second, 20 * time.Millisecond

func TestAlertmanagerTakesDeduplicatesAndResolves(t *testing.T) {
	am := startAlertmanager(t)
	n := only(t, "alertmanager: {endpoints: ['"+am.url+"/']}").(*Alertmanager)
	assert.Equal(t, "alertmanager", n.Name())
	one, two := event(1), event(2)
	two.Key.Tenant = "acme"
	require.NoError(t, n.Notify(t.Context(), []alert.Event{one, two}))

	alerts := am.alerts(t)
	require.Len(t, alerts, 2)
	slices.SortFunc(alerts, func(a, b gettableAlert) int {
		return strings.Compare(a.Labels["aperture_rule_id"], b.Labels["aperture_rule_id"])
	})
	first := alerts[0]
	assert.Equal(t, map[string]string{
		"alertname": "parse is hot", "severity": "warning", "aperture_rule_id": "alert-1",
		"aperture_dialect": "aperture", "aperture_tenant": "anonymous", "service_name": "checkout",
	}, first.Labels)
	assert.Equal(t, map[string]string{
		"summary": "parse takes 41 % of cpu", "value": "0.41", "runbook_url": "https://wiki.example.com/hot",
		"description": "function_share is 0.41, which is gt 0.3.",
		"command":     "aperturectl diff --server=https://aperture.example.com --tenant=anonymous --service=checkout -o svg -f alert.svg",
	}, first.Annotations)
	assert.Equal(t, one.Link, first.GeneratorURL)
	assert.Equal(t, began.Truncate(time.Millisecond), first.StartsAt.UTC())
	assert.WithinRange(t, first.EndsAt, time.Now().Add(3*time.Minute), time.Now().Add(4*time.Minute), "4 times the default interval")
	assert.Equal(t, "acme", alerts[1].Labels["aperture_tenant"])

	require.Eventually(t, func() bool { return len(am.notifications(t, "alert-1")) == 1 }, wait, tick)

	// Sent again, it is the same alert, which lives longer.
	require.NoError(t, n.Repeat(t.Context(), time.Now(), []alert.Event{one, two}))
	repeated := am.alerts(t)
	require.Len(t, repeated, 2)
	for _, r := range repeated {
		if r.Labels["aperture_rule_id"] == "alert-1" {
			assert.Equal(t, first.Fingerprint, r.Fingerprint)
			assert.True(t, r.EndsAt.After(first.EndsAt))
		}
	}

	am.silence(t, "alert-2")
	require.Eventually(t, func() bool {
		return slices.ContainsFunc(am.alerts(t), func(a gettableAlert) bool {
			return a.Labels["aperture_rule_id"] == "alert-2" && a.Status.State == "suppressed" && len(a.Status.SilencedBy) == 1
		})
	}, wait, tick)

	end := resolved(one)
	end.At = time.Now()
	require.NoError(t, n.Notify(t.Context(), []alert.Event{end}))
	require.Eventually(t, func() bool { return len(am.alerts(t)) == 1 }, wait, tick)
	require.Eventually(t, func() bool {
		return slices.Equal([]string{"firing", "resolved"}, am.notifications(t, "alert-1"))
	}, wait, tick, "told once that it fires, though it was sent twice, and once that it ended")

	// Another collector knows the same alerts.
	other := only(t, "alertmanager: {endpoints: ['"+am.url+"']}")
	end = resolved(two)
	end.At = time.Now()
	require.NoError(t, other.Notify(t.Context(), []alert.Event{end}))
	require.Eventually(t, func() bool { return len(am.alerts(t)) == 0 }, wait, tick)

	// A repetition that was on its way does not wake it.
	n.repeated = time.Time{}
	require.NoError(t, n.Repeat(t.Context(), time.Now(), []alert.Event{one}))
	assert.Empty(t, am.alerts(t))
	// The next time it fires it does.
	again := one
	again.Seq, again.Episode = 5, 5
	again.At, again.StartsAt = time.Now(), time.Now()
	n.repeated = time.Time{}
	require.NoError(t, n.Repeat(t.Context(), time.Now(), []alert.Event{again}))
	assert.Len(t, am.alerts(t), 1)
}

// Alerts of a collector that died end by themselves.
func TestAlertmanagerEndsWhatNobodyRepeats(t *testing.T) {
	am := startAlertmanager(t)
	n := only(t, "alertmanager: {endpoints: ['"+am.url+"'], repeat_interval: 1s}")
	require.NoError(t, n.Notify(t.Context(), events(1)))
	require.Len(t, am.alerts(t), 1)
	require.Eventually(t, func() bool { return len(am.alerts(t)) == 0 }, wait, tick)
	require.Eventually(t, func() bool {
		return slices.Equal([]string{"firing", "resolved"}, am.notifications(t, "alert-1"))
	}, wait, tick)
}

func TestAlertmanagerTakesHostileAlerts(t *testing.T) {
	am := startAlertmanager(t)
	n := only(t, "alertmanager: {endpoints: ['"+am.url+"']}")
	hostile := events(300)
	for i := range hostile {
		e := &hostile[i]
		e.RuleName = "a\xff\n\"quoted\" <b>" + "é"
		e.Link = []string{"", "::", "javascript:alert(1)", "/relative", "http://x/\x00", "http://é.example.com/a b?c=d e"}[i%6]
		e.Labels = map[string]string{
			"alertname": "mine", "severity": "mine", "aperture_rule_id": "mine", "aperture_tenant": "mine",
			"": "empty", "9": "digit", "a.b": "dot", "a-b": "hyphen", "a_b": "right", "é": "name", "\xff": "\xff", "none": "",
			"newline": "a\nb", "nul": "a\x00b",
		}
		e.Annotations = map[string]string{"summary": "my own", "a.b\xff": "\xff", "": ""}
		e.Value = []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, 1e308, -1}[i%6]
		if i%7 == 0 {
			e.StartsAt = time.Time{}
		}
		if i%5 == 0 {
			*e = resolved(*e)
			e.At = e.StartsAt.Add(-time.Hour) // a clock that went back
		}
	}
	require.NoError(t, n.Notify(t.Context(), hostile))
	alerts := am.alerts(t)
	require.Len(t, alerts, 240)
	for _, a := range alerts {
		assert.Equal(t, "a\uFFFD\n\"quoted\" <b>é", a.Labels["alertname"])
		assert.NotEqual(t, "mine", a.Labels["aperture_rule_id"])
		for name, value := range map[string]string{
			"severity": "warning", "exported_severity": "mine", "exported_alertname": "mine", "exported_aperture_rule_id": "mine",
			"aperture_tenant": "anonymous", "exported_aperture_tenant": "mine", "_9": "digit", "a_b": "right", "exported_a_b": "hyphen", "exported_exported_a_b": "dot",
			"newline": "a\nb", "nul": "a\x00b",
		} {
			assert.Equal(t, value, a.Labels[name], name)
		}
		assert.NotContains(t, a.Labels, "none")
		assert.Equal(t, "my own", a.Annotations["summary"])
		require.False(t, t.Failed())
	}
}

// One bad alert is refused, with its 99 good neighbours in the same request.
func TestAlertmanagerRefusal(t *testing.T) {
	am := startAlertmanager(t)
	n := only(t, "alertmanager: {endpoints: ['"+am.url+"']}")
	bad := events(100)
	bad[42].At = time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC) // not RFC 3339
	bad[42].StartsAt = bad[42].At
	err := n.Notify(t.Context(), bad)
	require.ErrorIs(t, err, alert.ErrPermanent)
	assert.ErrorContains(t, err, "1 of 100 alerts")
	assert.Len(t, am.alerts(t), 99)
}

func TestAlertmanagerCluster(t *testing.T) {
	a, b := newReceiver(t, status(http.StatusOK)), newReceiver(t, nil)
	codes := map[string]int{}
	b.Config.Handler = b.handler(func(_ int, w http.ResponseWriter, r *request) { w.WriteHeader(codes["b"]) })
	n := only(t, "alertmanager: {endpoints: ['"+a.URL+"/one', '"+b.URL+"']}")
	tests := []struct {
		b    int
		stop bool // of a
		want bool
		perm bool
	}{
		{b: 200, want: true},
		{b: 500, want: true},
		{b: 400, want: true},
		{b: 500, stop: true},
		{b: 429},
		{b: 404},
		{b: 400, perm: true},
		{b: 200, want: true},
	}
	for _, tt := range tests {
		codes["b"] = tt.b
		if tt.stop {
			a.Close()
		}
		err := n.Notify(t.Context(), events(1))
		assert.Equal(t, tt.want, err == nil, "%+v: %v", tt, err)
		if err != nil {
			assert.Equal(t, tt.perm, errorIsPermanent(err), "%+v: %v", tt, err)
		}
	}
	require.NotEmpty(t, a.all())
	assert.Equal(t, "/one/api/v2/alerts", a.all()[0].path)
	assert.Len(t, b.all(), len(tests), "all are asked, whatever others say")
}

// A member that hangs costs its timeout, and the others nothing.
func TestAlertmanagerHangingMember(t *testing.T) {
	good := newReceiver(t, nil)
	hangs := newReceiver(t, func(_ int, _ http.ResponseWriter, r *request) { <-r.gone })
	n := only(t, "alertmanager: {endpoints: ['"+hangs.URL+"', '"+good.URL+"'], timeout: 500ms}").(*Alertmanager)
	core, logs := observer.New(zap.InfoLevel)
	n.logger = zap.New(core)
	for range 2 {
		require.NoError(t, n.Notify(t.Context(), events(100)))
	}
	assert.Len(t, good.all(), 4)
	assert.Len(t, hangs.all(), 2, "what comes after the first batch is not tried")
	assert.Equal(t, 1, logs.FilterMessage("Alertmanager does not take alerts").Len(), "logged when it changes")
	hangs.Config.Handler = hangs.handler(nil)
	require.NoError(t, n.Notify(t.Context(), events(1)))
	assert.Equal(t, 1, logs.FilterMessage("Alertmanager takes alerts again").Len())
	assert.Equal(t, 2, logs.Len())
}

func TestAlertmanagerRepeats(t *testing.T) {
	code := http.StatusOK
	r := newReceiver(t, func(_ int, w http.ResponseWriter, _ *request) { w.WriteHeader(code) })
	n := only(t, "alertmanager: {endpoints: ['"+r.URL+"'], repeat_interval: 1m}").(*Alertmanager)
	repeat := func(after time.Duration, firing int) int {
		before := len(r.all())
		err := n.Repeat(t.Context(), began.Add(after), events(firing))
		assert.Equal(t, code == http.StatusOK || code == http.StatusBadRequest, err == nil, err)
		return len(r.all()) - before
	}
	assert.Equal(t, 16, repeat(0, 1000), "at once, in batches")
	assert.Zero(t, repeat(59*time.Second, 1000))
	assert.Equal(t, 1, repeat(time.Minute, 1))
	code = http.StatusServiceUnavailable
	assert.Equal(t, 1, repeat(2*time.Minute, 1))
	assert.Equal(t, 1, repeat(2*time.Minute+time.Second, 1), "again, since it failed")
	code = http.StatusBadRequest
	assert.Equal(t, 1, repeat(2*time.Minute+2*time.Second, 1))
	assert.Zero(t, repeat(2*time.Minute+3*time.Second, 1), "refused for good")
	code = http.StatusOK
	assert.Equal(t, 1, repeat(-time.Hour, 1), "the clock went back")
	assert.Zero(t, repeat(time.Hour, 0))
	for _, req := range r.all()[:16] {
		var alerts []postableAlert
		require.NoError(t, json.Unmarshal(req.body, &alerts))
		assert.LessOrEqual(t, len(alerts), batchSize)
	}
}

// Who waits for the turn can be stopped.
func TestAlertmanagerStopsWaiting(t *testing.T) {
	n := only(t, "alertmanager: {endpoints: ['http://localhost:1']}").(*Alertmanager)
	n.turn <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, n.Notify(ctx, events(1)), context.Canceled)
	require.ErrorIs(t, n.Repeat(ctx, began, events(1)), context.Canceled)
}

func TestAlertmanagerKnowsOnlyTheNewest(t *testing.T) {
	r := newReceiver(t, nil)
	n := only(t, "alertmanager: {endpoints: ['"+r.URL+"']}").(*Alertmanager)
	one, two := event(1), event(2)
	require.NoError(t, n.Notify(t.Context(), []alert.Event{one, two, resolved(one)}))
	var alerts []postableAlert
	require.NoError(t, json.Unmarshal(r.all()[0].body, &alerts))
	require.Len(t, alerts, 2)
	assert.Equal(t, "alert-2", alerts[0].Labels["aperture_rule_id"])
	assert.Equal(t, timestamp(resolved(one).At), alerts[1].EndsAt)

	// What has ended is forgotten when no repetition can be under way.
	n.repeat = 0
	require.NoError(t, n.Notify(t.Context(), []alert.Event{two}))
	assert.Empty(t, n.ended)
}
