package apertureapiextension

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// shape is what a value of a request must be.
type shape int

const (
	integer shape = iota
	text
	enum
	object
	number
)

// surface is what a route takes from a client. A route without an entry fails
// the test.
type surface struct {
	// path is requested; empty is that of the pattern.
	path string
	// keys are those of the body's JSON object, required the ones that must be
	// there, as JSON.
	keys     map[string]shape
	required map[string]string
	// params are the parameters.
	params map[string]shape
}

var filterKeys = map[string]shape{
	"agent_id": text, "time_start_ns": integer, "time_end_ns": integer, "limit": integer,
	"event_type": enum, "service": text, "labels": object, "frame_order": enum,
}

var filterParams = map[string]shape{
	"agent_id": text, "time_start_ns": integer, "time_end_ns": integer, "limit": integer,
	"event_type": enum, "service": text, "label.x": text, "frame_order": enum,
}

// with returns the union of two sets.
func with(a, b map[string]shape) map[string]shape {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

var surfaces = map[string]surface{
	"GET /healthz":              {},
	"GET /readyz":               {},
	"GET /metrics":              {},
	"GET /api/health":           {},
	"GET /api/batches":          {params: map[string]shape{"agent_id": text, "limit": integer}},
	"POST /api/aggregate":       {keys: filterKeys},
	"GET /api/export/json":      {params: filterParams},
	"GET /api/export/collapsed": {params: filterParams},
	"GET /api/export/pprof":     {params: filterParams},
	"GET /api/export/speedscope": {
		params: filterParams,
	},
	"GET /api/export/svg":      {params: with(filterParams, map[string]shape{"title": text, "width": integer, "download": enum})},
	"GET /api/export/otlp":     {params: with(filterParams, map[string]shape{"format": enum})},
	"GET /debug/pprof/profile": {params: map[string]shape{"seconds": integer}},
	"POST /api/diff": {keys: map[string]shape{
		"baseline_agent_id": text, "baseline_start_ns": integer, "baseline_end_ns": integer,
		"comparison_agent_id": text, "comparison_start_ns": integer, "comparison_end_ns": integer,
		"event_type": enum, "limit": integer, "normalize": enum, "service": text, "labels": object, "frame_order": enum,
	}},
	"DELETE /api/data":        {params: map[string]shape{"service": text, "agent_id": text, "tenant": text, "confirm": text}},
	"GET /api/data/jobs":      {},
	"GET /api/data/jobs/{id}": {path: "/api/data/jobs/nosuchjob"},
	"GET /api/alerts":         {},
	"POST /api/alerts": {
		keys: map[string]shape{"name": text, "metric": enum, "operator": enum, "threshold": number, "severity": enum},
		required: map[string]string{
			"name": `"n"`, "metric": `"push_error_rate"`, "operator": `"gt"`, "threshold": "1", "severity": `"info"`,
		},
	},
	"DELETE /api/alerts/{id}":      {path: "/api/alerts/alert-404"},
	"DELETE /api/alerts":           {},
	"DELETE /api/alerts/{$}":       {path: "/api/alerts/"},
	"POST /api/alerts/{id}/toggle": {path: "/api/alerts/alert-404/toggle"},
	"POST /api/alerts/toggle":      {},
	"GET /api/alerts/history":      {params: map[string]shape{"limit": integer, "phase": enum}},
	"POST /api/alerts/evaluate":    {},
}

// badJSON are values that no key of a shape may have.
var badJSON = map[shape][]string{
	integer: {`-1`, `9223372036854775808`, `-9223372036854775809`, `1.5`, `1e3`, `"1"`, `true`, `[]`, `{}`},
	text:    {`1`, `true`, `[]`, `{}`, `"` + strings.Repeat("x", 5000) + `"`},
	enum:    {`1`, `true`, `[]`, `{}`, `"\u0000"`, `"no such value"`},
	object:  {`1`, `"x"`, `[]`, `{"a":1}`, `{"a":null}`, `{"":"x"}`},
	number:  {`"1"`, `true`, `[]`, `{}`, `1e400`},
}

// badParams are values, escaped, that no parameter of a shape may have.
var badParams = map[shape][]string{
	integer: {"", "-1", "9223372036854775808", "1.5", "0x10", "1e3", "x", "%00", "%EF%BC%91", "1%201"},
	text:    {strings.Repeat("x", 5000), "%ff"},
	enum:    {"%00", "no+such+value", "%ff"},
}

// testRoute is a route as the test requests it.
type testRoute struct {
	surface
	method, path string
}

// testRoutes lists all routes.
func testRoutes(t *testing.T, f *fixture) []testRoute {
	t.Helper()
	var out []testRoute
	for _, r := range f.routes() {
		s, ok := surfaces[r.pattern]
		require.True(t, ok, "add %q to surfaces", r.pattern)
		method, path, _ := strings.Cut(r.pattern, " ")
		if s.path != "" {
			path = s.path
		}
		out = append(out, testRoute{surface: s, method: method, path: path})
	}
	require.Len(t, out, len(surfaces), "a route is gone")
	return out
}

func hostileFixture(t *testing.T) *fixture {
	t.Helper()
	f := start(t, options{store: newMemoryStore()})
	f.push(t, "", "agent-1", "mixed")
	return f
}

// refused expects a status, an error that says why and the identity of the
// request.
func (f *fixture) refused(t *testing.T, status int, why, method, path, body string, headers ...string) {
	t.Helper()
	resp, answer := f.do(t, method, path, body, headers...)
	if assert.Equal(t, status, resp.StatusCode, "%s %.200s %.200s: %s", method, path, body, answer) {
		assert.Contains(t, errorOf(t, answer), why, "%s %.200s %.200s", method, path, body)
		assert.Equal(t, "application/json", resp.Header.Get("Content-Type"))
	}
}

// body makes a JSON object of the required keys and one that replaces or joins
// them.
func (s *surface) body(key, value string) string {
	fields := maps.Clone(s.required)
	if fields == nil {
		fields = map[string]string{}
	}
	fields[key] = value
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(fields)) {
		parts = append(parts, fmt.Sprintf("%q:%s", k, fields[k]))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func TestHostileKeys(t *testing.T) {
	f := hostileFixture(t)
	for _, r := range testRoutes(t, f) {
		for key, s := range r.keys {
			t.Run(r.path+"/"+key, func(t *testing.T) {
				for _, value := range badJSON[s] {
					f.refused(t, http.StatusBadRequest, key, r.method, r.path, r.body(key, value))
				}
				twice := strings.Replace(r.body(key, `null`), "{", fmt.Sprintf("{%q:null,", key), 1)
				f.refused(t, http.StatusBadRequest, key, r.method, r.path, twice)
			})
		}
		for key := range r.required {
			f.refused(t, http.StatusBadRequest, key, r.method, r.path, r.body(key, `null`))
		}
	}
}

func TestHostileParameters(t *testing.T) {
	f := hostileFixture(t)
	for _, r := range testRoutes(t, f) {
		for name, s := range r.params {
			t.Run(r.path+"/"+name, func(t *testing.T) {
				named := strings.TrimPrefix(name, "label.")
				for _, value := range badParams[s] {
					if name == "title" && value == "%ff" {
						continue // it is only shown
					}
					f.refused(t, http.StatusBadRequest, named, r.method, r.path+"?"+name+"="+value, "")
				}
				f.refused(t, http.StatusBadRequest, named, r.method, r.path+"?"+name+"=1&"+name+"=1", "")
			})
		}
		if len(r.params) > 0 {
			for _, raw := range []string{"limit=%zz", "%", "a=1;b=2", "limit=%f"} {
				f.refused(t, http.StatusBadRequest, "query string", r.method, r.path+"?"+raw, "")
			}
		}
	}
}

func TestHostileBodies(t *testing.T) {
	f := hostileFixture(t)
	deep := strings.Repeat(`{"a":`, 100_000)
	for _, r := range testRoutes(t, f) {
		if r.keys == nil {
			continue
		}
		t.Run(r.path, func(t *testing.T) {
			for _, body := range []string{
				"", " ", "{", "}", "[]", "null", "1", `"x"`, "{}x", "{}{}", `{"a"}`, `{"a":}`, `{1:2}`, `{"a":1,}`, "{'a':1}",
				"\x00", "\xef\xbb\xbf{}", "\xff\xfe{\x00}\x00", `{"a":NaN}`, `{"a":01}`,
				`{"agent_id":"a` + "\n" + `b"}`, deep, strings.Repeat("[", 100_000), `{"labels":` + deep, "<xml/>", "a=1&b=2",
			} {
				f.refused(t, http.StatusBadRequest, "`", r.method, r.path, body)
			}
			if r.required == nil {
				f.refused(t, http.StatusBadRequest, "UTF-8", r.method, r.path, `{"agent_id":"`+"\xff"+`"}`)
			}
			huge := `{"agent_id":"` + strings.Repeat("x", maxBody) + `"}`
			f.refused(t, http.StatusRequestEntityTooLarge, "1048576", r.method, r.path, huge)
			f.refused(t, http.StatusRequestEntityTooLarge, "1048576", r.method, r.path, strings.Repeat("{", 2*maxBody))
		})
	}
}

// Every route answers other methods with 405 and says which it has.
func TestHostileMethods(t *testing.T) {
	f := hostileFixture(t)
	mux := http.NewServeMux()
	for _, r := range f.routes() {
		mux.HandleFunc(r.pattern, r.handler)
	}
	methods := []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodOptions, http.MethodTrace, "BREW", "get",
	}
	for _, r := range testRoutes(t, f) {
		for _, method := range methods {
			req, err := http.NewRequestWithContext(t.Context(), method, "http://x"+r.path, http.NoBody)
			require.NoError(t, err)
			if _, pattern := mux.Handler(req); pattern != "" {
				continue
			}
			if method != http.MethodHead { // whose answer has no body
				f.refused(t, http.StatusMethodNotAllowed, r.path, method, r.path, "")
			}
			resp, _ := f.do(t, method, r.path, "")
			assert.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode, "%s %s", method, r.path)
			assert.Contains(t, resp.Header.Get("Allow"), r.method)
		}
	}
}

// Types of content are not looked at: what counts is that the body is JSON.
func TestHostileContentTypes(t *testing.T) {
	f := hostileFixture(t)
	for _, contentType := range []string{"text/html", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "\xff", strings.Repeat("x", 1000)} {
		f.aggregateOf(t, `{}`, "Content-Type", contentType)
	}
	for _, accept := range []string{"nonsense", "*/*;q=2", strings.Repeat("application/json,", 1000)} {
		f.get(t, "/api/export/otlp", "Accept", accept)
	}
}

// Whatever is done to a path, it is another route, none, or a redirect to the
// path that was meant.
func TestHostilePaths(t *testing.T) {
	f := hostileFixture(t)
	f.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, path := range []string{
		"/api/alerts/%2e%2e", "/api/alerts/%2e%2e/toggle", "/api/alerts/..%2f..%2fmetrics", "/api/alerts/a%2Fb/toggle",
		"/api/alerts/%00/toggle", "/api/alerts/%ff", "/api/alerts//toggle", "/api/alerts/" + strings.Repeat("x", 10_000),
		"/api/alerts/;id=1/toggle", "/api/alerts/%0d%0aX-Evil:1/toggle", "//api/aggregate", "/api//aggregate", "/api/./aggregate",
		"/api/aggregate/", "/api/aggregate%2f", "/API/aggregate", "/api/aggregate%00", "/api/..", "/%2e%2e/etc/passwd", "/api/diff/..",
	} {
		for _, method := range []string{http.MethodPost, http.MethodDelete} {
			resp, body := f.do(t, method, path, "")
			assert.Contains(t, []int{
				http.StatusMovedPermanently, http.StatusTemporaryRedirect, http.StatusPermanentRedirect,
				http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed,
			}, resp.StatusCode, "%s %s: %s", method, path, body)
			assert.Empty(t, resp.Header.Get("X-Evil"))
			assert.NotContains(t, resp.Header.Get("Location"), "//", "a redirect leads to no other host")
		}
	}
}
