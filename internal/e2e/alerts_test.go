package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/aperturewire"
	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
)

const hookSecret = "0123456789abcdef"

// told is an alert as a webhook is told of it.
type told struct {
	ID, Key, Status, Message, Link string
	Rule                           struct{ Name, Metric string }
	Value                          float64
	Labels                         map[string]string
}

// alertHook is a webhook that takes what is signed, by ID: an alert that is told
// again is the same one.
type alertHook struct {
	*httptest.Server
	mu     sync.Mutex
	alerts map[string]told
	wrong  []string
}

func newAlertHook(t *testing.T) *alertHook {
	t.Helper()
	h := &alertHook{alerts: make(map[string]told)}
	h.Server = httptest.NewServer(http.HandlerFunc(h.take))
	t.Cleanup(h.Close)
	return h
}

func (h *alertHook) take(_ http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var m struct{ Alerts []told }
	at, signature, _ := strings.Cut(r.Header.Get("X-Aperture-Signature"), ",v1=")
	mac := hmac.New(sha256.New, []byte(hookSecret))
	mac.Write(append([]byte(strings.TrimPrefix(at, "t=")+"."), body...))
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err != nil, json.Unmarshal(body, &m) != nil, r.Method != http.MethodPost:
		h.wrong = append(h.wrong, fmt.Sprintf("%s %q: %v", r.Method, body, err))
	case signature != hex.EncodeToString(mac.Sum(nil)):
		h.wrong = append(h.wrong, "signature "+signature)
	}
	for _, a := range m.Alerts {
		h.alerts[a.ID] = a
	}
}

// with returns the alerts of a status.
func (h *alertHook) with(status string) (found []told) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range h.alerts {
		if a.Status == status {
			found = append(found, a)
		}
	}
	return found
}

// pushBusy pushes samples of now: some of main, and some of busy below it.
func (c *collector) pushBusy(agent string, sequence uint64, idle, busy int) {
	c.tb.Helper()
	var e aperturewire.Encoder
	payload := e.AppendHeader(nil, sequence, idle+busy)
	sample := aperturewire.CPUSample{
		PID: 7, TID: 7, Comm: "app", User: []uint64{0x1000, 0x2000},
		UserSymbols: []aperturewire.Symbol{aperturewire.Some("busy [app]"), aperturewire.Some("main [app]")},
	}
	for i := range idle + busy {
		if i == busy {
			sample.User, sample.UserSymbols = sample.User[1:], sample.UserSymbols[1:]
		}
		sample.Timestamp = uint64(time.Now().UnixNano())
		payload = e.AppendCPU(payload, &sample)
	}
	resp, err := c.client().Push(c.tb.Context(), &aggregatorv1.PushRequest{AgentId: agent, Sequence: sequence, Payload: payload})
	require.NoError(c.tb, err)
	require.True(c.tb, resp.GetOk(), resp.GetError())
}

// rules asks GET /api/alerts.
func (c *collector) rules() (list []struct {
	ID, Name, State string
	Value           *float64
},
) {
	c.tb.Helper()
	code, body := c.get("/api/alerts")
	require.Equal(c.tb, http.StatusOK, code, "%s", body)
	require.NoError(c.tb, json.Unmarshal(body, &list), "%s", body)
	return list
}

// A rule on a function fires by itself, a webhook is told, signed, and the alert
// survives SIGKILL and is resolved after it.
func TestAlertOnAFunction(t *testing.T) {
	h := newAlertHook(t)
	c := newCollector(t, "all-in-one.yaml", withoutEBPF, fmt.Sprintf("yaml:extensions::aperture_api::alerts: "+
		"{evaluation_interval: 1s, external_url: https://profiles.example.com, webhooks: {ops: {endpoint: %q, secret: %q}}}", h.URL, hookSecret))
	c.startReady()
	code, _, body := c.request(http.MethodPost, "/api/alerts", "", map[string]any{
		"name": "Busy", "metric": "function_share", "function": "busy", "agent_id": "agent-1", "window": "5m",
		"operator": "gt", "threshold": 0.4, "severity": "critical", "alert_labels": map[string]string{"team": "a"},
	})
	require.Equal(t, http.StatusCreated, code, "%s", body)
	assert.JSONEq(t, `{"id":"alert-1"}`, string(body))
	assert.Equal(t, "inactive", c.rules()[0].State)

	c.pushBusy("agent-1", 1, 50, 50)
	require.Eventually(t, func() bool { return len(h.with("firing")) == 1 }, 2*time.Minute, 100*time.Millisecond)
	fired := h.with("firing")[0]
	assert.Equal(t, "Busy: Function Share of busy (cpu) > 0.4 (current: 0.5)", fired.Message)
	assert.InDelta(t, 0.5, fired.Value, 1e-9)
	assert.Equal(t, "a", fired.Labels["team"])
	c.checkAlertLink(fired.Link)

	c.kill()
	c.startReady()
	var events []struct {
		RuleID string `json:"rule_id"`
	}
	_, body = c.get("/api/alerts/history?phase=all")
	require.NoError(t, json.Unmarshal(body, &events))
	require.Len(t, events, 1)
	assert.Equal(t, "alert-1", events[0].RuleID)
	require.Len(t, c.rules(), 1)
	assert.Equal(t, "firing", c.rules()[0].State)

	c.pushBusy("agent-1", 2, 400, 0)
	require.Eventually(t, func() bool { return len(h.with("resolved")) == 1 }, 2*time.Minute, 100*time.Millisecond)
	assert.Equal(t, fired.Key, h.with("resolved")[0].Key, "the same alert")
	assert.Equal(t, "resolved", c.rules()[0].State)
	assert.Len(t, h.with("firing"), 1, "the kill made no second alert")
	assert.Empty(t, h.wrong)
	c.checkSnapshot()
}

// checkSnapshot sees that the metrics of the collector itself are real: pushes that
// fail, and events that arrive.
func (c *collector) checkSnapshot() {
	c.tb.Helper()
	resp, err := c.client().Push(c.tb.Context(), &aggregatorv1.PushRequest{AgentId: "agent-1", Sequence: 3, Payload: []byte("garbage")})
	require.NoError(c.tb, err)
	require.False(c.tb, resp.GetOk())
	var answer struct{ Snapshot map[string]float64 }
	sequence := uint64(4)
	require.Eventually(c.tb, func() bool {
		c.pushBusy("agent-1", sequence, 10, 0)
		sequence++
		code, _, body := c.request(http.MethodPost, "/api/alerts/evaluate", "", nil)
		require.Equal(c.tb, http.StatusOK, code, "%s", body)
		require.NoError(c.tb, json.Unmarshal(body, &answer))
		return answer.Snapshot["push_errors_total"] == 1 && answer.Snapshot["event_throughput"] > 0
	}, 2*time.Minute, 100*time.Millisecond, "%v", answer.Snapshot)
	assert.Len(c.tb, answer.Snapshot, 6)
	assert.Positive(c.tb, answer.Snapshot["push_error_rate"])
}

// checkAlertLink opens the link of an alert, which leads to a flame graph.
func (c *collector) checkAlertLink(link string) {
	c.tb.Helper()
	u, err := url.Parse(link)
	require.NoError(c.tb, err)
	assert.Equal(c.tb, "profiles.example.com", u.Host)
	code, svg := c.get(u.RequestURI())
	require.Equal(c.tb, http.StatusOK, code, "%s", svg)
	assert.Contains(c.tb, string(svg), "<svg")
	assert.Contains(c.tb, string(svg), "busy")
}
