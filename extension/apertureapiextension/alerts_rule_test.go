package apertureapiextension

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/alert"
	"github.com/aperture-collector/aperture-collector/internal/alert/profilerule"
)

// wholeRule has every field of a rule on profiles.
const wholeRule = `{"name":"More of f","metric":"change_vs_baseline","operator":"gte","threshold":1.5e-1,"severity":"critical","for":"2m","rearm":90,` +
	`"alert_labels":{"team":"a"},"annotations":{"runbook":"https://r"},"function":"f","self":true,"baseline_offset":"1h","max_p_value":0.05,` +
	`"min_samples":10,"service":"s","labels":{"zone":"a"},"agent_id":"","event_type":"cpu","window":"10m"}`

func TestParseRule(t *testing.T) {
	r, err := parseRule([]byte(wholeRule))
	require.NoError(t, err)
	agent := ""
	spec, err := json.Marshal(profilerule.Spec{
		Metric: "change_vs_baseline", Function: "f", Self: true, BaselineOffset: profilerule.Duration(time.Hour), MaxPValue: 0.05,
		MinSamples: 10, Service: "s", Labels: map[string]string{"zone": "a"}, AgentID: &agent, EventType: "cpu", Window: profilerule.Duration(10 * time.Minute),
	})
	require.NoError(t, err)
	assert.Equal(t, &alert.Rule{
		Name: "More of f", Severity: "critical", Operator: alert.GreaterOrEqual, Threshold: 0.15, For: 2 * time.Minute, Rearm: 90 * time.Second,
		Labels:      map[string]string{"team": "a", "service": "s", "metric": "change_vs_baseline", "event_type": "cpu"},
		Annotations: map[string]string{"runbook": "https://r"}, Spec: spec,
	}, r)

	// null is the same as absent, and unknown keys are nothing.
	r, err = parseRule([]byte(`{"name":"x","metric":"buffer_utilization","operator":"eq","threshold":-0,"severity":"info","for":null,"window":null,"labels":null,"id":7}`))
	require.NoError(t, err)
	assert.JSONEq(t, `{"metric":"buffer_utilization"}`, string(r.Spec))
	assert.Equal(t, map[string]string{"metric": "buffer_utilization"}, r.Labels)
}

// rule returns the body of a rule with some fields changed; an empty value takes
// the field away.
func changed(t *testing.T, base, field, value string) string {
	t.Helper()
	fields := decode[map[string]json.RawMessage](t, base)
	fields[field] = json.RawMessage(value)
	if value == "" {
		delete(fields, field)
	}
	body, err := json.Marshal(fields)
	require.NoError(t, err)
	return string(body)
}

func TestCreateRefuses(t *testing.T) {
	f := start(t, options{})
	many := make(map[string]string)
	for i := range maxAnnotations + 1 {
		many[fmt.Sprint(i)] = "x"
	}
	tooMany, err := json.Marshal(many)
	require.NoError(t, err)
	long := strings.Repeat("ä", 201)
	profile := `{"name":"x","metric":"function_share","operator":"gt","threshold":0.1,"severity":"info","function":"f"}`
	change := changed(t, profile, "metric", `"change_vs_baseline"`)
	for _, c := range []struct{ base, field, value, want string }{
		{highBuffer, "name", "", "invalid `name`: it is missing"},
		{highBuffer, "name", "null", "invalid `name`: it is missing"},
		{highBuffer, "name", `""`, "invalid `name`: it is empty"},
		{highBuffer, "name", `" \t"`, "invalid `name`: it is empty"},
		{highBuffer, "name", `7`, "invalid `name`: it is 7; it must be a string"},
		{highBuffer, "name", `"` + long + `"`, "invalid `name`: it is 201 characters long; the limit is 200"},
		{highBuffer, "metric", "", "invalid `metric`: it is missing"},
		{highBuffer, "metric", `"cpu"`, "invalid `metric`: it is \"cpu\"; it must be one of buffer_utilization, push_error_rate, push_errors_total, clickhouse_flush_errors, clickhouse_pending_rows, event_throughput, function_share"},
		{highBuffer, "metric", `["cpu"]`, "invalid `metric`"},
		{highBuffer, "operator", `">"`, "invalid `operator`: it is \">\"; it must be one of gt, gte, lt, lte, eq"},
		{highBuffer, "operator", "", "invalid `operator`: it is missing"},
		{highBuffer, "severity", `"page"`, "invalid `severity`: it is \"page\"; it must be one of info, warning, critical"},
		{highBuffer, "severity", "", "invalid `severity`: it is missing"},
		{highBuffer, "threshold", "", "invalid `threshold`: it is missing"},
		{highBuffer, "threshold", `"1"`, "invalid `threshold`: it is \"1\"; it must be a finite number"},
		{highBuffer, "threshold", `"NaN"`, "invalid `threshold`"},
		{highBuffer, "threshold", `1e400`, "invalid `threshold`: it is 1e400; it must be a finite number"},
		{highBuffer, "threshold", `true`, "invalid `threshold`"},
		{highBuffer, "threshold", `{"a":{}}`, "invalid `threshold`"},
		{highBuffer, "for", `"soon"`, "invalid `for`: it is \"soon\"; it must be a duration"},
		{highBuffer, "for", `-1`, "invalid `for`: it is -1s; it must not be negative"},
		{highBuffer, "for", `"25h"`, "invalid `for`: it is 25h0m0s; it must be at most 24h"},
		{highBuffer, "rearm", `[]`, "invalid `rearm`"},
		{highBuffer, "rearm", `1e300`, "invalid `rearm`"},
		{highBuffer, "alert_labels", `[]`, "invalid `alert_labels`: it is []; it must be an object of strings"},
		{highBuffer, "alert_labels", `{"a":1}`, "invalid `alert_labels.a`: it is 1; it must be a string"},
		{highBuffer, "alert_labels", `{"":"x"}`, "invalid `alert_labels`: a name is empty"},
		{highBuffer, "alert_labels", `{"` + strings.Repeat("x", 1025) + `":""}`, "invalid `alert_labels`: a name is 1025 bytes long; the limit is 1024"},
		{highBuffer, "alert_labels", `{"a":"` + strings.Repeat("x", 1025) + `"}`, "invalid `alert_labels.a`: it is 1025 bytes long; the limit is 1024"},
		{highBuffer, "alert_labels", `{"a":null}`, "invalid `alert_labels.a`: it is null; it must be a string"},
		{highBuffer, "alert_labels", `{"aperture_tenant":"victim"}`, "invalid `alert_labels.aperture_tenant`: the name is reserved"},
		{highBuffer, "alert_labels", `{"aperture.tenant":"victim"}`, "invalid `alert_labels.aperture.tenant`: the name is reserved"},
		{highBuffer, "alert_labels", `{"Aperture_dialect":"x"}`, "the name is reserved"},
		{highBuffer, "alert_labels", `{"a":"fine","metric":"x"}`, "invalid `alert_labels.metric`: the name is reserved"},
		{highBuffer, "alert_labels", `{"service":"x"}`, "invalid `alert_labels.service`: the name is reserved"},
		{profile, "alert_labels", `{"event-type":"x"}`, "invalid `alert_labels.event-type`: the name is reserved"},
		{highBuffer, "alert_labels", `{"alertname":"x"}`, "invalid `alert_labels.alertname`: the name is reserved"},
		{highBuffer, "name", "\"a\xff\"", "invalid `body`: it is not UTF-8"},
		{profile, "function", "\"a\xff\"", "invalid `body`: it is not UTF-8"},
		{highBuffer, "annotations", "{\"a\xff\":\"b\"}", "invalid `body`: it is not UTF-8"},
		{change, "event_type", `"lock"`, "invalid `event_type`: it is \"lock\"; `change_vs_baseline` is about cpu"},
		{highBuffer, "annotations", string(tooMany), "invalid `annotations`: there are 65; the limit is 64"},
		{highBuffer, "function", `"f"`, "invalid `function`: `buffer_utilization` has no such field"},
		{highBuffer, "window", `"5m"`, "invalid `window`: `buffer_utilization` has no such field"},
		{highBuffer, "service", `""`, "invalid `service`: `buffer_utilization` has no such field"},
		{profile, "function", "", "invalid `function`: it is missing; `function_share` needs it"},
		{profile, "function", `1`, "invalid `function`: it is 1; it must be a string"},
		{profile, "stack", `"a;b"`, "invalid `stack`: `function_share` has no such field"},
		{profile, "self", `"yes"`, "invalid `self`: it is \"yes\"; it must be true or false"},
		{profile, "window", `"5s"`, "invalid `window`: it is 5s; it must be from 30s to 24h"},
		{profile, "window", `0`, "invalid `window`: it is 0; it must be more"},
		{profile, "max_p_value", `0.1`, "invalid `max_p_value`: `function_share` has no such field"},
		{profile, "labels", `"a"`, "invalid `labels`"},
		{profile, "labels", `{"a":"x","a":"y"}`, "invalid `a`: it is there twice"},
		{profile, "metric", `"lock_wait_seconds"`, "invalid `function`: `lock_wait_seconds` has no such field"},
		{profile, "event_type", `"a\u0000b"`, "invalid `event_type`"},
		{change, "max_p_value", `0`, "invalid `max_p_value`: it is 0; it must be more"},
		{change, "max_p_value", `2`, "invalid `max_p_value`: it is 2; it must be above 0 and at most 1"},
		{change, "min_samples", `-1`, "invalid `min_samples`: it is -1; it must be at least 1"},
		{change, "min_samples", `0`, "invalid `min_samples`: it is 0; it must be more"},
		{change, "min_samples", `1.5`, "invalid `min_samples`"},
		{change, "baseline_offset", `"1m"`, "invalid `baseline_offset`: it is 1m; it must be from `window`, which is 5m"},
	} {
		resp, body := f.do(t, http.MethodPost, "/api/alerts", changed(t, c.base, c.field, c.value))
		assert.Equal(t, http.StatusBadRequest, resp.StatusCode, "%s: %s", c.field, c.value)
		assert.Contains(t, errorOf(t, body), c.want)
	}
	for body, want := range map[string]string{
		"":               "invalid `body`: it is no JSON: it ends too early",
		"[]":             "invalid `body`: it must be a JSON object",
		"null":           "invalid `body`: it must be a JSON object",
		highBuffer + "{": "invalid `body`: there is something after the JSON object",
		`{"name":"a","name":"b","metric":"buffer_utilization","operator":"gt","threshold":1,"severity":"info"}`: "invalid `name`: it is there twice",
		strings.Repeat(`{"a":`, 20000): "invalid `body`",
	} {
		resp, text := f.do(t, http.MethodPost, "/api/alerts", body)
		assert.Equal(t, http.StatusBadRequest, resp.StatusCode)
		assert.Contains(t, errorOf(t, text), want)
	}
	assert.Empty(t, f.rules(t), "none of them was stored")
}

func TestTruncatedRules(t *testing.T) {
	for n := range len(wholeRule) {
		_, err := parseRule([]byte(wholeRule[:n]))
		var field *fieldError
		require.ErrorAs(t, err, &field, wholeRule[:n])
	}
}

// Names are as they came, whatever is in them.
func TestHostileNames(t *testing.T) {
	f := start(t, options{})
	for _, name := range []string{"a;b\nc\"d", "<script>alert(1)</script>", "'; DROP TABLE rules; --", "\u0000\u2028", "名前", strings.Repeat("ä", 200)} {
		quoted, err := json.Marshal(name)
		require.NoError(t, err)
		f.create(t, changed(t, always("x"), "name", string(quoted)))
		rules := f.rules(t)
		assert.Equal(t, name, rules[len(rules)-1].Name)
		fired := f.evaluate(t).Fired
		assert.Equal(t, name, fired[len(fired)-1].RuleName)
		assert.True(t, strings.HasPrefix(fired[len(fired)-1].Message, name+": "))
	}
	for _, id := range []string{"alert-0", "alert-99999999999999999999", "1", "..", "%2e%2e", "%00", "a%2Fb", "%ff", strings.Repeat("x", 4000)} {
		resp, _ := f.do(t, http.MethodPost, "/api/alerts/"+id+"/toggle", "")
		assert.Contains(t, []int{http.StatusNotFound, http.StatusMethodNotAllowed}, resp.StatusCode, id)
	}
}

// FuzzRule checks that what is accepted is evaluated and listed as it was meant.
func FuzzRule(f *testing.F) {
	f.Add([]byte(wholeRule))
	f.Add([]byte(highBuffer))
	f.Add([]byte(`{"name":"x","metric":"stack_share","operator":"lt","threshold":1,"severity":"info","stack":"a;b","anywhere":true}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := parseRule(text)
		if err != nil {
			var field *fieldError
			require.ErrorAs(t, err, &field)
			return
		}
		require.NoError(t, r.Validate())
		listed, err := json.Marshal(newRuleJSON(&alert.Evaluation{Rule: *r}))
		require.NoError(t, err)
		require.True(t, utf8.Valid(listed))
		var s profilerule.Spec
		require.NoError(t, json.Unmarshal(r.Spec, &s))
		if !isSystemMetric(s.Metric) {
			again, err := s.Check()
			require.NoError(t, err)
			assert.Equal(t, s, again)
		}
	})
}

// What the documentation has operators send is accepted.
func TestExamplesOfTheDocumentation(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "alerts.md"))
	require.NoError(t, err)
	examples := regexp.MustCompile(`(?s)/api/alerts -d '(\{.*?\})'`).FindAllSubmatch(text, -1)
	require.Len(t, examples, 7)
	for _, e := range examples {
		_, err := parseRule(e[1])
		assert.NoError(t, err, string(e[1]))
	}
	for _, metric := range slices.Concat(systemMetrics(), profilerule.Metrics()) {
		assert.Contains(t, string(text), "| `"+metric+"` |")
	}
}
