package integration

import (
	"bytes"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// proxy stands between a store and ClickHouse and sees the statements.
type proxy struct {
	net.Listener
	target string
	// onStatement is told the table of every insert before it is passed on;
	// false cuts the connection instead.
	onStatement func(table string) bool

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	wg    sync.WaitGroup
}

func newProxy(t *testing.T, target string, onStatement func(string) bool) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{Listener: l, target: target, onStatement: onStatement, conns: make(map[net.Conn]struct{})}
	p.wg.Go(p.serve)
	t.Cleanup(p.stop)
	return p
}

func (p *proxy) serve() {
	for {
		c, err := p.Accept()
		if err != nil {
			return
		}
		p.track(c, true)
		p.wg.Go(func() {
			defer p.track(c, false)
			s, err := net.Dial("tcp", p.target)
			if err != nil {
				return
			}
			p.track(s, true)
			defer p.track(s, false)
			p.wg.Go(func() {
				_, _ = io.Copy(c, s)
				_ = c.Close()
			})
			p.pump(s, c)
		})
	}
}

func (p *proxy) track(c net.Conn, add bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if add {
		p.conns[c] = struct{}{}
		return
	}
	delete(p.conns, c)
	_ = c.Close()
}

// cut closes all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

func (p *proxy) stop() {
	_ = p.Close()
	p.cut()
	p.wg.Wait()
}

var insertInto = []byte("INSERT INTO ")

// pump passes on what the client sends.
func (p *proxy) pump(dst io.Writer, src io.Reader) {
	buf := make([]byte, 64<<10)
	for {
		n, err := src.Read(buf)
		if err != nil {
			return
		}
		if i := bytes.Index(buf[:n], insertInto); i >= 0 {
			// INSERT INTO `database`.`table` (...
			parts := bytes.SplitN(buf[i:n], []byte("`"), 5)
			if len(parts) == 5 && !p.onStatement(string(parts[3])) {
				return
			}
		}
		if _, err := dst.Write(buf[:n]); err != nil {
			return
		}
	}
}

// cutter is a proxy that cuts a connection once as a table is about to be
// written to.
type cutter struct {
	*proxy
	armed atomic.Pointer[string]
	cuts  atomic.Int32
}

func newCutter(t *testing.T, target string) *cutter {
	t.Helper()
	c := &cutter{}
	c.proxy = newProxy(t, target, func(table string) bool {
		if a := c.armed.Load(); a != nil && *a == table {
			c.armed.Store(nil)
			c.cuts.Add(1)
			return false
		}
		return true
	})
	return c
}
