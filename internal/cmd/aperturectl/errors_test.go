package main

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
)

// What servers answer becomes one sentence that says what to do.
func TestHTTPErrors(t *testing.T) {
	const token = "hunter2-secret"
	for name, tt := range map[string]struct {
		status int
		header map[string]string
		body   string
		args   []string
		want   string
	}{
		"400":         {status: 400, body: `{"error":"invalid ` + "`limit`" + `: it is -1","request_id":"R1"}`, want: "invalid `limit`: it is -1 (request id R1)"},
		"401":         {status: 401, body: `{"error":"unauthorized","request_id":"R1"}`, want: "HOST wants another token (unauthorized (request id R1)): give it by --token-file or APERTURE_AUTH_TOKEN"},
		"401 empty":   {status: 401, want: "HOST wants another token (unauthorized): give it by --token-file or APERTURE_AUTH_TOKEN"},
		"403":         {status: 403, body: "no", want: "HOST does not allow it: no"},
		"404 no data": {status: 404, body: "No CPU profile data available\n", args: []string{"export", "svg"}, want: "no CPU profile data available: check the filters, or take a longer time"},
		"404 route":   {status: 404, body: "404 page not found\n", want: "HOST knows no /api/aggregate: check --server, and that the collector has the aperture_api extension"},
		"404 rule":    {status: 404, body: `{"error":"rule not found"}`, args: []string{"alerts", "toggle", "a/b"}, want: "there is no rule a/b: see `aperturectl alerts list`"},
		"404 deleted": {status: 404, body: `{"deleted":false}`, args: []string{"alerts", "delete", "x"}, want: "there is no rule x: see `aperturectl alerts list`"},
		"413":         {status: 413, body: `{"error":"the limit is 1048576 bytes"}`, want: "the request is larger than HOST takes: the limit is 1048576 bytes"},
		"422":         {status: 422, body: `{"error":"query limit exceeded"}`, want: "the query is too large for HOST (query limit exceeded): narrow it down by --since, --service or --limit"},
		"501":         {status: 501, body: `{"error":"not implemented"}`, want: "HOST cannot do this (not implemented): it may be of another version than aperturectl"},
		"503":         {status: 503, body: `{"error":"storage not configured (enable ClickHouse)"}`, want: "HOST answers service unavailable: storage not configured (enable ClickHouse)"},
		"503 later":   {status: 503, header: map[string]string{"Retry-After": "3600"}, body: `{"error":"profile store unavailable"}`, want: "HOST answers service unavailable: profile store unavailable; try again in 1h0m0s"},
		"302":         {status: 302, header: map[string]string{"Location": "https://elsewhere/"}, want: "HOST redirects to https://elsewhere/: use that for --server"},
		"no JSON":     {status: 200, body: "<html>", want: "the answer of HOST is not what aperturectl knows (invalid character '<' looking for beginning of value): they may be of different versions"},
		"escapes":     {status: 500, body: "\x1b[31mred\nsecond line", want: "HOST answers internal server error: \ufffd[31mred"},
		"bad diff":    {status: 200, body: `{"result_json":"","error":"the diff failed"}`, args: []string{"diff", "--since", "1m"}, want: "the diff failed"},
		"half a list": {status: 200, body: `{"batches":[],"error":"the store is away"}`, args: []string{"batches"}, want: "the list is not complete: the store is away"},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			assert.Equal(t, "Bearer "+token, r.Header.Get("Authorization"))
			assert.Equal(t, "red", r.Header.Get("X-Scope-OrgID"))
			for k, v := range tt.header {
				w.Header().Set(k, v)
			}
			w.WriteHeader(tt.status)
			_, _ = w.Write([]byte(tt.body))
		}))
		args := tt.args
		if args == nil {
			args = []string{"aggregate"}
		}
		r := ctl(t, []string{"APERTURE_SERVER=" + s.URL, "APERTURE_AUTH_TOKEN=" + token}, append(args, "--tenant", "red")...)
		s.Close()
		assert.Equal(t, exitFailure, r.code, name)
		want := strings.ReplaceAll(tt.want, "HOST", strings.TrimPrefix(s.URL, "http://"))
		assert.Equal(t, "aperturectl: "+want+"\n", r.err, name)
		assert.NotContains(t, r.err, token, name)
	}
}

// A query is asked again as often and as late as the server says, what changes
// something is not.
func TestRetries(t *testing.T) {
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) < 3 {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte(`{"batches":[],"error":""}`))
	}))
	defer s.Close()
	env := []string{"APERTURE_SERVER=" + s.URL}
	r := ctl(t, env, "batches")
	require.Zero(t, r.code, r.err)
	assert.EqualValues(t, 3, asked.Load())

	asked.Store(-100)
	r = ctl(t, env, "batches")
	assert.Equal(t, exitFailure, r.code)
	assert.EqualValues(t, -100+1+maxRetries, asked.Load())

	asked.Store(-100)
	r = ctl(t, env, "alerts", "toggle", "x")
	assert.Equal(t, exitFailure, r.code)
	assert.EqualValues(t, -99, asked.Load())
}

// closed returns an address where nothing listens.
func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

func TestConnectionErrors(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.EnableHTTP2 = true
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	mutual := httptest.NewUnstartedServer(http.NotFoundHandler())
	mutual.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	mutual.EnableHTTP2 = true
	mutual.Config.ErrorLog = secure.Config.ErrorLog
	mutual.StartTLS()
	defer mutual.Close()
	old := httptest.NewUnstartedServer(http.NotFoundHandler()) // without HTTP/2
	old.Config.ErrorLog = secure.Config.ErrorLog
	old.StartTLS()
	defer old.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600))
	noServer := closed(t)
	address := func(s *httptest.Server) string { return s.Listener.Addr().String() }

	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"refused":          {[]string{"top", "--server", noServer}, "nothing listens on " + noServer + ": start the collector, or give its address by --server"},
		"grpc refused":     {[]string{"query", "--grpc", noServer}, "nothing listens on " + noServer + ": start the collector, or give its address by --grpc"},
		"no TLS":           {[]string{"top", "--tls", "--server", address(plain)}, address(plain) + " does not use TLS: leave out --tls, --ca, --cert and https://"},
		"grpc no TLS":      {[]string{"query", "--tls", "--grpc", address(plain)}, address(plain) + " does not use TLS: leave out --tls, --ca, --cert and https://"},
		"TLS":              {[]string{"top", "--server", address(secure)}, address(secure) + " uses TLS: add --tls, or --ca with the authority of its certificate"},
		"grpc TLS":         {[]string{"query", "--grpc", address(secure)}, address(secure) + " closed the connection: if it uses TLS, add --tls; else check the port in --grpc"},
		"unknown CA":       {[]string{"top", "--tls", "--server", address(secure)}, "the certificate of " + address(secure) + " is signed by nobody we know: give its authority by --ca"},
		"grpc unknown CA":  {[]string{"query", "--tls", "--grpc", address(secure)}, "the certificate of " + address(secure) + " is signed by nobody we know: give its authority by --ca"},
		"client cert":      {[]string{"top", "--insecure-skip-verify", "--server", address(mutual)}, address(mutual) + " wants a client certificate: give it by --cert and --key"},
		"grpc client cert": {[]string{"query", "--insecure-skip-verify", "--grpc", address(mutual)}, address(mutual) + " wants a client certificate: give it by --cert and --key"},
		"grpc no gRPC":     {[]string{"query", "--insecure-skip-verify", "--grpc", address(old)}, address(old) + " does not speak gRPC: check the port in --grpc"},
		"known CA":         {[]string{"top", "--ca", ca, "--server", address(secure)}, address(secure) + " knows no /api/aggregate: check --server, and that the collector has the aperture_api extension"},
		"late":             {[]string{"top", "--timeout", "50ms", "--server", silent.Addr().String()}, silent.Addr().String() + " did not answer in time: raise --timeout, or ask for less"},
		"grpc late":        {[]string{"query", "--timeout", "50ms", "--grpc", silent.Addr().String()}, silent.Addr().String() + " did not answer in time: raise --timeout, or ask for less"},
	} {
		r := ctl(t, nil, tt.args...)
		assert.Equal(t, exitFailure, r.code, name)
		if strings.HasSuffix(name, "client cert") && strings.Contains(r.err, "closed the connection") {
			// The server does not wait until its reason was read.
			tt.want = address(mutual) + " closed the connection: if it wants a client certificate, give it by --cert and --key"
		}
		assert.Equal(t, "aperturectl: "+tt.want+"\n", r.err, name)
	}
}

// aggregator answers every call with an error.
type aggregator struct {
	aggregatorv1.UnimplementedAggregatorServer
	err error
	md  metadata.MD
}

func (s *aggregator) Query(ctx context.Context, _ *aggregatorv1.QueryRequest) (*aggregatorv1.QueryResponse, error) {
	s.md, _ = metadata.FromIncomingContext(ctx)
	return &aggregatorv1.QueryResponse{Error: "storage not configured (enable ClickHouse)"}, s.err
}

func TestGRPCErrors(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server, service := grpc.NewServer(), new(aggregator)
	aggregatorv1.RegisterAggregatorServer(server, service)
	go func() { _ = server.Serve(l) }()
	defer server.Stop()
	address := l.Addr().String()
	for code, want := range map[codes.Code]string{
		codes.Unauthenticated:    "HOST wants another token (why): give it by --token-file or APERTURE_AUTH_TOKEN",
		codes.PermissionDenied:   "HOST does not allow it: why",
		codes.Unavailable:        "HOST cannot answer now (why): try again in a moment",
		codes.Unimplemented:      "HOST does not know this call (why): check the port in --grpc, and that the collector takes profiles there",
		codes.OutOfRange:         "the message is larger than HOST takes (why): raise max_message_size there, or push less at a time",
		codes.InvalidArgument:    "why",
		codes.FailedPrecondition: "HOST cannot do this: why",
		codes.DeadlineExceeded:   "HOST did not answer in time: raise --timeout, or ask for less",
		codes.Internal:           "HOST failed (internal): why",
		codes.OK:                 "the list is not complete: storage not configured (enable ClickHouse)",
	} {
		service.err = status.Error(code, "why")
		r := ctl(t, []string{"APERTURE_AUTH_TOKEN=secret"}, "query", "--grpc", address, "--tenant", "red")
		assert.Equal(t, exitFailure, r.code, code)
		assert.Equal(t, "aperturectl: "+strings.ReplaceAll(want, "HOST", address)+"\n", r.err, code)
		assert.Equal(t, []string{"Bearer secret"}, service.md.Get("authorization"))
		assert.Equal(t, []string{"red"}, service.md.Get("x-scope-orgid"))
	}
}

// What a server has no room for is sent again, a bounded number of times.
func TestNoRoom(t *testing.T) {
	a := &app{global: globalFlags{timeout: time.Second}}
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		full := func(context.Context) error {
			if calls++; calls == 3 {
				return nil
			}
			return status.Error(codes.ResourceExhausted, "full")
		}
		began := time.Now()
		require.NoError(t, a.insist(t.Context(), full))
		assert.Equal(t, 3*time.Second, time.Since(began))
		calls = 10
		require.Error(t, a.insist(t.Context(), full))
		assert.Equal(t, 10+1+maxRetries, calls)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		require.ErrorIs(t, a.insist(ctx, full), context.DeadlineExceeded)
	})
	at := &addressError{address: "HOST", err: status.Error(codes.ResourceExhausted, "full")}
	assert.Equal(t, "HOST has no room for this (full): try again later, or with less", explain(at))
}

// An interrupt ends a wait at once and leaves no half a file.
func TestInterrupt(t *testing.T) {
	began := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("half"))
		w.(http.Flusher).Flush()
		close(began)
		<-r.Context().Done()
	}))
	defer s.Close()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() { <-began; cancel() }()
	r := ctlContext(ctx, []string{"APERTURE_SERVER=" + s.URL}, "export", "svg", "-o", filepath.Join(dir, "x.svg"))
	assert.Equal(t, exitInterrupted, r.code)
	assert.Equal(t, "aperturectl: interrupted\n", r.err)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, left)
}

// An export that breaks off is an error and no file; one that is complete replaces
// the file.
func TestExportIsWholeOrNot(t *testing.T) {
	var breaks atomic.Bool
	breaks.Store(true)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "x", r.URL.Query().Get("label.env"))
		_, _ = w.Write([]byte("half"))
		w.(http.Flusher).Flush()
		if breaks.Load() {
			panic(http.ErrAbortHandler)
		}
	}))
	defer s.Close()
	file := filepath.Join(t.TempDir(), "x.svg")
	require.NoError(t, os.WriteFile(file, []byte("old"), 0o600))
	args := []string{"export", "svg", "-o", file, "--label", "env=x"}
	for _, want := range []string{"old", "half"} {
		r := ctl(t, []string{"APERTURE_SERVER=" + s.URL}, args...)
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Equal(t, want, string(text))
		if breaks.Load() {
			assert.Equal(t, "aperturectl: "+s.Listener.Addr().String()+" closed the connection before the end of the answer: try again, and see the log of the collector\n", r.err)
		} else {
			assert.Empty(t, r.err)
		}
		breaks.Store(false)
	}
}
