package apertureapiextension

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/aperturewire"
	"github.com/aperture-collector/aperture-collector/internal/chserver"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
)

// pushNow pushes samples of now: n of main;busy, and as many of main.
func (f *fixture) pushNow(t *testing.T, agent string, n int) {
	t.Helper()
	var e aperturewire.Encoder
	payload := e.AppendHeader(nil, 1, 2*n)
	for i := range n {
		sample := aperturewire.CPUSample{Timestamp: uint64(time.Now().UnixNano()), PID: 7, TID: 7, Comm: "app", User: []uint64{0x2000}}
		sample.UserSymbols = []aperturewire.Symbol{aperturewire.Some("main")}
		payload = e.AppendCPU(payload, &sample)
		sample.User = []uint64{0x1000 + uint64(i%3), 0x2000}
		sample.UserSymbols = []aperturewire.Symbol{aperturewire.Some("busy"), aperturewire.Some("main")}
		payload = e.AppendCPU(payload, &sample)
	}
	resp, err := f.rpc.Push(t.Context(), &aggregatorv1.PushRequest{AgentId: agent, Sequence: 1, Payload: payload})
	require.NoError(t, err)
	require.True(t, resp.GetOk(), resp.GetError())
}

// Rules, states and history are in ClickHouse: they survive restarts of the API and
// of ClickHouse, two collectors share them, and an outage changes nothing.
func TestAlertsInClickHouse(t *testing.T) {
	server := clickhousetest.New(t, t.TempDir(), func(o *chserver.Options) {
		// It is to come back where it was.
		o.TCPPort, o.HTTPPort = freePort(t), freePort(t)
	})
	h := newHook(t)
	f := start(t, options{store: newClickHouseStore(t, server.Endpoint()), config: alertTo(h)})
	f.waitReady(t)
	f.pushNow(t, "agent-1", 50)
	id := f.create(t, `{"name":"Busy","metric":"function_share","operator":"gt","threshold":0.4,"severity":"warning",
		"function":"busy","agent_id":"agent-1","window":"3m","annotations":{"runbook":"https://r"}}`)
	assert.Equal(t, "alert-1", id)
	require.Eventually(t, func() bool { return strings.Contains(h.all(), `"status":"firing"`) }, time.Minute, 50*time.Millisecond, "it fires by itself")
	rule := f.rules(t)[0]
	assert.Equal(t, "firing", rule.State)
	assert.InDelta(t, 0.5, *rule.Value, 1e-9)
	event := f.events(t, "")[0]
	assert.Contains(t, event.Message, "Busy: Function Share of busy (cpu) > 0.4 (current: 0.5)")
	checkLink(t, f, event.Link)

	// Another collector over the same store.
	two := start(t, options{store: newClickHouseStore(t, server.Endpoint()), config: alertTo(h)})
	two.waitReady(t)
	assert.Equal(t, f.rules(t)[0].Since, two.rules(t)[0].Since)
	assert.Equal(t, f.events(t, "?phase=all"), two.events(t, "?phase=all"))
	ids := map[string]bool{id: true}
	for range 5 {
		ids[f.create(t, highBuffer)], ids[two.create(t, highBuffer)] = true, true
	}
	assert.Len(t, ids, 11, "ids are of both collectors")
	assert.Len(t, two.evaluate(t).Fired, 1)
	assert.Len(t, two.events(t, "?phase=all"), 1, "it has fired already")

	// An outage: nothing can be asked, nothing changes.
	clickhousetest.Stop(t, server)
	for _, route := range []string{
		"GET /api/alerts", "POST /api/alerts", "DELETE /api/alerts/alert-1", "POST /api/alerts/alert-1/toggle",
		"GET /api/alerts/history", "POST /api/alerts/evaluate",
	} {
		method, path, _ := strings.Cut(route, " ")
		resp, body := f.do(t, method, path, highBuffer)
		assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode, route+body)
		assert.Equal(t, "2", resp.Header.Get("Retry-After"), route)
		assert.NotEmpty(t, errorOf(t, body))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, server.Start(ctx))
	require.Eventually(t, func() bool {
		resp, _ := f.do(t, http.MethodPost, "/api/alerts/evaluate", "")
		return resp.StatusCode == http.StatusOK
	}, time.Minute, 50*time.Millisecond)
	assert.Equal(t, rule.Since, f.rules(t)[0].Since)
	assert.Len(t, f.events(t, "?phase=all"), 1)

	// A third one, as after a restart, resolves what the first has found.
	three := start(t, options{store: newClickHouseStore(t, server.Endpoint()), config: alertTo(h)})
	three.waitReady(t)
	resp, body := three.do(t, http.MethodDelete, "/api/alerts/"+id, "")
	require.Equal(t, http.StatusOK, resp.StatusCode, body)
	require.Eventually(t, func() bool { return strings.Contains(h.all(), `"status":"resolved"`) }, time.Minute, 50*time.Millisecond)
	assert.Equal(t, 1, strings.Count(h.all(), `"status":"resolved"`))
	assert.Equal(t, 1, strings.Count(h.all(), `"status":"firing"`))
	assert.Len(t, three.events(t, "?phase=all"), 2)
	checkTenants(t, three)
	assert.Len(t, f.rules(t), 10)
}

// checkLink follows the link of an alert.
func checkLink(t *testing.T, f *fixture, link string) {
	t.Helper()
	u, err := url.Parse(link)
	require.NoError(t, err)
	require.Equal(t, "/api/export/svg", u.Path)
	svg := f.get(t, link)
	assert.Contains(t, svg, "<svg")
	assert.Contains(t, svg, "busy")
}

// checkTenants: other tenants can have the same rules, and names are not SQL.
func checkTenants(t *testing.T, f *fixture) {
	t.Helper()
	const name = "'; DROP TABLE x; --\\' \u0000 ` \n"
	quoted, err := json.Marshal(name)
	require.NoError(t, err)
	for i := range 2 {
		tenant := []string{"X-Scope-OrgID", fmt.Sprintf("tenant-%d", i)}
		f.create(t, changed(t, always("x"), "name", string(quoted)), tenant...)
		require.Len(t, f.rules(t, tenant...), 1)
		assert.Equal(t, name, f.rules(t, tenant...)[0].Name)
		fired := f.evaluate(t, tenant...).Fired
		require.Len(t, fired, 1)
		assert.Equal(t, name, fired[0].RuleName)
		assert.Equal(t, name, f.events(t, "", tenant...)[0].RuleName)
	}
}
