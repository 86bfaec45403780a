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

func TestExportsAreGzipped(t *testing.T) {
	f := start(t, options{store: newMemoryStore()})
	f.storeProfiles(t, "anonymous", exportProfiles(exportStart, 1))
	for _, path := range []string{"/api/export/json", "/api/export/collapsed", "/api/export/speedscope", "/api/export/svg"} {
		plain, want := f.do(t, http.MethodGet, path, "", "Accept-Encoding", "identity")
		assert.Empty(t, plain.Header.Get("Content-Encoding"), path)
		resp, body := f.do(t, http.MethodGet, path, "", "Accept-Encoding", "gzip")
		assert.Equal(t, "gzip", resp.Header.Get("Content-Encoding"), path)
		assert.Equal(t, "Accept-Encoding", resp.Header.Get("Vary"))
		assert.Equal(t, plain.Header.Get("Content-Type"), resp.Header.Get("Content-Type"))
		z, err := gzip.NewReader(strings.NewReader(body))
		require.NoError(t, err, path)
		got, err := io.ReadAll(z)
		require.NoError(t, err)
		assert.Equal(t, want, string(got), path)
		resp, body = f.do(t, http.MethodGet, path+"?limit=x", "", "Accept-Encoding", "gzip")
		assert.Empty(t, resp.Header.Get("Content-Encoding"))
		assert.Contains(t, errorOf(t, body), "invalid `limit`")
	}
}
