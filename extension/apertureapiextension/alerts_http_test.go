package apertureapiextension

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// What the reference shows, from the creation of a rule to its end.
func TestAlertsAsDocumented(t *testing.T) {
	f := start(t, options{store: newAlertingStore()})
	assert.Equal(t, "[]\n", f.get(t, "/api/alerts"))
	assert.Equal(t, "[]\n", f.get(t, "/api/alerts/history"))
	before := time.Now().Unix()

	resp, body := f.do(t, http.MethodPost, "/api/alerts", highBuffer)
	assert.Equal(t, http.StatusCreated, resp.StatusCode)
	assert.JSONEq(t, `{"id":"alert-1"}`, body)
	assert.Equal(t, "alert-2", f.create(t, `{"name":"Pushes","metric":"push_errors_total","operator":"gte","threshold":4,"severity":"critical","colour":"red"}`))

	text := f.get(t, "/api/alerts")
	assert.Regexp(t, `^\[\{"id":"alert-1","name":"High buffer usage","metric":"buffer_utilization","operator":"gt","threshold":0\.9,"severity":"warning","enabled":true,"created_at":\d+,"state":"inactive","since":null,"value":null,`, text)
	rules := f.rules(t)
	require.Len(t, rules, 2)
	assert.GreaterOrEqual(t, rules[1].CreatedAt, before)

	resp, body = f.do(t, http.MethodPost, "/api/alerts/evaluate", "anything")
	require.Equal(t, http.StatusOK, resp.StatusCode, body)
	got := decode[map[string]json.RawMessage](t, body)
	assert.Regexp(t, `^\[\{"rule_id":"alert-2","rule_name":"Pushes","severity":"critical","metric":"push_errors_total","value":4\.0,"threshold":4\.0,"operator":"gte","message":"Pushes: Push Errors \(total\) >= 4 \(current: 4\.00\)","fired_at":\d+,"phase":"firing",`, string(got["fired"]))
	assert.JSONEq(t, `{"buffer_utilization":0,"push_error_rate":`+fmt.Sprint(4./1504)+`,"push_errors_total":4,
		"clickhouse_flush_errors":0,"clickhouse_pending_rows":12,"event_throughput":0}`, string(got["snapshot"]))
	assert.Contains(t, string(got["snapshot"]), `"clickhouse_pending_rows":12.0`)

	// Upstream answers with all that is true, each time; the history has it once.
	assert.Len(t, f.evaluate(t).Fired, 1)
	history := f.events(t, "")
	require.Len(t, history, 1)
	assert.Equal(t, "alert-2", history[0].RuleID)
	assert.GreaterOrEqual(t, history[0].FiredAt, before)
	rules = f.rules(t)
	assert.Equal(t, "firing", rules[1].State)
	assert.InDelta(t, 4.0, *rules[1].Value, 0)
	assert.Equal(t, "inactive", rules[0].State)
	assert.InDelta(t, 0.0, *rules[0].Value, 0)

	resp, body = f.do(t, http.MethodPost, "/api/alerts/alert-2/toggle", "")
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	assert.JSONEq(t, `{"enabled":false}`, body)
	assert.False(t, f.rules(t)[1].Enabled)
	assert.Empty(t, f.evaluate(t).Fired, "a rule that is disabled")
	// What was firing is resolved, which is no alert to clients of the reference.
	assert.Len(t, f.events(t, ""), 1)
	both := f.events(t, "?phase=all")
	require.Len(t, both, 2)
	assert.Equal(t, []string{"resolved", "firing"}, []string{both[0].Phase, both[1].Phase})
	assert.Equal(t, "resolved", f.events(t, "?phase=resolved")[0].Phase)
	resp, body = f.do(t, http.MethodPost, "/api/alerts/alert-2/toggle", "")
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	assert.JSONEq(t, `{"enabled":true}`, body)

	resp, body = f.do(t, http.MethodDelete, "/api/alerts/alert-2", "")
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	assert.JSONEq(t, `{"deleted":true}`, body)
	resp, body = f.do(t, http.MethodDelete, "/api/alerts/alert-2", "")
	assert.Equal(t, http.StatusNotFound, resp.StatusCode)
	assert.JSONEq(t, `{"deleted":false}`, body)
	resp, body = f.do(t, http.MethodPost, "/api/alerts/alert-2/toggle", "")
	assert.Equal(t, http.StatusNotFound, resp.StatusCode)
	assert.Equal(t, "rule not found", errorOf(t, body))
	for _, route := range []string{"DELETE /api/alerts/", "DELETE /api/alerts", "POST /api/alerts/toggle", "POST /api/alerts//toggle"} {
		method, path, _ := strings.Cut(route, " ")
		resp, body = f.do(t, method, path, "")
		assert.Equal(t, http.StatusBadRequest, resp.StatusCode, route)
		assert.Equal(t, "missing rule id", errorOf(t, body), route)
	}
	assert.Equal(t, "alert-3", f.create(t, highBuffer), "an id is not given twice")
	assert.Len(t, f.events(t, ""), 1, "history outlives its rule")
}

func TestAlertsOfTenants(t *testing.T) {
	f := start(t, options{})
	shop, bank := []string{"X-Scope-OrgID", "shop"}, []string{"X-Scope-OrgID", "bank"}
	id := f.create(t, always("of shop"), shop...)
	assert.NotEqual(t, id, f.create(t, always("of bank"), bank...))
	assert.Len(t, f.evaluate(t, shop...).Fired, 1)
	assert.Equal(t, "of shop", f.events(t, "", shop...)[0].RuleName)
	assert.Empty(t, f.events(t, "", bank...))
	assert.Empty(t, f.rules(t))
	assert.Equal(t, "of bank", f.rules(t, bank...)[0].Name)
	for _, route := range []string{"DELETE /api/alerts/", "POST /api/alerts/"} {
		method, path, _ := strings.Cut(route, " ")
		path += id
		if method == http.MethodPost {
			path += "/toggle"
		}
		resp, _ := f.do(t, method, path, "", bank...)
		assert.Equal(t, http.StatusNotFound, resp.StatusCode, path)
	}
	assert.True(t, f.rules(t, shop...)[0].Enabled)
	resp, body := f.do(t, http.MethodGet, "/api/alerts", "", "X-Scope-OrgID", "../x y")
	assert.Equal(t, http.StatusBadRequest, resp.StatusCode, body)
}

func TestAlertLimits(t *testing.T) {
	f := start(t, options{config: func(c *Config) { c.Alerts.MaxRules = 2 }})
	f.create(t, highBuffer)
	f.create(t, highBuffer)
	resp, body := f.do(t, http.MethodPost, "/api/alerts", highBuffer)
	assert.Equal(t, http.StatusConflict, resp.StatusCode)
	assert.Contains(t, errorOf(t, body), "the limit is 2")
	f.create(t, highBuffer, "X-Scope-OrgID", "other")
	resp, body = f.do(t, http.MethodPost, "/api/alerts", `{"name":"`+strings.Repeat("x", maxBody)+`"}`)
	assert.Equal(t, http.StatusRequestEntityTooLarge, resp.StatusCode)
	assert.Contains(t, errorOf(t, body), "the limit is 1048576 bytes")
}

func TestAlertHistory(t *testing.T) {
	f := start(t, options{})
	for i := range 3 {
		f.create(t, always(fmt.Sprint("rule ", i)))
	}
	toggle := func() {
		for i := range 3 {
			resp, body := f.do(t, http.MethodPost, fmt.Sprintf("/api/alerts/alert-%d/toggle", i+1), "")
			require.Equal(t, http.StatusOK, resp.StatusCode, body)
		}
		f.evaluate(t)
	}
	f.evaluate(t)
	for range 5 {
		toggle()
	}
	assert.Len(t, f.events(t, ""), 9, "each has fired three times")
	assert.Len(t, f.events(t, "?phase=all"), 18)
	// The last three events are those of the end of alerts.
	assert.Len(t, f.events(t, "?limit=3"), 3)
	assert.Len(t, f.events(t, "?limit=1"), 1)
	assert.Equal(t, "[]\n", f.get(t, "/api/alerts/history?limit=0"))
	assert.Len(t, f.events(t, "?limit=9223372036854775807"), 9)
	events := f.events(t, "?phase=all&limit=500")
	for i := 1; i < len(events); i++ {
		assert.LessOrEqual(t, events[i].FiredAt, events[i-1].FiredAt, "newest first")
	}
	for query, want := range map[string]string{
		"?limit=x":                    "invalid `limit`",
		"?limit=-1":                   "invalid `limit`: it is -1",
		"?limit=1&limit=2":            "invalid `limit`: it is there 2 times",
		"?phase=pending":              "invalid `phase`: it is \"pending\"; it must be one of firing, resolved, all",
		"?phase=%zz":                  "invalid `query string`",
		"?limit=1e3":                  "invalid `limit`",
		"?phase=":                     "invalid `phase`",
		"?phase=a&phase=b":            "invalid `phase`: it is there 2 times",
		"?limit=99999999999999999999": "invalid `limit`",
	} {
		resp, body := f.do(t, http.MethodGet, "/api/alerts/history"+query, "")
		assert.Equal(t, http.StatusBadRequest, resp.StatusCode, query)
		assert.Contains(t, errorOf(t, body), want, query)
	}
}

func TestAlertsOfProfiles(t *testing.T) {
	f := start(t, options{store: newAlertingStore(), config: func(c *Config) { c.Alerts.ExternalURL = "https://profiles.example.com/" }})
	// The events of the examples are of 2023; the rule finds nothing.
	f.push(t, "", "agent-1", "cpu_symbols", "cpu_symbols")
	id := f.create(t, `{"name":"Hot leaf","metric":"function_share","operator":"gt","threshold":0.1,"severity":"warning",
		"function":"leaf","agent_id":"agent-1","window":"1m","for":30,"rearm":"1m","alert_labels":{"team":"a"},"annotations":{"runbook":"https://r"}}`)
	rules := f.rules(t)
	require.Len(t, rules, 1)
	assert.Contains(t, f.get(t, "/api/alerts"), `"for":"30s","rearm":"1m","alert_labels":{"event_type":"cpu","metric":"function_share","team":"a"},`+
		`"annotations":{"runbook":"https://r"},"function":"leaf","agent_id":"agent-1","event_type":"cpu","window":"1m"}]`)
	got := f.evaluate(t)
	assert.Empty(t, got.Fired)
	assert.Empty(t, got.Errors, "that there is nothing is no error")
	rules = f.rules(t)
	assert.Equal(t, "inactive", rules[0].State)
	assert.Nil(t, rules[0].Value)
	assert.Contains(t, rules[0].LastError, "nothing was observed: no cpu profiles in the last 1m")
	assert.NotNil(t, rules[0].LastEvaluation)
	assert.Equal(t, "alert-1", id)
}

// The store of profiles is away, that of alerts is not: a rule keeps its state.
func TestAlertEvaluationErrors(t *testing.T) {
	store := newAlertingStore()
	f := start(t, options{store: store})
	id := f.create(t, `{"name":"Locks","metric":"lock_wait_seconds","operator":"gt","threshold":1,"severity":"info"}`)
	store.fail(profilestore.ErrUnavailable)
	got := f.evaluate(t)
	assert.Contains(t, got.Errors[id], "read profiles: profile store unavailable")
	assert.Contains(t, f.rules(t)[0].LastError, "profile store unavailable")

	f.tel.set(http.StatusInternalServerError, "")
	time.Sleep(scrapeEvery)
	pushes := f.create(t, always("pushes"))
	got = f.evaluate(t)
	assert.Contains(t, got.Errors[pushes], "does not know `push_errors_total`")
	assert.Empty(t, got.Fired)
}

func TestConcurrentAlertRequests(t *testing.T) {
	f := start(t, options{})
	const n = 16
	var ids sync.Map
	var deleted, toggled atomic.Int32
	in := func(do func(i int)) {
		var group sync.WaitGroup
		for i := range n {
			group.Go(func() { do(i) })
		}
		group.Wait()
	}
	in(func(int) { ids.Store(f.create(t, always("x")), true) })
	count := 0
	ids.Range(func(any, any) bool { count++; return true })
	assert.Equal(t, n, count, "every id is another one")
	in(func(int) {
		if resp, _ := f.do(t, http.MethodPost, "/api/alerts/alert-1/toggle", ""); resp.StatusCode == http.StatusOK {
			toggled.Add(1)
		}
	})
	assert.EqualValues(t, n, toggled.Load())
	assert.True(t, f.rules(t)[0].Enabled, "an even number of toggles")
	in(func(int) { f.evaluate(t) })
	assert.Len(t, f.events(t, ""), n, "each fired once")
	in(func(int) {
		resp, body := f.do(t, http.MethodDelete, "/api/alerts/alert-1", "")
		if resp.StatusCode == http.StatusOK && strings.Contains(body, "true") {
			deleted.Add(1)
		}
	})
	assert.EqualValues(t, 1, deleted.Load())
	assert.Len(t, f.rules(t), n-1)
}
