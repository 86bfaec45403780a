package notify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/alert"
)

const secret = "a secret of 24 bytes ..."

// quick retries without long pauses.
const quick = "retry_on_failure: {initial_interval: 1ms, max_interval: 5ms, max_elapsed_time: 20s}"

func hook(url, more string) string {
	return fmt.Sprintf("webhooks: {ops: {endpoint: '%s', secret: '%s', %s}}", url, secret, more)
}

func TestWebhookMessage(t *testing.T) {
	r := newReceiver(t, nil)
	n := only(t, hook(r.URL+"/in?token=x", quick))
	assert.Equal(t, "webhook/ops", n.Name())
	fires := event(1)
	ends := resolved(fires)
	ends.Value, ends.Labels, ends.Annotations, ends.Link = math.NaN(), nil, nil, ""
	ends.Message = "a\xff</script>;\n\""
	require.NoError(t, n.Notify(t.Context(), []alert.Event{fires, ends}))

	require.Len(t, r.all(), 1)
	got := r.all()[0]
	assert.JSONEq(t, `{"version": "1", "alerts": [{
		"id": "aperture/anonymous/alert-1/3", "key": "aperture/anonymous/alert-1/3", "status": "firing",
		"rule": {"dialect": "aperture", "tenant": "anonymous", "id": "alert-1", "name": "parse is hot", "metric": "function_share"},
		"value": 0.41, "threshold": 0.3, "operator": "gt", "message": "parse takes 41 % of cpu", "severity": "warning",
		"labels": {"service.name": "checkout"}, "annotations": {"runbook_url": "https://wiki.example.com/hot"},
		"starts_at": "2026-03-04T05:06:07.000000089Z", "at": "2026-03-04T05:06:07.000000089Z",
		"link": "https://aperture.example.com/api/export/svg?service=checkout"
	}, {
		"id": "aperture/anonymous/alert-1/4", "key": "aperture/anonymous/alert-1/3", "status": "resolved",
		"rule": {"dialect": "aperture", "tenant": "anonymous", "id": "alert-1", "name": "parse is hot", "metric": "function_share"},
		"value": null, "threshold": 0.3, "operator": "gt", "message": "a\ufffd</script>;\n\"", "severity": "warning",
		"labels": {}, "annotations": {},
		"starts_at": "2026-03-04T05:06:07.000000089Z", "at": "2026-03-04T05:07:07.000000089Z"
	}]}`, string(got.body))
	assert.Equal(t, "application/json", got.header.Get("Content-Type"))
	assert.Equal(t, "aperture-collector", got.header.Get("User-Agent"))
	assert.Len(t, got.header.Get("Idempotency-Key"), 32)

	var at int64
	_, err := fmt.Sscanf(got.header.Get(signatureHeader), "t=%d,v1=", &at)
	require.NoError(t, err)
	assert.InDelta(t, time.Now().Unix(), at, 60)
	assert.Equal(t, sign(secret, time.Unix(at, 0), got.body), got.header.Get(signatureHeader))
	// Known from another implementation: printf '1700000000.{}' | openssl dgst -sha256 -hmac key
	assert.Equal(t, "t=1700000000,v1=9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae", sign("key", time.Unix(1700000000, 0), []byte("{}")))
}

func TestWebhookWithoutSecretIsNotSigned(t *testing.T) {
	r := newReceiver(t, nil)
	require.NoError(t, only(t, "webhooks: {a: {endpoint: "+r.URL+"}}").Notify(t.Context(), events(1)))
	assert.Empty(t, r.all()[0].header.Get(signatureHeader))
}

func TestWebhookRetries(t *testing.T) {
	codes := []int{500, 503, 408, 425, 429, 599}
	r := newReceiver(t, func(n int, w http.ResponseWriter, _ *request) {
		if n <= len(codes) {
			w.WriteHeader(codes[n-1])
		}
	})
	n := only(t, hook(r.URL, quick))
	require.NoError(t, n.Notify(t.Context(), events(3)))
	require.Len(t, r.all(), len(codes)+1)
	for _, again := range r.all()[1:] {
		assert.Equal(t, r.all()[0].header.Get("Idempotency-Key"), again.header.Get("Idempotency-Key"))
		assert.Equal(t, r.all()[0].body, again.body)
	}
	require.NoError(t, n.Notify(t.Context(), events(2)))
	last := r.all()[len(codes)+1]
	assert.NotEqual(t, r.all()[0].header.Get("Idempotency-Key"), last.header.Get("Idempotency-Key"))
}

// Statuses that no time changes are not tried again by the webhook. Those which
// people can change are not permanent.
func TestWebhookStatuses(t *testing.T) {
	for code, permanent := range map[int]bool{
		301: false, 302: false, 307: false, 308: false, 400: true, 401: false, 403: false, 404: false, 405: false,
		407: false, 410: true, 413: true, 415: true, 422: true,
	} {
		r := newReceiver(t, func(_ int, w http.ResponseWriter, _ *request) {
			w.WriteHeader(code)
			_, _ = w.Write([]byte("because\n"))
		})
		err := only(t, hook(r.URL, quick)).Notify(t.Context(), events(1))
		require.Error(t, err)
		assert.Equal(t, permanent, errors.Is(err, alert.ErrPermanent), "%d: %v", code, err)
		assert.ErrorContains(t, err, fmt.Sprintf(`status %d: "because"`, code))
		assert.Len(t, r.all(), 1)
	}
}

func TestWebhookBatches(t *testing.T) {
	var seen []string
	r := newReceiver(t, func(_ int, w http.ResponseWriter, r *request) {
		if bytes.Contains(r.body, []byte(`/alert-77/`)) || bytes.Contains(r.body, []byte(`/alert-150/`)) {
			w.WriteHeader(http.StatusUnprocessableEntity)
			return
		}
		var m message
		if !assert.NoError(t, json.Unmarshal(r.body, &m)) {
			return
		}
		for _, a := range m.Alerts {
			seen = append(seen, a.Rule.ID)
		}
	})
	n := only(t, hook(r.URL, quick))
	err := n.Notify(t.Context(), events(200))
	require.ErrorIs(t, err, alert.ErrPermanent)
	require.ErrorContains(t, err, "2 of 200 alerts")
	require.Len(t, seen, 198, "the others got through, once, in their order")
	at := 0
	for _, e := range events(200) {
		if at < len(seen) && seen[at] == e.Key.ID {
			at++
		}
	}
	assert.Equal(t, 198, at)
	require.NoError(t, n.Notify(t.Context(), nil))
}

func TestWebhookRetryAfter(t *testing.T) {
	wait := func(header string) func(int, http.ResponseWriter, *request) {
		return func(n int, w http.ResponseWriter, _ *request) {
			if n == 1 {
				w.Header().Set("Retry-After", header)
				w.WriteHeader(http.StatusTooManyRequests)
			}
		}
	}
	t.Run("waits", func(t *testing.T) {
		r := newReceiver(t, wait("1"))
		start := time.Now()
		require.NoError(t, only(t, hook(r.URL, quick)).Notify(t.Context(), events(1)))
		assert.Len(t, r.all(), 2)
		assert.GreaterOrEqual(t, time.Since(start), time.Second)
	})
	for _, header := range []string{"3600", "2147483647", "Fri, 31 Dec 2199 23:59:59 GMT"} {
		t.Run("longer than it may: "+header, func(t *testing.T) {
			r := newReceiver(t, wait(header))
			err := only(t, hook(r.URL, quick)).Notify(t.Context(), events(1))
			require.ErrorContains(t, err, "status 429")
			assert.NotErrorIs(t, err, alert.ErrPermanent)
			assert.Len(t, r.all(), 1)
		})
	}
	for _, header := range []string{"", "-1", "soon", "99999999999999999999", "Fri, 31 Dec 1999 23:59:59 GMT"} {
		t.Run("of no meaning: "+header, func(t *testing.T) {
			r := newReceiver(t, wait(header))
			require.NoError(t, only(t, hook(r.URL, quick)).Notify(t.Context(), events(1)))
		})
	}
}

func TestWebhookFollowsNoRedirect(t *testing.T) {
	other := newReceiver(t, nil)
	r := newReceiver(t, func(_ int, w http.ResponseWriter, _ *request) {
		w.Header().Set("Location", other.URL)
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	err := only(t, hook(r.URL, quick)).Notify(t.Context(), events(1))
	require.ErrorContains(t, err, "status 307")
	assert.Empty(t, other.all())
}

func TestConcurrentUse(t *testing.T) {
	r := newReceiver(t, nil)
	notifiers := build(t, "alertmanager: {endpoints: ['"+r.URL+"'], repeat_interval: 1s}\n"+hook(r.URL, quick))
	require.Len(t, notifiers, 2)
	var wg sync.WaitGroup
	for i := range 8 {
		for _, n := range notifiers {
			wg.Go(func() {
				e := event(i)
				assert.NoError(t, n.Notify(t.Context(), []alert.Event{e}))
				if rep, ok := n.(alert.Repeater); ok {
					assert.NoError(t, rep.Repeat(t.Context(), began.Add(time.Duration(i)*time.Hour), []alert.Event{e}))
				}
				assert.NoError(t, n.Notify(t.Context(), []alert.Event{resolved(e)}))
			})
		}
	}
	wg.Wait()
}
