package apertureapiextension

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/httpserverextension"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}

// The payloads of real agents come back as the Aperture API has them.
func TestMixedExample(t *testing.T) {
	f := start(t, options{store: newMemoryStore()})
	f.push(t, "", "agent-1", "mixed", "mixed")

	golden(t, "mixed_aggregate.json", f.aggregateOf(t, `{}`))
	resp, body := f.do(t, http.MethodGet, "/api/export/json", "")
	assert.Equal(t, `attachment; filename="aperture-profile.json"`, resp.Header.Get("Content-Disposition"))
	golden(t, "mixed_export.json", body)
	golden(t, "mixed_leaf_first.json", f.get(t, "/api/export/json?frame_order=leaf_first&event_type=cpu"))

	resp, body = f.do(t, http.MethodGet, "/api/export/collapsed", "")
	assert.Equal(t, "text/plain; charset=utf-8", resp.Header.Get("Content-Type"))
	assert.Equal(t, `attachment; filename="aperture-collapsed.txt"`, resp.Header.Get("Content-Disposition"))
	assert.Equal(t, "0x402000;leaf;do_idle 2\n", body, "root first, the kernel at the leaf end")
	assert.Equal(t, "lock_it 3000\n", f.get(t, "/api/export/collapsed?event_type=lock"))
	assert.Equal(t, "futex 4096\n", f.get(t, "/api/export/collapsed?event_type=syscall"))
	assert.Equal(t, "gemm 10000\n", f.get(t, "/api/export/collapsed?event_type=gpu_kernel"))
	resp, body = f.do(t, http.MethodGet, "/api/export/collapsed?event_type=off_cpu", "")
	assert.Equal(t, http.StatusNotFound, resp.StatusCode)
	assert.Equal(t, "No off_cpu profile data available", body)
}

func TestNothingStored(t *testing.T) {
	f := start(t, options{store: newMemoryStore()})
	assert.Equal(t, `{"cpu":null,"lock":null,"syscall":null,"total_events":0,"skipped_batches":0}`, f.aggregateOf(t, `{}`))
	resp, body := f.do(t, http.MethodGet, "/api/export/collapsed", "")
	assert.Equal(t, http.StatusNotFound, resp.StatusCode)
	assert.Equal(t, "No CPU profile data available", body)
	assert.Equal(t, `{"batches":[],"error":""}`+"\n", f.get(t, "/api/batches"))
}

func totalsOf(t *testing.T, body string) (cpu, lock, syscall, all int) {
	t.Helper()
	var r struct {
		CPU *struct {
			Total int `json:"total_samples"`
		} `json:"cpu"`
		Lock *struct {
			Total int `json:"total_events"`
		} `json:"lock"`
		Syscall *struct {
			Total int `json:"total_events"`
		} `json:"syscall"`
		Total int `json:"total_events"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &r), body)
	cpu, lock, syscall = -1, -1, -1
	if r.CPU != nil {
		cpu = r.CPU.Total
	}
	if r.Lock != nil {
		lock = r.Lock.Total
	}
	if r.Syscall != nil {
		syscall = r.Syscall.Total
	}
	return cpu, lock, syscall, r.Total
}

// filters are requests and what they must find of three mixed pushes of agent-1
// and one CPU sample of agent-2.
var filters = []struct {
	name, body, query       string
	cpu, lock, syscall, all int
}{
	{"all", `{}`, "", 4, 3, 3, 13},
	{"nulls", `{"agent_id":null,"time_start_ns":null,"time_end_ns":null,"limit":null,"event_type":null,"service":null,"labels":null,"frame_order":null}`, "", 4, 3, 3, 13},
	{"unknown keys", `{"x":{"y":[1]},"agent":"agent-2"}`, "x=1&x=2", 4, 3, 3, 13},
	{"agent", `{"agent_id":"agent-2"}`, "agent_id=agent-2", 1, -1, -1, 1},
	{"no such agent", `{"agent_id":"agent"}`, "agent_id=agent", -1, -1, -1, 0},
	{"empty agent", `{"agent_id":""}`, "agent_id=", -1, -1, -1, 0},
	{"cpu", `{"event_type":"cpu"}`, "event_type=cpu", 4, -1, -1, 13},
	{"lock", `{"event_type":"lock"}`, "event_type=lock", -1, 3, -1, 13},
	{"syscall", `{"event_type":"syscall"}`, "event_type=syscall", -1, -1, 3, 13},
	{"gpu", `{"event_type":"gpu_kernel"}`, "event_type=gpu_kernel", -1, -1, -1, 13},
	{"off cpu", `{"event_type":"off_cpu"}`, "event_type=off_cpu", -1, -1, -1, 13},
	{"empty type", `{"event_type":""}`, "event_type=", 4, 3, 3, 13},
	{"agent and type", `{"agent_id":"agent-1","event_type":"cpu"}`, "agent_id=agent-1&event_type=cpu", 3, -1, -1, 12},
	{"service", `{"service":"agent-2"}`, "service=agent-2", 1, -1, -1, 1},
	{"label", `{"labels":{"service.name":"agent-1","process.pid":"1234"}}`, "label.service.name=agent-1&label.process.pid=1234", 3, 3, 3, 12},
	{"label absent", `{"labels":{"no.such":"x"}}`, "label.no.such=x", -1, -1, -1, 0},
	{"from", `{"time_start_ns":1700000001000000000}`, "time_start_ns=1700000001000000000", -1, -1, -1, 0},
	{"until", `{"time_end_ns":1699999999999999999}`, "time_end_ns=1699999999999999999", -1, -1, -1, 0},
	{"milliseconds", `{"time_start_ns":1699999999000,"time_end_ns":1700000001000}`, "time_start_ns=1699999999000&time_end_ns=1700000001000", 4, 3, 3, 13},
	{"milliseconds before", `{"time_end_ns":1699999998000}`, "time_end_ns=1699999998000", -1, -1, -1, 0},
	{"everything", `{"time_start_ns":0,"time_end_ns":9223372036854775807}`, "time_start_ns=0&time_end_ns=9223372036854775807", 4, 3, 3, 13},
	{"no stacks", `{"limit":0}`, "limit=0", 4, 3, 3, 13},
	{"huge limit", `{"limit":9223372036854775807}`, "limit=9223372036854775807", 4, 3, 3, 13},
}

func pushFiltered(t *testing.T, f *fixture) {
	f.push(t, "", "agent-1", "mixed", "mixed", "mixed")
	f.push(t, "", "agent-2", "cpu")
}

func checkFilters(t *testing.T, f *fixture) {
	for _, c := range filters {
		t.Run(c.name, func(t *testing.T) {
			for _, body := range []string{
				f.aggregateOf(t, c.body),
				f.get(t, "/api/export/json?"+c.query),
			} {
				cpu, lock, syscall, all := totalsOf(t, body)
				assert.Equal(t, [...]int{c.cpu, c.lock, c.syscall, c.all}, [...]int{cpu, lock, syscall, all}, body)
			}
		})
	}
}

func TestFilters(t *testing.T) {
	f := start(t, options{store: newMemoryStore()})
	pushFiltered(t, f)
	checkFilters(t, f)
}

func TestFiltersWithoutStore(t *testing.T) {
	f := start(t, options{keep: true})
	pushFiltered(t, f)
	checkFilters(t, f)
}

func TestLimit(t *testing.T) {
	f := start(t, options{store: newMemoryStore(), config: func(c *Config) { c.MaxStacks, c.StacksCap = 1, 2 }})
	f.push(t, "", "agent", "cpu", "cpu_symbols", "cpu_symbols", "legacy")
	stacks := func(resp *http.Response, body string) (int, string) {
		return strings.Count(body, `"count"`), resp.Header.Get(truncatedHeader)
	}
	for body, want := range map[string]int{`{"event_type":"cpu"}`: 1, `{"event_type":"cpu","limit":0}`: 0, `{"event_type":"cpu","limit":2}`: 2, `{"event_type":"cpu","limit":100}`: 2} {
		n, truncated := stacks(f.do(t, http.MethodPost, "/api/aggregate", body))
		assert.Equal(t, want, n, body)
		assert.Equal(t, "true", truncated, body)
	}
	resp, body := f.do(t, http.MethodGet, "/api/export/collapsed", "")
	assert.Equal(t, 2, strings.Count(body, "\n"), "its default is the cap")
	assert.Equal(t, "true", resp.Header.Get(truncatedHeader))
	resp, body = f.do(t, http.MethodGet, "/api/export/collapsed?limit=1", "")
	assert.Equal(t, "0x402000;leaf;do_idle 2\n", body)
	assert.Equal(t, "true", resp.Header.Get(truncatedHeader))
	resp, _ = f.do(t, http.MethodGet, "/api/export/collapsed?event_type=syscall", "")
	assert.Empty(t, resp.Header.Get(truncatedHeader))
}

// exportRoutes take the same filters.
var exportRoutes = []string{"/api/export/json", "/api/export/collapsed", "/api/export/pprof", "/api/export/speedscope", "/api/export/svg", "/api/export/otlp"}

func TestBadRequests(t *testing.T) {
	f := start(t, options{store: newMemoryStore()})
	for _, c := range []struct{ body, want string }{
		{``, "invalid `body`: it is no JSON: it ends too early"},
		{`{`, "invalid `body`: it is no JSON: it ends too early"},
		{`{"limit":1`, "invalid `body`: it is no JSON: it ends too early"},
		{`[]`, "invalid `body`: it must be a JSON object"},
		{`null`, "invalid `body`: it must be a JSON object"},
		{`{"limit":}`, "invalid `body`: it is no JSON"},
		{`{limit:1}`, "invalid `body`: it is no JSON"},
		{`{}{}`, "invalid `body`: there is something after the JSON object"},
		{`{} x`, "invalid `body`: there is something after the JSON object"},
		{`{"limit":1,"limit":2}`, "invalid `limit`: it is there twice"},
		{`{"x":1,"x":2}`, "invalid `x`: it is there twice"},
		{`{"agent_id":5}`, "invalid `agent_id`: it is 5; it must be a string"},
		{`{"agent_id":"` + strings.Repeat("a", 1025) + `"}`, "invalid `agent_id`: it is 1025 bytes long; the limit is 1024"},
		{`{"time_start_ns":"1"}`, "invalid `time_start_ns`: it is \"1\"; it must be an integer"},
		{`{"time_start_ns":1.5}`, "invalid `time_start_ns`: it is 1.5"},
		{`{"time_start_ns":1e18}`, "invalid `time_start_ns`: it is 1e18"},
		{`{"time_start_ns":-1}`, "invalid `time_start_ns`: it is -1"},
		{`{"time_end_ns":-1}`, "invalid `time_end_ns`: it is -1"},
		{`{"time_end_ns":9223372036854775808}`, "invalid `time_end_ns`: it is 9223372036854775808"},
		{`{"time_start_ns":1700000000000000001,"time_end_ns":1700000000000000000}`, "invalid `time_end_ns`: it is 1700000000000000000, before `time_start_ns`"},
		{`{"limit":-1}`, "invalid `limit`: it is -1"},
		{`{"limit":"x"}`, "invalid `limit`: it is \"x\""},
		{`{"limit":true}`, "invalid `limit`: it is true"},
		{`{"event_type":"memory"}`, "invalid `event_type`: it is \"memory\"; it must be one of cpu, lock, syscall, off_cpu, gpu_kernel"},
		{`{"event_type":"a\u0000"}`, "invalid `event_type`"},
		{`{"event_type":["cpu"]}`, "invalid `event_type`"},
		{`{"service":1}`, "invalid `service`"},
		{`{"labels":["a"]}`, "invalid `labels`: it is [\"a\"]; it must be an object"},
		{`{"labels":{"a":1}}`, "invalid `labels.a`: it is 1; it must be a string"},
		{`{"labels":{"":"x"}}`, "invalid `labels`: a name is empty"},
		{`{"labels":{"a":"1","a":"2"}}`, "invalid `a`: it is there twice"},
		{`{"frame_order":"reversed"}`, "invalid `frame_order`: it is \"reversed\""},
	} {
		t.Run(c.body[:min(len(c.body), 40)], func(t *testing.T) {
			resp, body := f.do(t, http.MethodPost, "/api/aggregate", c.body)
			assert.Equal(t, http.StatusBadRequest, resp.StatusCode)
			assert.Contains(t, errorOf(t, body), c.want)
		})
	}
	var labels []string
	for i := range maxLabels + 1 {
		labels = append(labels, fmt.Sprintf(`"l%d":"x"`, i))
	}
	resp, body := f.do(t, http.MethodPost, "/api/aggregate", `{"labels":{`+strings.Join(labels, ",")+`}}`)
	assert.Equal(t, http.StatusBadRequest, resp.StatusCode)
	assert.Contains(t, errorOf(t, body), "more than 64")

	for _, route := range exportRoutes {
		for query, want := range map[string]string{
			"limit=x":                          "invalid `limit`: it is \"x\"",
			"limit=":                           "invalid `limit`",
			"limit=-1":                         "invalid `limit`",
			"limit=1&limit=2":                  "invalid `limit`: it is there 2 times",
			"time_start_ns=1.0":                "invalid `time_start_ns`",
			"time_end_ns=99999999999999999999": "invalid `time_end_ns`",
			"time_start_ns=20&time_end_ns=10":  "invalid `time_end_ns`",
			"event_type=memory":                "invalid `event_type`",
			"label.=x":                         "invalid `labels`",
			"frame_order=x":                    "invalid `frame_order`",
			"agent_id=%zz":                     "invalid `query string`",
			"a;b":                              "invalid `query string`",
		} {
			resp, body := f.do(t, http.MethodGet, route+"?"+query, "")
			assert.Equal(t, http.StatusBadRequest, resp.StatusCode, query)
			assert.Contains(t, errorOf(t, body), want, query)
			assert.Empty(t, resp.Header.Get("Content-Disposition"))
		}
	}
	for query, want := range map[string]string{
		"limit=x":                               "invalid `limit`",
		"limit=-1":                              "invalid `limit`",
		"agent_id=" + strings.Repeat("a", 1025): "invalid `agent_id`",
		"agent_id=a&agent_id=b":                 "invalid `agent_id`",
	} {
		resp, body := f.do(t, http.MethodGet, "/api/batches?"+query, "")
		assert.Equal(t, http.StatusBadRequest, resp.StatusCode, query)
		assert.Contains(t, errorOf(t, body), want, query)
	}
}

func TestBodyTooLarge(t *testing.T) {
	f := start(t, options{store: newMemoryStore()})
	resp, body := f.do(t, http.MethodPost, "/api/aggregate", `{"x":"`+strings.Repeat("x", maxBody)+`"}`)
	assert.Equal(t, http.StatusRequestEntityTooLarge, resp.StatusCode)
	assert.Contains(t, errorOf(t, body), "the limit is 1048576 bytes")

	f = start(t, options{store: newMemoryStore(), server: func(c *httpserverextension.Config) { c.ServerConfig.MaxRequestBodySize = 100 }})
	resp, body = f.do(t, http.MethodPost, "/api/aggregate", `{"x":"`+strings.Repeat("x", 100)+`"}`)
	assert.Equal(t, http.StatusRequestEntityTooLarge, resp.StatusCode)
	assert.Contains(t, errorOf(t, body), "the limit is 100 bytes")
}

func TestMethodsAndRoutes(t *testing.T) {
	f := start(t, options{store: newMemoryStore()})
	methods := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
	for path, allowed := range map[string]string{
		"/healthz":               "GET, HEAD",
		"/readyz":                "GET, HEAD",
		"/metrics":               "GET, HEAD",
		"/api/health":            "GET, HEAD",
		"/api/aggregate":         "POST",
		"/api/batches":           "GET, HEAD",
		"/api/export/json":       "GET, HEAD",
		"/api/export/collapsed":  "GET, HEAD",
		"/api/export/pprof":      "GET, HEAD",
		"/api/export/speedscope": "GET, HEAD",
		"/api/export/svg":        "GET, HEAD",
		"/api/export/otlp":       "GET, HEAD",
		"/debug/pprof/profile":   "GET, HEAD",
		"/api/diff":              "POST",
		"/api/alerts":            "DELETE, GET, HEAD, POST",
		"/api/alerts/alert-1":    "DELETE",
		"/api/alerts/x/toggle":   "POST",
		"/api/alerts/":           "DELETE",
		"/api/alerts/toggle":     "DELETE, POST",
		"/api/alerts/history":    "DELETE, GET, HEAD",
		"/api/alerts/evaluate":   "DELETE, POST",
	} {
		for _, method := range methods {
			resp, body := f.do(t, method, path, "")
			isAllowed := strings.Contains(", "+allowed+",", ", "+method+",")
			assert.Equal(t, !isAllowed, resp.StatusCode == http.StatusMethodNotAllowed, "%s %s: %d", method, path, resp.StatusCode)
			if !isAllowed {
				assert.Equal(t, allowed, resp.Header.Get("Allow"), path)
				if method != http.MethodHead {
					assert.Contains(t, errorOf(t, body), "is not allowed")
				}
			}
		}
	}
	for _, path := range []string{"/", "/api", "/api/", "/api/unknown", "/apix", "/api/aggregate/x", "/api/alerts/a/b"} {
		resp, body := f.do(t, http.MethodGet, path, "")
		assert.Equal(t, http.StatusNotFound, resp.StatusCode, path)
		assert.Contains(t, errorOf(t, body), "no route "+path)
	}
}

func TestStoreTroubles(t *testing.T) {
	store := newMemoryStore()
	f := start(t, options{store: store, noBuffer: true, config: func(c *Config) { c.QueryTimeout = 50 * time.Millisecond }})
	requests := []func() (*http.Response, string){
		func() (*http.Response, string) { return f.do(t, http.MethodPost, "/api/aggregate", `{}`) },
		func() (*http.Response, string) {
			return f.do(t, http.MethodPost, "/api/aggregate", `{"event_type":"cpu"}`)
		},
		func() (*http.Response, string) { return f.do(t, http.MethodPost, "/api/diff", `{}`) },
		func() (*http.Response, string) { return f.do(t, http.MethodGet, "/api/export/json", "") },
		func() (*http.Response, string) { return f.do(t, http.MethodGet, "/api/batches", "") },
	}
	for _, route := range exportRoutes[1:] {
		requests = append(requests, func() (*http.Response, string) { return f.do(t, http.MethodGet, route, "") })
	}
	for _, c := range []struct {
		err    error
		status int
		retry  string
	}{
		{fmt.Errorf("connect: %w", profilestore.ErrUnavailable), http.StatusServiceUnavailable, "2"},
		{fmt.Errorf("memory: %w", profilestore.ErrLimit), http.StatusUnprocessableEntity, ""},
		{errHang, http.StatusGatewayTimeout, "2"},
		{assert.AnError, http.StatusInternalServerError, ""},
	} {
		store.fail(c.err)
		for i, request := range requests {
			resp, body := request()
			assert.Equal(t, c.status, resp.StatusCode, "%d %s", i, body)
			assert.Equal(t, c.retry, resp.Header.Get("Retry-After"))
			assert.NotEmpty(t, errorOf(t, body))
		}
	}
	store.fail(nil)
	for _, request := range requests[:3] {
		resp, _ := request()
		assert.Equal(t, http.StatusOK, resp.StatusCode)
	}
}

func TestNoStorage(t *testing.T) {
	f := start(t, options{})
	for _, path := range exportRoutes {
		resp, body := f.do(t, http.MethodGet, path, "")
		assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
		assert.Equal(t, "storage not configured (enable ClickHouse)", errorOf(t, body))
	}
	f.push(t, "", "agent", "cpu")
	assert.Contains(t, f.get(t, "/api/batches"), `"agent_id":"agent"`)
	assert.Contains(t, f.get(t, "/api/health"), `"storage_enabled":false`)
}

func TestReadiness(t *testing.T) {
	store := newMemoryStore()
	f := start(t, options{store: store})
	assert.Equal(t, "ok\n", f.get(t, "/healthz"))
	assert.Equal(t, "ready\n", f.get(t, "/readyz"))

	store.fail(fmt.Errorf("dial 127.0.0.1:9000: %w", profilestore.ErrUnavailable))
	resp, body := f.do(t, http.MethodGet, "/readyz", "")
	assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	assert.Equal(t, "not ready: profile store: dial 127.0.0.1:9000: profile store unavailable\n", body)
	assert.NotEmpty(t, resp.Header.Get("Retry-After"))
	store.fail(nil)

	f.setReady(t, false)
	resp, body = f.do(t, http.MethodGet, "/readyz", "")
	assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	assert.Equal(t, "not ready: the pipelines are not running\n", body)
	assert.Equal(t, "ok\n", f.get(t, "/healthz"))
	assert.Contains(t, f.get(t, "/api/health"), `"status":"degraded"`)
	resp, _ = f.do(t, http.MethodPost, "/api/aggregate", `{}`)
	assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	f.setReady(t, true)
	assert.Equal(t, "ready\n", f.get(t, "/readyz"))
}

func TestTenants(t *testing.T) {
	f := start(t, options{store: newMemoryStore()})
	f.push(t, "red", "agent", "cpu")
	f.push(t, "blue", "agent", "cpu", "cpu")
	for tenant, want := range map[string]int{"red": 1, "blue": 2, "green": 0, "": 0, "anonymous": 0} {
		_, _, _, all := totalsOf(t, f.aggregateOf(t, `{}`, "X-Scope-OrgID", tenant))
		assert.Equal(t, want, all, tenant)
		_, _, _, all = totalsOf(t, f.aggregateOf(t, `{"event_type":"lock"}`, "X-Scope-OrgID", tenant))
		assert.Equal(t, want, all, tenant)
		assert.Equal(t, want, strings.Count(f.get(t, "/api/batches", "X-Scope-OrgID", tenant), "agent_id"), tenant)
		resp, _ := f.do(t, http.MethodGet, "/api/export/collapsed", "", "X-Scope-OrgID", tenant)
		assert.Equal(t, want > 0, resp.StatusCode == http.StatusOK, tenant)
	}
	for _, headers := range [][]string{{"X-Scope-OrgID", "a/b"}, {"X-Scope-OrgID", ".."}, {"X-Scope-OrgID", "red", "X-Scope-OrgID", "blue"}, {"X-Scope-OrgID", strings.Repeat("a", 151)}} {
		for _, route := range append([]string{"POST /api/aggregate", "GET /api/batches"}, exportRoutes...) {
			method, path, found := strings.Cut(route, " ")
			if !found {
				method, path = http.MethodGet, route
			}
			resp, body := f.do(t, method, path, "{}", headers...)
			assert.Equal(t, http.StatusBadRequest, resp.StatusCode, route)
			assert.Contains(t, errorOf(t, body), "invalid `x-scope-orgid`")
		}
	}

	single := start(t, options{store: newMemoryStore(), config: func(c *Config) { c.TenantHeader = "" }})
	single.push(t, "", "agent", "cpu")
	_, _, _, all := totalsOf(t, single.aggregateOf(t, `{}`, "X-Scope-OrgID", "a/b"))
	assert.Equal(t, 1, all)
}
