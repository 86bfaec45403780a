package chconn

import (
	"context"
	"net"
	"sync"
	"time"
)

// abortableConn is a connection whose blocked reads and writes can be ended at
// once. ch-go polls its context only between packets and sets and clears
// deadlines itself, so a deadline alone could be undone by it, and a server that
// stopped answering in the middle of a block would hold the caller for ever.
type abortableConn struct {
	net.Conn
	mu      sync.Mutex
	aborted bool
}

// past is a deadline that has always been exceeded.
var past = time.Unix(1, 0)

// abort ends blocked reads and writes with a timeout; reads fail from now on.
// Writes stay possible for whoever sets a new write deadline, which is how ch-go
// tells the server to cancel the query.
func (c *abortableConn) abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.aborted = true
	_ = c.Conn.SetReadDeadline(past)
	_ = c.Conn.SetWriteDeadline(past)
}

// SetReadDeadline implements [net.Conn]; it does nothing after abort.
func (c *abortableConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.aborted {
		return nil
	}
	return c.Conn.SetReadDeadline(t)
}

// dialer makes abortable connections. ch-go wraps TLS around them only if it is
// given a plain net.Dialer, so TLS is done here.
type dialer struct {
	base func(ctx context.Context, network, addr string) (net.Conn, error)
	conn *abortableConn
}

// DialContext implements ch.Dialer; it keeps the connection it made.
func (d *dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := d.base(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	d.conn = &abortableConn{Conn: c}
	return d.conn, nil
}
