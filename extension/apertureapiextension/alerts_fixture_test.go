package apertureapiextension

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/alert"
)

// alertingStore is a memoryStore that keeps alerts as well, with a switch that
// takes them away.
type alertingStore struct {
	*memoryStore
	alerts alert.Store
}

func newAlertingStore() *alertingStore {
	return &alertingStore{newMemoryStore(), alert.NewMemory()}
}

// AlertStore implements [alert.Provider].
func (s *alertingStore) AlertStore() alert.Store { return s.alerts }

// listedRule is what a client finds in the list of rules.
type listedRule struct {
	ID             string
	Name           string
	Metric         string
	Operator       string
	Threshold      float64
	Severity       string
	Enabled        bool
	CreatedAt      int64 `json:"created_at"`
	State          string
	Since          *int64
	Value          *float64
	LastEvaluation *int64 `json:"last_evaluation"`
	LastError      string `json:"last_error"`
	Service        string
	Window         string
}

type firedEvent struct {
	RuleID    string `json:"rule_id"`
	RuleName  string `json:"rule_name"`
	Severity  string
	Metric    string
	Value     float64
	Threshold float64
	Operator  string
	Message   string
	FiredAt   int64 `json:"fired_at"`
	Phase     string
	StartsAt  int64 `json:"starts_at"`
	Link      string
}

type evaluation struct {
	Fired    []firedEvent
	Snapshot map[string]float64
	Errors   map[string]string
}

func decode[T any](t *testing.T, body string) T {
	t.Helper()
	var v T
	require.NoError(t, json.Unmarshal([]byte(body), &v), body)
	return v
}

// highBuffer is the rule of the reference.
const highBuffer = `{"name":"High buffer usage","metric":"buffer_utilization","operator":"gt","threshold":0.9,"severity":"warning"}`

// always is a rule whose condition is true.
func always(name string) string {
	return `{"name":"` + name + `","metric":"push_errors_total","operator":"gte","threshold":0,"severity":"info"}`
}

// create creates a rule and returns its ID.
func (f *fixture) create(t *testing.T, body string, headers ...string) string {
	t.Helper()
	resp, text := f.do(t, http.MethodPost, "/api/alerts", body, headers...)
	require.Equal(t, http.StatusCreated, resp.StatusCode, text)
	require.Equal(t, "application/json", resp.Header.Get("Content-Type"))
	return decode[map[string]string](t, text)["id"]
}

func (f *fixture) rules(t *testing.T, headers ...string) []listedRule {
	t.Helper()
	return decode[[]listedRule](t, f.get(t, "/api/alerts", headers...))
}

func (f *fixture) events(t *testing.T, query string, headers ...string) []firedEvent {
	t.Helper()
	return decode[[]firedEvent](t, f.get(t, "/api/alerts/history"+query, headers...))
}

func (f *fixture) evaluate(t *testing.T, headers ...string) evaluation {
	t.Helper()
	resp, text := f.do(t, http.MethodPost, "/api/alerts/evaluate", "", headers...)
	require.Equal(t, http.StatusOK, resp.StatusCode, text)
	return decode[evaluation](t, text)
}

// hook is a webhook that remembers what it was sent.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
	heads  []http.Header
}

func newHook(t *testing.T) *hook {
	h := &hook{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.bodies, h.heads = append(h.bodies, string(body)), append(h.heads, r.Header.Clone())
	}))
	t.Cleanup(h.Close)
	return h
}

// all returns everything the hook was sent.
func (h *hook) all() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.bodies, "\n")
}
