package apertureapiextension

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/aperture-collector/aperture-collector/extension/apertureapiextension/internal/metadatatest"
	"github.com/aperture-collector/aperture-collector/internal/alert/notify"
	"go.opentelemetry.io/collector/component/componenttest"
)

// soon is how often rules are evaluated where tests wait for it.
const soon = time.Second

const secret = "0123456789abcdef"

// alertTo evaluates soon and tells a webhook.
func alertTo(h *hook) func(*Config) {
	return func(c *Config) {
		c.Alerts.EvaluationInterval, c.Alerts.EvaluationDelay = soon, 0
		c.Alerts.Notify.Webhooks = map[string]notify.WebhookConfig{"test": webhook(func(c *notify.WebhookConfig) {
			c.ClientConfig.Endpoint, c.Secret = h.URL, secret
		})}
	}
}

// Rules fire by themselves, and of two replicas over one store only one says so.
func TestReplicasFireOnce(t *testing.T) {
	h := newHook(t)
	store := newAlertingStore()
	one := start(t, options{store: store, config: alertTo(h)})
	shared := &alertingStore{newMemoryStore(), store.alerts}
	two := start(t, options{store: shared, config: alertTo(h)})
	for i := range 5 {
		one.create(t, always(fmt.Sprint("rule ", i)))
	}
	require.Eventually(t, func() bool { return strings.Count(h.all(), `"status":"firing"`) == 5 }, 20*time.Second, 10*time.Millisecond)
	// Both know them, and asking them to evaluate makes no more of them.
	for range 3 {
		assert.Len(t, one.evaluate(t).Fired, 5)
		assert.Len(t, two.evaluate(t).Fired, 5)
	}
	assert.Len(t, two.rules(t), 5)
	assert.Equal(t, one.events(t, ""), two.events(t, ""))
	require.Len(t, one.events(t, "?phase=all"), 5)
	assert.Equal(t, 5, strings.Count(h.all(), `"status":"firing"`))

	// Values are those of both: each was scraped with 4 errors and 12 rows pending.
	require.Eventually(t, func() bool { return one.evaluate(t).Snapshot[pushErrorsTotal] == 8 }, 20*time.Second, 50*time.Millisecond)
	got := two.evaluate(t)
	assert.InDelta(t, 24.0, got.Snapshot[clickHousePendingRows], 0)
	assert.InDelta(t, 4./1504, got.Snapshot[pushErrorRate], 1e-12)

	h.mu.Lock()
	defer h.mu.Unlock()
	require.NotEmpty(t, h.bodies)
	for i, body := range h.bodies {
		at, signature, ok := strings.Cut(h.heads[i].Get("X-Aperture-Signature"), ",v1=")
		require.True(t, ok)
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(strings.TrimPrefix(at, "t=") + "." + body))
		assert.Equal(t, hex.EncodeToString(mac.Sum(nil)), signature)
	}
}

// A replica that is shut down is counted no longer, and the other goes on.
func TestReplicaLeaves(t *testing.T) {
	store := newAlertingStore()
	every := func(c *Config) { c.Alerts.EvaluationInterval = soon }
	one := start(t, options{store: store, config: every})
	two := start(t, options{store: &alertingStore{newMemoryStore(), store.alerts}, config: every})
	require.Eventually(t, func() bool { return one.evaluate(t).Snapshot[pushErrorsTotal] == 8 }, 20*time.Second, 50*time.Millisecond)
	require.NoError(t, two.alerts.shutdown(context.Background()))
	assert.InDelta(t, 4.0, one.evaluate(t).Snapshot[pushErrorsTotal], 0)
	one.create(t, always("after"))
	require.Eventually(t, func() bool { return len(one.events(t, "")) == 1 }, 20*time.Second, 10*time.Millisecond)
}

func TestAlertTelemetry(t *testing.T) {
	tel := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, tel.Shutdown(context.Background())) })
	h := newHook(t)
	set := extensiontest.NewNopSettings(apiID.Type())
	set.TelemetrySettings = tel.NewTelemetrySettings()
	f := start(t, options{settings: &set, config: alertTo(h)})
	f.create(t, always("one"))
	require.Eventually(t, func() bool { return strings.Contains(h.all(), `"status":"firing"`) }, 20*time.Second, 10*time.Millisecond)
	ignore := []metricdatatest.Option{metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars(), metricdatatest.IgnoreValue()}
	require.Eventually(t, func() bool {
		_, err := tel.GetMetric("otelcol_extension_aperture_api_alert_deliveries")
		return err == nil
	}, 20*time.Second, 10*time.Millisecond)
	metadatatest.AssertEqualExtensionApertureAPIAlertFiring(t, tel, []metricdata.DataPoint[int64]{{}}, ignore...)
	metadatatest.AssertEqualExtensionApertureAPIAlertRules(t, tel, []metricdata.DataPoint[int64]{{}}, ignore...)
	for name, want := range map[string]int64{"alert_events": 1, "alert_deliveries": 1, "alert_rules": 1, "alert_firing": 1} {
		m, err := tel.GetMetric("otelcol_extension_aperture_api_" + name)
		require.NoError(t, err)
		switch d := m.Data.(type) {
		case metricdata.Sum[int64]:
			require.Len(t, d.DataPoints, 1)
			assert.Equal(t, want, d.DataPoints[0].Value, name)
		case metricdata.Gauge[int64]:
			require.Len(t, d.DataPoints, 1)
			assert.Equal(t, want, d.DataPoints[0].Value, name)
		default:
			assert.Fail(t, "unexpected kind of metric", name)
		}
	}
	m, err := tel.GetMetric("otelcol_extension_aperture_api_alert_evaluations")
	require.NoError(t, err)
	assert.NotEmpty(t, m.Data.(metricdata.Sum[int64]).DataPoints)
}
