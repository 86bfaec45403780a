package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	helloTimeout   = 10 * time.Second
	backendTimeout = 10 * time.Second
)

// gate stands between the clients and the server. libchdb ends the whole process
// (std::terminate) on every exception that leaves a connection of the server, as
// a wrong password, an unknown database, bytes that are not the protocol or a
// connection that is reset while idle do in the native protocol, and a broken
// request over HTTP. The gate lets none of them through: it checks the hello
// itself, turns resets into orderly ends, and takes HTTP requests apart and
// makes them anew.
type gate struct {
	backend   *backend
	login     login
	transport *http.Transport // of HTTP requests to the server

	mu    sync.Mutex
	conns map[*net.TCPConn]struct{}
}

func newGate(b *backend, l login) *gate {
	return &gate{
		backend: b, login: l, conns: map[*net.TCPConn]struct{}{},
		transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16, IdleConnTimeout: 2 * time.Second},
	}
}

// listen opens a public port. The parent keeps a socket bound to it, so that no
// other user can take it; SO_REUSEPORT is the way past that socket.
func listen(addr string) (*net.TCPListener, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var optErr error
		err := c.Control(func(fd uintptr) {
			optErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		})
		return errors.Join(err, optErr)
	}}
	l, err := config.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return l.(*net.TCPListener), nil
}

// serveNative serves the native protocol until the listener fails.
func (g *gate) serveNative(l *net.TCPListener) error {
	for {
		conn, err := l.AcceptTCP()
		switch {
		case err == nil:
			go g.client(conn)
		case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE), errors.Is(err, unix.ECONNABORTED):
			time.Sleep(10 * time.Millisecond) // there will be free descriptors again
		default:
			return fmt.Errorf("accept: %w", err)
		}
	}
}

// client serves one connection of the native protocol.
func (g *gate) client(conn *net.TCPConn) {
	defer conn.Close() //nolint:errcheck // nothing to do about it
	if conn.SetDeadline(time.Now().Add(helloTimeout)) != nil {
		return
	}
	h, first, err := readHello(conn)
	if err != nil {
		return // not a client of this protocol
	}
	if refusal := g.refuse(h); refusal != nil {
		g.answerAndEnd(conn, refusal)
		return
	}
	if conn.SetDeadline(time.Time{}) != nil {
		return
	}
	server, err := net.DialTimeout("tcp", g.backend.tcpAddr(), backendTimeout)
	if err != nil {
		return
	}
	g.relay(conn, server.(*net.TCPConn), first)
}

// refuse returns the answer to a hello that the server must not see, else nil.
func (g *gate) refuse(h hello) []byte {
	if !g.login.admits(h) {
		return exception(codeAuthenticationFailed, h.user+": Authentication failed: password is incorrect, or there is no user with such name")
	}
	ctx, cancel := context.WithTimeout(context.Background(), backendTimeout)
	defer cancel()
	known, err := g.backend.hasDatabase(ctx, h.database)
	if err == nil && !known {
		return exception(codeUnknownDatabase, "Database "+h.database+" does not exist")
	}
	return nil
}

// answerAndEnd sends the answer and waits for the client to hang up, so that the
// answer is not lost to a reset.
func (g *gate) answerAndEnd(conn *net.TCPConn, answer []byte) {
	if _, err := conn.Write(answer); err != nil {
		return
	}
	if conn.CloseWrite() == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(conn, maxHello)) // until the deadline of the hello
	}
}

// relay copies both ways. The server always sees an orderly end, and is read to
// its end: an end in the middle of a query it takes as cancellation.
func (g *gate) relay(client, server *net.TCPConn, first []byte) {
	defer server.Close() //nolint:errcheck // it was read to its end
	if !g.track(server) {
		return
	}
	defer g.untrack(server)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, err := server.Write(first); err == nil {
			_, _ = io.Copy(server, client)
		}
		_ = server.CloseWrite() // fails if the server has gone
	}()
	if _, err := io.Copy(client, server); err != nil {
		_, _ = io.Copy(io.Discard, server)
	}
	_ = client.Close() // ends the other direction
	<-done
}

// track reports false when the gate is closed.
func (g *gate) track(server *net.TCPConn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.conns == nil {
		return false
	}
	g.conns[server] = struct{}{}
	return true
}

func (g *gate) untrack(server *net.TCPConn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, server)
}

// close ends the connections to the server, which would wait for idle ones when
// it ends. Queries over HTTP may go on.
func (g *gate) close() {
	g.transport.CloseIdleConnections()
	g.mu.Lock()
	defer g.mu.Unlock()
	for server := range g.conns {
		_ = server.CloseWrite() // fails if the server has gone
	}
	g.conns = nil
}

// serveHTTP serves the HTTP interface until the listener fails.
func (g *gate) serveHTTP(l net.Listener) error {
	target := &url.URL{Scheme: "http", Host: g.backend.httpAddr()}
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     g.transport,
		FlushInterval: -1, // rows of a long query, as they come
		ErrorLog:      discardLog,
	}
	server := &http.Server{Handler: proxy, ReadHeaderTimeout: helloTimeout, ErrorLog: discardLog}
	return server.Serve(l)
}
