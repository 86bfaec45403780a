package httpserverextension

import (
	"bytes"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/httpserver"
)

// zstdFrame is a frame that asks for a window of 2^log bytes and has the text.
func zstdFrame(log byte, text string) string {
	block := len(text)<<3 | 1 // raw, the last one
	return "\x28\xb5\x2f\xfd\x00" + string([]byte{(log - 10) << 3, byte(block), byte(block >> 8), byte(block >> 16)}) + text
}

// A body cannot have us take much more memory than it may have.
func TestZstdWindow(t *testing.T) {
	f := start(t, nil, nil)
	_, err := f.Mount("POST /echo", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			httpserver.WriteError(w, r, http.StatusBadRequest, err.Error())
			return
		}
		_, _ = w.Write(b)
	}))
	require.NoError(t, err)
	post := func(body string) (int, string) {
		resp, text := f.do(t, "POST", "/echo", strings.NewReader(body), "Content-Encoding", "zstd")
		return resp.StatusCode, text
	}
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, zstd.WithWindowSize(maxZstdWindow))
	require.NoError(t, err)
	long := strings.Repeat("0123456789", 1<<20)
	_, err = io.WriteString(w, long)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	status, text := post(b.String())
	assert.Equal(t, http.StatusOK, status)
	assert.True(t, text == long, "the largest window")
	status, text = post(zstdFrame(23, "small"))
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, "small", text)

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, body := range []string{zstdFrame(24, "x"), zstdFrame(29, "x"), zstdFrame(41, "x"), zstdFrame(10, "x") + zstdFrame(29, strings.Repeat("x", 2000))} {
		status, text := post(body)
		assert.Equal(t, http.StatusBadRequest, status)
		assert.Contains(t, text, "window size exceeded")
	}
	runtime.ReadMemStats(&after)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(16<<20), "nothing of the kind is allocated")
}
