package apertureapiextension

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pprofile"
)

// checkOTLP expects profiles of all kinds of a tenant in the store, imports what
// is exported of them as others, and expects the same answers.
func checkOTLP(t *testing.T, f *fixture, tenant string) {
	header := func(name string) []string { return []string{"X-Scope-OrgID", name} }
	for format, u := range map[string]pprofile.Unmarshaler{"proto": &pprofile.ProtoUnmarshaler{}, "json": &pprofile.JSONUnmarshaler{}} {
		resp, body := f.do(t, http.MethodGet, "/api/export/otlp?service=exported&format="+format, "", header(tenant)...)
		require.Equal(t, http.StatusOK, resp.StatusCode, body)
		assert.Empty(t, resp.Header.Get(truncatedHeader))
		pd, err := u.UnmarshalProfiles([]byte(body))
		require.NoError(t, err)
		imported := tenant + "-" + format
		f.storeProfiles(t, imported, pd)
		again, body2 := f.do(t, http.MethodGet, "/api/export/otlp?service=exported&format="+format, "", header(imported)...)
		require.Equal(t, http.StatusOK, again.StatusCode)
		assert.Equal(t, body, body2, "what was imported is exported as the same bytes")
		for _, query := range []string{
			`{}`, `{"service":"exported"}`, `{"event_type":"lock"}`, `{"event_type":"syscall"}`, `{"event_type":"off_cpu"}`,
		} {
			assert.JSONEq(t, f.aggregateOf(t, query, header(tenant)...), f.aggregateOf(t, query, header(imported)...), query)
		}
		for _, kind := range []string{"cpu", "lock", "syscall", "off_cpu"} {
			path := "/api/export/collapsed?event_type=" + kind
			assert.Equal(t, f.get(t, path, header(tenant)...), f.get(t, path, header(imported)...), kind)
		}
	}
}

func TestExportOTLP(t *testing.T) {
	f := start(t, options{store: newMemoryStore()})
	f.storeProfiles(t, "red", exportProfiles(exportStart, 1))
	checkOTLP(t, f, "red")

	for _, c := range []struct{ query, accept, contentType, file string }{
		{"", "", "application/x-protobuf", "aperture-profiles.otlp.pb"},
		{"", "*/*", "application/x-protobuf", "aperture-profiles.otlp.pb"},
		{"", "text/html, Application/JSON;q=0.5", "application/json", "aperture-profiles.otlp.json"},
		{"", "application/json;q=0, application/protobuf", "application/x-protobuf", "aperture-profiles.otlp.pb"},
		{"?format=json&event_type=off_cpu", "application/x-protobuf", "application/json", "aperture-off_cpu.otlp.json"},
		{"?format=proto", "application/json", "application/x-protobuf", "aperture-profiles.otlp.pb"},
	} {
		resp, _ := f.do(t, http.MethodGet, "/api/export/otlp"+c.query, "", "X-Scope-OrgID", "red", "Accept", c.accept)
		assert.Equal(t, http.StatusOK, resp.StatusCode)
		assert.Equal(t, c.contentType, resp.Header.Get("Content-Type"), c)
		assert.Equal(t, `attachment; filename="`+c.file+`"`, resp.Header.Get("Content-Disposition"), c)
		assert.Equal(t, "Accept, Accept-Encoding", strings.Join(resp.Header.Values("Vary"), ", "))
	}
	resp, body := f.do(t, http.MethodGet, "/api/export/otlp?limit=1", "", "X-Scope-OrgID", "red")
	assert.Equal(t, "true", resp.Header.Get(truncatedHeader))
	pd, err := (&pprofile.ProtoUnmarshaler{}).UnmarshalProfiles([]byte(body))
	require.NoError(t, err)
	assert.Equal(t, 2, pd.ResourceProfiles().At(0).ScopeProfiles().At(0).Profiles().At(0).Samples().Len(), "a stack, and what came without")

	for _, path := range []string{"/api/export/otlp", "/api/export/otlp?event_type=gpu_kernel"} {
		resp, body = f.do(t, http.MethodGet, path, "", "X-Scope-OrgID", "blue")
		assert.Equal(t, http.StatusNotFound, resp.StatusCode)
		assert.Contains(t, body, "profile data available")
	}
	for _, query := range []string{"format=xml", "format=", "format=json&format=json"} {
		resp, body = f.do(t, http.MethodGet, "/api/export/otlp?"+query, "")
		assert.Equal(t, http.StatusBadRequest, resp.StatusCode)
		assert.Contains(t, errorOf(t, body), "invalid `format`")
	}
}
