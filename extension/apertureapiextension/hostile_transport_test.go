package apertureapiextension

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/httpserverextension"
	"github.com/aperture-collector/aperture-collector/internal/heaptest"
	"github.com/aperture-collector/aperture-collector/internal/httpserver"
)

// flat expects that f never holds much while work is done, and leaves nothing
// behind, and that the server goes on.
func (f *fixture) flat(t *testing.T, work func()) {
	t.Helper()
	// Two zstd decoders take some 30 MiB, one of a request and one of the request
	// before; a bomb unfolds to 64.
	const room = 48 << 20
	f.aggregateOf(t, `{}`)
	before := heaptest.InUse()
	peak := livePeak(work)
	t.Logf("%d KiB before, peak %d KiB", before>>10, peak>>10)
	assert.Less(t, peak, before+room, "little is held at a time")
	f.client.CloseIdleConnections()
	assert.Less(t, heaptest.InUse(), before+8<<20, "nothing is kept")
	f.aggregateOf(t, `{}`)
}

// livePeak returns the largest heap without garbage that is seen while work is done.
func livePeak(work func()) (peak uint64) {
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
				peak = max(peak, heaptest.InUse())
			}
		}
	}()
	work()
	close(done)
	<-stopped
	return peak
}

// squeezed compresses zeros, which make the smallest of bombs.
func squeezed(t *testing.T, size int64) map[string]string {
	t.Helper()
	var gz, zs bytes.Buffer
	g := gzip.NewWriter(&gz)
	z, err := zstd.NewWriter(&zs)
	require.NoError(t, err)
	for _, w := range []io.WriteCloser{g, z} {
		_, err := io.CopyN(w, spaces{}, size)
		require.NoError(t, err)
		require.NoError(t, w.Close())
	}
	return map[string]string{"gzip": gz.String(), "zstd": zs.String()}
}

type spaces struct{}

func (spaces) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte(" "), len(p))), nil }

func TestHostileEncodings(t *testing.T) {
	f := hostileFixture(t)
	bombs := squeezed(t, 64<<20)
	f.flat(t, func() {
		for _, r := range testRoutes(t, f) {
			if r.keys == nil {
				continue
			}
			for encoding, bomb := range bombs {
				resp, body := f.do(t, r.method, r.path, bomb, "Content-Encoding", encoding)
				assert.Contains(t, []int{http.StatusRequestEntityTooLarge, http.StatusBadRequest}, resp.StatusCode, "%s %s", encoding, body)
				assert.NotEmpty(t, errorOf(t, body))
				for _, bad := range []string{"", "no " + encoding, bomb[:len(bomb)/2], bomb[:3]} {
					resp, body := f.do(t, r.method, r.path, bad, "Content-Encoding", encoding)
					assert.Contains(t, []int{http.StatusRequestEntityTooLarge, http.StatusBadRequest}, resp.StatusCode, "%s %s", encoding, body)
					errorOf(t, body)
				}
			}
			for _, encoding := range []string{"br", "gzip, gzip", "nonsense", strings.Repeat("gzip,", 1000)} {
				f.refused(t, http.StatusBadRequest, "Content-Encoding", r.method, r.path, "{}", "Content-Encoding", encoding)
			}
		}
	})
}

func TestHostileHeaders(t *testing.T) {
	f := hostileFixture(t)
	f.flat(t, func() {
		many := make([]string, 0, 20_000)
		for i := range 10_000 {
			many = append(many, fmt.Sprintf("X-%d", i), "x")
		}
		for _, r := range testRoutes(t, f) {
			resp, _ := f.do(t, r.method, r.path, "", "X-Large", strings.Repeat("x", 100_000))
			assert.Equal(t, http.StatusRequestHeaderFieldsTooLarge, resp.StatusCode)
			resp, _ = f.do(t, r.method, r.path, "", many...)
			assert.Equal(t, http.StatusRequestHeaderFieldsTooLarge, resp.StatusCode)
		}
	})
	for _, tenant := range []string{"a/b", "..", strings.Repeat("x", 151), "\xff"} {
		f.refused(t, http.StatusBadRequest, "x-scope-orgid", http.MethodPost, "/api/aggregate", "{}", "X-Scope-OrgID", tenant)
	}
	f.refused(t, http.StatusBadRequest, "x-scope-orgid", http.MethodPost, "/api/aggregate", "{}", "X-Scope-OrgID", "a", "X-Scope-OrgID", "b")
}

// raw sends bytes and returns all that comes until the server hangs up.
func (f *fixture) raw(t *testing.T, text string) string {
	t.Helper()
	conn := f.dial(t)
	_, err := io.WriteString(conn, text)
	require.NoError(t, err)
	answer, _ := io.ReadAll(conn) // an error is a reset, which is an end as well
	return string(answer)
}

func (f *fixture) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", f.server.(httpserver.Server).Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestHostileRequestLines(t *testing.T) {
	f := hostileFixture(t)
	for _, text := range []string{
		"\r\n\r\n\r\n", "GET\r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\x16\x03\x01\x02\x00", "GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"POST /api/aggregate HTTP/1.1\r\n\r\n", "POST /api/aggregate HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"POST /api/aggregate HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
		"POST /api/aggregate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
		"POST /api/aggregate HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
		"POST /api/aggregate HTTP/1.1\r\nHost: localhost\r\n: x\r\n\r\n", "POST /api/aggregate HTTP/1.1\r\nHost: localhost\r\nX\x00: x\r\n\r\n",
	} {
		// Of less than the beginning of HTTP/2, the server waits for the rest.
		answer := f.raw(t, text+strings.Repeat("\r\n", 8))
		if answer != "" {
			assert.Regexp(t, `^HTTP/1\.[01] [45]\d\d `, answer, "%q", text)
			assert.NotContains(t, answer, "HTTP/1.1 500", "%q", text)
		}
	}
	// The beginning of HTTP/2, and no frame after it: the server says its settings,
	// answers nothing, and hangs up.
	const data, headers, settings = 0, 1, 4
	var frames []byte // their types
	for answer := f.raw(t, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+strings.Repeat("\r\n", 100)); answer != ""; {
		require.GreaterOrEqual(t, len(answer), 9)
		size := int(answer[0])<<16 | int(answer[1])<<8 | int(answer[2])
		require.GreaterOrEqual(t, len(answer), 9+size)
		frames = append(frames, answer[3])
		answer = answer[9+size:]
	}
	require.NotEmpty(t, frames)
	assert.EqualValues(t, settings, frames[0])
	assert.NotContains(t, frames, byte(data))
	assert.NotContains(t, frames, byte(headers))
	f.aggregateOf(t, `{}`)
}

// Chunks beyond the limit, and chunks that are none, are not read to the end.
func TestHostileChunks(t *testing.T) {
	f := hostileFixture(t)
	head := "POST /api/aggregate HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, chunks := range []string{
		"zz\r\n{}\r\n0\r\n\r\n", "ffffffffffffffffff\r\n{}", "-1\r\n{}\r\n0\r\n\r\n", "2\r\n{}xx0\r\n\r\n",
		strings.Repeat("1\r\n \r\n", maxBody+10) + "0\r\n\r\n",
	} {
		answer := f.raw(t, head+chunks)
		assert.Regexp(t, `^HTTP/1\.1 4\d\d `, answer, "%.30q", chunks)
	}
	f.aggregateOf(t, `{}`)
}

// Who sends slowly is cut off.
func TestSlowClients(t *testing.T) {
	f := start(t, options{store: newMemoryStore(), server: func(c *httpserverextension.Config) {
		c.ServerConfig.ReadHeaderTimeout, c.ServerConfig.ReadTimeout = 100*time.Millisecond, 200*time.Millisecond
	}})
	// raw returns when the server hangs up.
	for _, text := range []string{"", "POST /api/agg", "POST /api/aggregate HTTP/1.1\r\nHost: localhost\r\nContent-Len"} {
		f.raw(t, text)
	}
	for _, path := range []string{"/api/aggregate", "/api/diff"} {
		head := "POST " + path + " HTTP/1.1\r\nHost: localhost\r\n"
		for _, text := range []string{head + "Content-Length: 100\r\n\r\n{", head + "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"} {
			answer := f.raw(t, text)
			assert.Regexp(t, `^HTTP/1\.1 408 `, answer, "%q", text)
			assert.Contains(t, answer, "did not come in time")
		}
	}
	f.raw(t, "POST /api/alerts HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
	f.aggregateOf(t, `{}`)
}

// Requests that their clients give up end at once and give their place back.
func TestCancelledRequests(t *testing.T) {
	store := newMemoryStore()
	f := start(t, options{store: store, server: func(c *httpserverextension.Config) { c.Limits.MaxConcurrentRequests = 64 }})
	f.push(t, "", "agent-1", "mixed")
	f.flat(t, func() {
		store.fail(errHang)
		var wg sync.WaitGroup
		for _, r := range testRoutes(t, f) {
			for range 8 {
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
					defer cancel()
					url := "http://" + f.server.(httpserver.Server).Addr().String() + r.path
					var body io.Reader = http.NoBody
					if r.keys != nil {
						body = strings.NewReader(`{}`)
					}
					req, err := http.NewRequestWithContext(ctx, r.method, url, body)
					if err != nil {
						return
					}
					if resp, err := f.client.Do(req); err == nil {
						_, _ = io.Copy(io.Discard, resp.Body)
						_ = resp.Body.Close()
					}
				})
			}
		}
		wg.Wait()
		store.fail(nil)
		require.Eventually(t, func() bool {
			resp, _ := f.do(t, http.MethodPost, "/api/aggregate", `{}`)
			return resp.StatusCode == http.StatusOK
		}, 10*time.Second, 10*time.Millisecond)
	})
}

// However many delete a rule at the same time, one has deleted it.
func TestConcurrentDeletes(t *testing.T) {
	f := hostileFixture(t)
	resp, body := f.do(t, http.MethodPost, "/api/alerts",
		`{"name":"n","metric":"push_error_rate","operator":"gt","threshold":1,"severity":"info"}`)
	require.Equal(t, http.StatusCreated, resp.StatusCode, body)
	var created struct {
		ID string `json:"id"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &created))
	var deleted, missing atomic.Int32
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			resp, body := f.do(t, http.MethodDelete, "/api/alerts/"+created.ID, "")
			switch {
			case resp.StatusCode == http.StatusOK && strings.Contains(body, "true"):
				deleted.Add(1)
			case resp.StatusCode == http.StatusNotFound && strings.Contains(body, "false"):
				missing.Add(1)
			}
		})
	}
	wg.Wait()
	f.client.CloseIdleConnections() // a shutdown would wait for those never used
	assert.EqualValues(t, 1, deleted.Load())
	assert.EqualValues(t, 63, missing.Load())
	assert.JSONEq(t, `[]`, f.get(t, "/api/alerts"))
}
