package apertureapiextension

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAcceptsGzip(t *testing.T) {
	for header, want := range map[string]bool{
		"": false, "gzip": true, "GZIP": true, "x-gzip": true, "deflate, gzip;q=0.5": true, "gzip;q=0": false, "gzip; Q=0.000": false,
		"*": true, "*;q=0": false, "gzip;q=0, *": false, "identity": false, "br,deflate": false, "gzip;q=x": false, "gzip;x=1": true,
		"gzipped": false, ",,;,": false, "* , gzip;q=0": false,
	} {
		assert.Equal(t, want, acceptsGzip([]string{header}), header)
	}
	assert.True(t, acceptsGzip([]string{"br", "gzip"}))
	assert.False(t, acceptsGzip(nil))
}

var gzippedExports = []string{
	"/api/export/json", "/api/export/collapsed", "/api/export/speedscope", "/api/export/svg",
	"/api/export/otlp", "/api/export/otlp?format=json", "/api/export/svg?baseline_start_ns=1",
}

// HEAD has the headers of GET, whatever encodings are accepted, and no body.
func TestExportsOfHead(t *testing.T) {
	f := start(t, options{store: newMemoryStore()})
	f.storeProfiles(t, "anonymous", exportProfiles(exportStart, 1))
	for _, path := range append([]string{"/api/export/pprof", "/debug/pprof/profile?seconds=31622400&event_type=lock"}, gzippedExports...) {
		for encoding, want := range map[string]string{"gzip": "gzip", "gzip;q=0": "", "identity": "", "br, *;q=0.1": "gzip"} {
			get, body := f.do(t, http.MethodGet, path, "", "Accept-Encoding", encoding)
			head, none := f.do(t, http.MethodHead, path, "", "Accept-Encoding", encoding)
			assert.Equal(t, get.StatusCode, head.StatusCode, path)
			if get.StatusCode == http.StatusOK {
				require.NotEmpty(t, body)
				assert.NotEmpty(t, head.Header.Get("Content-Disposition"), path)
				if !strings.Contains(path, "pprof") {
					assert.Equal(t, want, get.Header.Get("Content-Encoding"), "%s %s", path, encoding)
				}
			}
			assert.Empty(t, none)
			for _, name := range []string{"Content-Type", "Content-Encoding", "Content-Disposition", "Vary", "X-Content-Type-Options"} {
				assert.Equal(t, get.Header.Values(name), head.Header.Values(name), "%s of %s", name, path)
			}
		}
	}
}

func TestExportsAreGzipped(t *testing.T) {
	f := start(t, options{store: newMemoryStore()})
	f.storeProfiles(t, "anonymous", exportProfiles(exportStart, 1))
	for _, path := range gzippedExports {
		plain, want := f.do(t, http.MethodGet, path, "", "Accept-Encoding", "identity")
		assert.Empty(t, plain.Header.Get("Content-Encoding"), path)
		resp, body := f.do(t, http.MethodGet, path, "", "Accept-Encoding", "gzip")
		assert.Equal(t, "gzip", resp.Header.Get("Content-Encoding"), path)
		assert.Contains(t, strings.Join(resp.Header.Values("Vary"), ", "), "Accept-Encoding")
		assert.Equal(t, plain.Header.Get("Content-Type"), resp.Header.Get("Content-Type"))
		z, err := gzip.NewReader(strings.NewReader(body))
		require.NoError(t, err, path)
		got, err := io.ReadAll(z)
		require.NoError(t, err)
		assert.Equal(t, want, string(got), path)
		sep := "?"
		if strings.Contains(path, "?") {
			sep = "&"
		}
		resp, body = f.do(t, http.MethodGet, path+sep+"limit=x", "", "Accept-Encoding", "gzip")
		assert.Empty(t, resp.Header.Get("Content-Encoding"))
		assert.Contains(t, errorOf(t, body), "invalid `limit`")
	}
}
