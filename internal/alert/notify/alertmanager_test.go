package notify

import (
	"math"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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
	slices.SortFunc(alerts, func(a, b gettableAlert) int { return len(a.Labels) - len(b.Labels) })
	first := alerts[0]
	assert.Equal(t, map[string]string{
		"alertname": "parse is hot", "severity": "warning", "aperture_rule_id": "alert-1",
		"aperture_dialect": "aperture", "service_name": "checkout",
	}, first.Labels)
	assert.Equal(t, map[string]string{
		"summary": "parse takes 41 % of cpu", "value": "0.41", "runbook_url": "https://wiki.example.com/hot",
		"description": "function_share is 0.41, which is gt 0.3.",
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

	// A repetition that was on its way does not wake it.
	n.repeated = time.Time{}
	require.NoError(t, n.Repeat(t.Context(), time.Now(), []alert.Event{one, two}))
	assert.Len(t, am.alerts(t), 1)
	// The next time it fires it does.
	again := one
	again.Seq, again.Episode = 5, 5
	again.At, again.StartsAt = time.Now(), time.Now()
	n.repeated = time.Time{}
	require.NoError(t, n.Repeat(t.Context(), time.Now(), []alert.Event{again, two}))
	assert.Len(t, am.alerts(t), 2)
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
			"aperture_tenant": "mine", "_9": "digit", "a_b": "right", "exported_a_b": "hyphen", "exported_exported_a_b": "dot",
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
