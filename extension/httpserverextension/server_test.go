package httpserverextension

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configauth"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/extension/extensiontest"

	"github.com/aperture-collector/aperture-collector/extension/httpserverextension/internal/metadata"
	"github.com/aperture-collector/aperture-collector/internal/httpserver"
)

// testHost has extensions and keeps the statuses that were reported.
type testHost struct {
	extensions map[component.ID]component.Component
	statuses   chan *componentstatus.Event
}

func (h *testHost) GetExtensions() map[component.ID]component.Component { return h.extensions }
func (h *testHost) Report(e *componentstatus.Event)                     { h.statuses <- e }

func newHost() *testHost {
	return &testHost{
		extensions: map[component.ID]component.Component{},
		statuses:   make(chan *componentstatus.Event, 10),
	}
}

type fixture struct {
	*server
	client *http.Client
	host   *testHost
}

// start starts a server on a free port that is ready.
func start(t *testing.T, change func(*Config), host *testHost) *fixture {
	t.Helper()
	cfg := createDefaultConfig().(*Config)
	cfg.ServerConfig.NetAddr.Endpoint = "127.0.0.1:0"
	if change != nil {
		change(cfg)
	}
	require.NoError(t, cfg.Validate())
	s, err := newServer(extensiontest.NewNopSettings(metadata.Type), cfg)
	require.NoError(t, err)
	if host == nil {
		host = newHost()
	}
	require.NoError(t, s.Start(t.Context(), host))
	require.NoError(t, s.Ready())
	f := &fixture{server: s, client: &http.Client{Transport: &http.Transport{}}, host: host}
	t.Cleanup(func() {
		f.client.CloseIdleConnections()
		require.NoError(t, s.Shutdown(context.Background()))
	})
	return f
}

func (f *fixture) do(t *testing.T, method, path string, body io.Reader, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+f.Addr().String()+path, body)
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := f.client.Do(req)
	require.NoError(t, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp, string(text)
}

func text(s string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) })
}

func errorOf(t *testing.T, body string) (message, requestID string) {
	t.Helper()
	var e struct {
		Error     string `json:"error"`
		RequestID string `json:"request_id"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &e), body)
	return e.Error, e.RequestID
}

func TestMount(t *testing.T) {
	f := start(t, nil, nil)
	unmount, err := f.Mount("GET /a", text("one"))
	require.NoError(t, err)
	_, err = f.Mount("POST /a", text("two"))
	require.NoError(t, err)
	_, err = f.Mount("DELETE /items/{id}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.PathValue("id"))
	}))
	require.NoError(t, err)

	_, err = f.Mount("GET /a", text("again"))
	require.ErrorContains(t, err, `mount "GET /a"`)
	require.ErrorContains(t, err, "conflicts")
	_, err = f.Mount("GET  nonsense{", text("x"))
	require.ErrorContains(t, err, "nonsense")
	_, err = f.Mount("GET /nil", nil)
	require.ErrorContains(t, err, "no handler")

	for _, c := range []struct {
		method, path string
		status       int
		body, allow  string
	}{
		{"GET", "/a", 200, "one", ""},
		{"HEAD", "/a", 200, "", ""},
		{"POST", "/a", 200, "two", ""},
		{"DELETE", "/items/a%2Fb", 200, "a/b", ""},
		{"DELETE", "/a", 405, "", "GET, HEAD, POST"},
		{"OPTIONS", "/a", 405, "", "GET, HEAD, POST"},
		{"GET", "/items/x", 405, "", "DELETE"},
		{"GET", "/b", 404, "", ""},
		{"GET", "/", 404, "", ""},
		{"GET", "/a/", 404, "", ""},
	} {
		t.Run(c.method+c.path, func(t *testing.T) {
			resp, body := f.do(t, c.method, c.path, nil)
			assert.Equal(t, c.status, resp.StatusCode)
			assert.Equal(t, c.allow, resp.Header.Get("Allow"))
			if c.status < 400 {
				assert.Equal(t, c.body, body)
				return
			}
			message, id := errorOf(t, body)
			assert.Contains(t, message, c.path)
			assert.Equal(t, resp.Header.Get("X-Request-Id"), id)
			assert.Equal(t, "application/json", resp.Header.Get("Content-Type"))
		})
	}

	unmount()
	unmount()
	resp, _ := f.do(t, "GET", "/a", nil)
	assert.Equal(t, 405, resp.StatusCode)
	assert.Equal(t, "POST", resp.Header.Get("Allow"))
	_, err = f.Mount("GET /a", text("three"))
	require.NoError(t, err)
	_, body := f.do(t, "GET", "/a", nil)
	assert.Equal(t, "three", body)
}

func TestRequestID(t *testing.T) {
	f := start(t, nil, nil)
	_, err := f.Mount("GET /id", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, httpserver.RequestID(r.Context()))
	}))
	require.NoError(t, err)

	resp, body := f.do(t, "GET", "/id", nil, "X-Request-Id", "client-1")
	assert.Equal(t, "client-1", body)
	assert.Equal(t, "client-1", resp.Header.Get("X-Request-Id"))

	for _, bad := range []string{"", "with space", `quote"`, strings.Repeat("x", 129)} {
		resp, body = f.do(t, "GET", "/id", nil, "X-Request-Id", bad)
		assert.NotEqual(t, bad, body)
		assert.NotEmpty(t, body)
		assert.Equal(t, body, resp.Header.Get("X-Request-Id"))
	}
}

func TestNotReady(t *testing.T) {
	f := start(t, func(c *Config) { c.Limits.RetryAfter = 3 * time.Second }, nil)
	_, err := f.Mount("GET /data", text("data"))
	require.NoError(t, err)
	_, err = f.Mount("GET /healthz", text("ok"), httpserver.Always())
	require.NoError(t, err)

	require.NoError(t, f.NotReady())
	for _, path := range []string{"/data", "/unknown"} {
		resp, body := f.do(t, "GET", path, nil)
		assert.Equal(t, 503, resp.StatusCode)
		assert.Equal(t, "3", resp.Header.Get("Retry-After"))
		message, _ := errorOf(t, body)
		assert.Contains(t, message, "not ready")
	}
	_, body := f.do(t, "GET", "/healthz", nil)
	assert.Equal(t, "ok", body)

	require.NoError(t, f.Ready())
	_, body = f.do(t, "GET", "/data", nil)
	assert.Equal(t, "data", body)
}

func TestConcurrencyLimit(t *testing.T) {
	f := start(t, func(c *Config) { c.Limits.MaxConcurrentRequests = 1 }, nil)
	entered, release := make(chan struct{}), make(chan struct{})
	_, err := f.Mount("GET /slow", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		_, _ = io.WriteString(w, "slow")
	}))
	require.NoError(t, err)
	_, err = f.Mount("GET /quick", text("quick"))
	require.NoError(t, err)
	_, err = f.Mount("GET /healthz", text("ok"), httpserver.Always())
	require.NoError(t, err)

	slow := make(chan string)
	go func() {
		_, body := f.do(t, "GET", "/slow", nil)
		slow <- body
	}()
	<-entered
	resp, body := f.do(t, "GET", "/quick", nil)
	assert.Equal(t, 503, resp.StatusCode)
	assert.Equal(t, "1", resp.Header.Get("Retry-After"))
	message, _ := errorOf(t, body)
	assert.Contains(t, message, "too many concurrent requests")
	_, body = f.do(t, "GET", "/healthz", nil)
	assert.Equal(t, "ok", body)
	close(release)
	assert.Equal(t, "slow", <-slow)
	resp, body = f.do(t, "GET", "/quick", nil)
	assert.Equal(t, 200, resp.StatusCode)
	assert.Equal(t, "quick", body)
}

func TestPanics(t *testing.T) {
	f := start(t, nil, nil)
	_, err := f.Mount("GET /before", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") }))
	require.NoError(t, err)
	_, err = f.Mount("GET /after", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		panic("boom")
	}))
	require.NoError(t, err)

	resp, body := f.do(t, "GET", "/before", nil)
	assert.Equal(t, 500, resp.StatusCode)
	message, id := errorOf(t, body)
	assert.Equal(t, "internal error", message)
	assert.NotEmpty(t, id)

	resp, err = f.client.Get("http://" + f.Addr().String() + "/after")
	require.NoError(t, err)
	_, err = io.ReadAll(resp.Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.NoError(t, resp.Body.Close())
}

func TestBodyLimits(t *testing.T) {
	f := start(t, func(c *Config) { c.ServerConfig.MaxRequestBodySize = 1000 }, nil)
	_, err := f.Mount("POST /echo", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			httpserver.WriteError(w, r, http.StatusRequestEntityTooLarge, err.Error())
			return
		}
		if err != nil {
			httpserver.WriteError(w, r, http.StatusBadRequest, err.Error())
			return
		}
		_, _ = w.Write(b)
	}))
	require.NoError(t, err)

	zip := func(n int) io.Reader {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, err := z.Write(bytes.Repeat([]byte("a"), n))
		require.NoError(t, err)
		require.NoError(t, z.Close())
		return &b
	}
	resp, body := f.do(t, "POST", "/echo", strings.NewReader(strings.Repeat("a", 1000)))
	assert.Equal(t, 200, resp.StatusCode)
	assert.Len(t, body, 1000)
	resp, _ = f.do(t, "POST", "/echo", strings.NewReader(strings.Repeat("a", 1001)))
	assert.Equal(t, 413, resp.StatusCode)
	resp, body = f.do(t, "POST", "/echo", zip(1000), "Content-Encoding", "gzip")
	assert.Equal(t, 200, resp.StatusCode)
	assert.Len(t, body, 1000)
	resp, _ = f.do(t, "POST", "/echo", zip(10<<20), "Content-Encoding", "gzip")
	assert.Equal(t, 413, resp.StatusCode)
	resp, body = f.do(t, "POST", "/echo", strings.NewReader("x"), "Content-Encoding", "identity")
	assert.Equal(t, 200, resp.StatusCode)
	assert.Equal(t, "x", body)
	resp, _ = f.do(t, "POST", "/echo", strings.NewReader(strings.Repeat("a", 1001)), "Content-Encoding", "identity")
	assert.Equal(t, 413, resp.StatusCode)
	resp, body = f.do(t, "POST", "/echo", strings.NewReader("x"), "Content-Encoding", "br")
	assert.Equal(t, 400, resp.StatusCode)
	message, _ := errorOf(t, body)
	assert.Contains(t, message, "unsupported Content-Encoding: br")
}

func TestHeaderLimit(t *testing.T) {
	f := start(t, func(c *Config) { c.Limits.MaxHeaderBytes = minHeaderBytes }, nil)
	// net/http allows 4 KiB on top of the limit.
	resp, _ := f.do(t, "GET", "/", nil, "X-Large", strings.Repeat("x", minHeaderBytes+8192))
	assert.Equal(t, 431, resp.StatusCode)
}

func TestSlowHeaderIsCutOff(t *testing.T) {
	f := start(t, func(c *Config) { c.ServerConfig.ReadHeaderTimeout = 50 * time.Millisecond }, nil)
	conn, err := net.Dial("tcp", f.Addr().String())
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n")
	require.NoError(t, err)
	// The server gives up, the client sees the end of the connection.
	_, err = io.ReadAll(conn)
	require.NoError(t, err)
}

// Who does not read the answer does not keep the handler.
func TestSlowReaderIsCutOff(t *testing.T) {
	f := start(t, func(c *Config) { c.ServerConfig.WriteTimeout = 200 * time.Millisecond }, nil)
	failed := make(chan error, 1)
	_, err := f.Mount("GET /endless", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for block := make([]byte, 1<<20); ; {
			if _, err := w.Write(block); err != nil {
				failed <- err
				return
			}
		}
	}))
	require.NoError(t, err)
	conn, err := net.Dial("tcp", f.Addr().String())
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	_, err = io.WriteString(conn, "GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n")
	require.NoError(t, err)
	require.ErrorIs(t, <-failed, os.ErrDeadlineExceeded)
}

type tokenAuth struct {
	component.StartFunc
	component.ShutdownFunc
}

func (tokenAuth) Authenticate(ctx context.Context, sources map[string][]string) (context.Context, error) {
	if http.Header(sources).Get("Authorization") != "Bearer secret" {
		return ctx, errors.New("wrong token")
	}
	return ctx, nil
}

func TestAuthenticationAndCORS(t *testing.T) {
	id := component.MustNewID("token")
	host := newHost()
	host.extensions[id] = tokenAuth{}
	f := start(t, func(c *Config) {
		c.ServerConfig.Auth = configoptional.Some(confighttp.AuthConfig{Config: configauth.Config{AuthenticatorID: id}})
		c.ServerConfig.CORS = configoptional.Some(confighttp.CORSConfig{AllowedOrigins: []string{"https://a.example"}})
	}, host)
	_, err := f.Mount("GET /a", text("a"))
	require.NoError(t, err)

	resp, body := f.do(t, "GET", "/a", nil)
	assert.Equal(t, 401, resp.StatusCode)
	message, _ := errorOf(t, body)
	assert.Equal(t, "wrong token", message)
	resp, body = f.do(t, "GET", "/a", nil, "Authorization", "Bearer secret", "Origin", "https://a.example")
	assert.Equal(t, 200, resp.StatusCode)
	assert.Equal(t, "a", body)
	assert.Equal(t, "https://a.example", resp.Header.Get("Access-Control-Allow-Origin"))
	resp, _ = f.do(t, "OPTIONS", "/a", nil, "Origin", "https://a.example", "Access-Control-Request-Method", "GET")
	assert.Equal(t, 204, resp.StatusCode)
	resp, _ = f.do(t, "GET", "/a", nil, "Authorization", "Bearer secret", "Origin", "https://b.example")
	assert.Empty(t, resp.Header.Get("Access-Control-Allow-Origin"))
}

func TestStartErrors(t *testing.T) {
	f := start(t, nil, nil)
	cfg := createDefaultConfig().(*Config)
	cfg.ServerConfig.NetAddr.Endpoint = f.Addr().String()
	s, err := newServer(extensiontest.NewNopSettings(metadata.Type), cfg)
	require.NoError(t, err)
	err = s.Start(t.Context(), componenttest.NewNopHost())
	require.ErrorContains(t, err, "listen on `endpoint: "+f.Addr().String()+"`")
	assert.Nil(t, s.Addr())
	require.NoError(t, s.Shutdown(t.Context()))

	cfg.ServerConfig.Auth = configoptional.Some(confighttp.AuthConfig{Config: configauth.Config{AuthenticatorID: component.MustNewID("absent")}})
	s, err = newServer(extensiontest.NewNopSettings(metadata.Type), cfg)
	require.NoError(t, err)
	require.ErrorContains(t, s.Start(t.Context(), componenttest.NewNopHost()), "absent")
	require.NoError(t, s.Shutdown(t.Context()))
}

func TestShutdownWaitsForRequests(t *testing.T) {
	f := start(t, nil, nil)
	entered, release := make(chan struct{}), make(chan struct{})
	_, err := f.Mount("GET /slow", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		_, _ = io.WriteString(w, "whole")
	}))
	require.NoError(t, err)
	answer := make(chan string)
	go func() {
		_, body := f.do(t, "GET", "/slow", nil)
		answer <- body
	}()
	<-entered
	done := make(chan error)
	go func() { done <- f.Shutdown(context.Background()) }()
	close(release)
	assert.Equal(t, "whole", <-answer)
	require.NoError(t, <-done)
	require.NoError(t, f.Shutdown(context.Background()), "again")
}

func TestShutdownCutsOffAfterTimeout(t *testing.T) {
	f := start(t, func(c *Config) { c.Limits.ShutdownTimeout = 20 * time.Millisecond }, nil)
	entered := make(chan struct{})
	_, err := f.Mount("GET /stuck", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	}))
	require.NoError(t, err)
	failed := make(chan error)
	go func() {
		resp, err := f.client.Get("http://" + f.Addr().String() + "/stuck")
		if err == nil {
			_ = resp.Body.Close()
		}
		failed <- err
	}()
	<-entered
	require.ErrorIs(t, f.Shutdown(context.Background()), context.DeadlineExceeded)
	require.Error(t, <-failed)
}

func TestListenerFailureIsReported(t *testing.T) {
	host := newHost()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	serveListener(host, &http.Server{ReadHeaderTimeout: time.Second}, listener)
	require.Len(t, host.statuses, 1)
	event := <-host.statuses
	assert.Equal(t, componentstatus.StatusPermanentError, event.Status())
	assert.ErrorContains(t, event.Err(), "serve HTTP on 127.0.0.1:")

	f := start(t, nil, nil)
	require.NoError(t, f.http.Close())
	f.serving.Wait()
	assert.Empty(t, f.host.statuses, "a server that was closed has not failed")
}

// Clients of gRPC speak HTTP/2 without TLS from the first byte; others go on as before.
func TestUnencryptedHTTP2(t *testing.T) {
	f := start(t, nil, nil)
	_, err := f.Mount("POST /a", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto)
	}))
	require.NoError(t, err)
	for _, want := range []string{"HTTP/1.1", "HTTP/2.0"} {
		transport := &http.Transport{Protocols: new(http.Protocols)}
		transport.Protocols.SetHTTP1(want == "HTTP/1.1")
		transport.Protocols.SetUnencryptedHTTP2(want != "HTTP/1.1")
		f.client = &http.Client{Transport: transport}
		resp, body := f.do(t, http.MethodPost, "/a", strings.NewReader("x"))
		assert.Equal(t, http.StatusOK, resp.StatusCode)
		assert.Equal(t, want, body)
		transport.CloseIdleConnections()
	}
}

// What is refused for a route with a shape of its own has that.
func TestRefuse(t *testing.T) {
	f := start(t, func(c *Config) { c.Limits.MaxConcurrentRequests = 1 }, nil)
	entered, release := make(chan struct{}), make(chan struct{})
	_, err := f.Mount("POST /a", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(entered)
		<-release
	}), httpserver.Refuse(func(w http.ResponseWriter, _ *http.Request, status int, after time.Duration, message string) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, after.String()+" "+message)
	}))
	require.NoError(t, err)
	_, err = f.Mount("POST /b", text("b"))
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		resp, err := f.client.Post("http://"+f.Addr().String()+"/a", "", nil)
		if err == nil {
			err = resp.Body.Close()
		}
		done <- err
	}()
	<-entered
	resp, body := f.do(t, http.MethodPost, "/a", nil)
	assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	assert.Equal(t, "1s too many concurrent requests", body)
	_, body = f.do(t, http.MethodPost, "/b", nil)
	message, _ := errorOf(t, body)
	assert.Equal(t, "too many concurrent requests", message)
	resp, body = f.do(t, http.MethodPost, "/a", nil, "Content-Encoding", "x")
	assert.Equal(t, http.StatusBadRequest, resp.StatusCode)
	assert.Equal(t, "0s unsupported Content-Encoding: x", body)
	close(release)
	require.NoError(t, <-done)
}
