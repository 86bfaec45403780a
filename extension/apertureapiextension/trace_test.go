package apertureapiextension

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
	"github.com/aperture-collector/aperture-collector/internal/tracedhttp"
)

// queriesOf lists the steps with SQL.
func queriesOf(s *profilestore.StepData) (out []*profilestore.StepData) {
	if s.SQL != "" {
		out = append(out, s)
	}
	for i := range s.Steps {
		out = append(out, queriesOf(&s.Steps[i])...)
	}
	return out
}

// TestTrace: a traced answer says what it took, and nothing of what was asked for.
func TestTrace(t *testing.T) {
	f := start(t, options{store: newClickHouseStore(t, clickhousetest.New(t, t.TempDir(), nil).Endpoint())})
	f.waitReady(t)
	tenant := []string{"X-Scope-OrgID", "traced-tenant"}
	f.push(t, "traced-tenant", "agent-1", "mixed", "mixed")
	trace := func(method, path, body string) *tracedhttp.Answer {
		t.Helper()
		resp, text := f.do(t, method, path, body, tenant...)
		var out tracedhttp.Answer
		require.NoError(t, json.Unmarshal([]byte(text), &out), text)
		assert.Equal(t, resp.StatusCode, out.Status)
		for _, secret := range []string{"traced-tenant", "agent-1"} {
			data, err := json.Marshal(out.Trace)
			require.NoError(t, err)
			assert.NotContains(t, string(data), secret)
		}
		return &out
	}
	plain := f.aggregateOf(t, `{"agent_id":"agent-1"}`, tenant...)
	got := trace(http.MethodPost, "/api/aggregate?trace=1", `{"agent_id":"agent-1"}`)
	assert.JSONEq(t, plain, string(got.Answer))
	assert.Equal(t, int64(len(got.Answer)), got.Bytes)
	assert.Equal(t, "POST /api/aggregate", got.Trace.Name)
	queries := queriesOf(&got.Trace)
	require.NotEmpty(t, queries)
	read := int64(0)
	for _, q := range queries {
		assert.Contains(t, q.SQL, "{tenant:String}")
		assert.True(t, strings.HasPrefix(q.QueryID, "aperture-"), q.QueryID)
		assert.LessOrEqual(t, q.Duration, got.Trace.Duration)
		read += q.Figures["rows_read"]
	}
	assert.Positive(t, read)

	got = trace(http.MethodGet, "/api/export/collapsed?trace=1&label.x=y", "")
	assert.Equal(t, http.StatusNotFound, got.Status)
	got = trace(http.MethodGet, "/api/export/collapsed?trace=1", "")
	assert.Equal(t, http.StatusOK, got.Status)
	assert.Positive(t, got.Bytes)
	assert.Empty(t, got.Answer, "it is not JSON")

	resp, body := f.do(t, http.MethodGet, "/api/export/collapsed?trace=yes", "", tenant...)
	assert.Equal(t, http.StatusBadRequest, resp.StatusCode)
	assert.Contains(t, body, "`trace`")
	assert.NotContains(t, f.get(t, "/api/export/json?trace=0", tenant...), `"trace"`)
}
