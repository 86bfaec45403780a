package chconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/ClickHouse/ch-go"

	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

const (
	idleTimeout = 5 * time.Minute
	dialTimeout = 5 * time.Second
	// coolDown is for how long an endpoint that refused a connection is asked
	// last.
	coolDown = 5 * time.Second
	// packetTimeout is how often ch-go looks at its context while it waits.
	packetTimeout = 3 * time.Second
)

// Options configure a [Pool].
type Options struct {
	// Endpoints are host:port pairs of the native protocol; at least one. The
	// first that accepts connections is used, in turns.
	Endpoints          []string
	Username, Password string
	// TLS is nil for plain connections.
	TLS *tls.Config
	// MaxConnections bounds the connections in use at once; further callers wait.
	MaxConnections int
	// DialTimeout bounds connecting and the handshake (default 5 s).
	DialTimeout time.Duration
	// Settings are sent with every query.
	Settings []ch.Setting
}

// Pool is a bounded set of connections. It is safe for concurrent use.
type Pool struct {
	opts Options
	sem  chan struct{}

	mu     sync.Mutex
	idle   []*Conn
	down   []time.Time // by endpoint: when it refused last
	next   int
	closed bool
	kills  int

	killing sync.WaitGroup
	// life ends when the pool is closed.
	life context.Context
	end  context.CancelFunc
}

// Conn is a connection that one goroutine uses at a time.
type Conn struct {
	client   *ch.Client
	net      *abortableConn
	endpoint int
	used     time.Time
	reused   bool
	// aborted is set when the context of a query ended, if only just after its
	// last packet: reads of the connection fail from then on.
	aborted bool
}

// New returns a pool; it connects when it is used.
func New(opts Options) *Pool {
	if opts.MaxConnections <= 0 {
		opts.MaxConnections = 8
	}
	if opts.DialTimeout <= 0 {
		opts.DialTimeout = dialTimeout
	}
	p := &Pool{
		opts: opts,
		sem:  make(chan struct{}, opts.MaxConnections),
		down: make([]time.Time, len(opts.Endpoints)),
	}
	p.life, p.end = context.WithCancel(context.Background())
	return p
}

// Close closes idle connections; those in use are closed when they come back.
func (p *Pool) Close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	for _, c := range idle {
		_ = c.client.Close()
	}
	p.end()
	p.killing.Wait()
}

// Query is one statement. Settings and parameters are sent beside its text.
type Query struct {
	ch.Query
	Params Params
	// Timeout bounds the query on our side, 0 for ctx alone.
	Timeout time.Duration
}

// Do runs q on a connection of the pool. A query that fails because a
// connection from the pool was dead is tried once more on a new one, unless
// results have been seen: every statement of this store may be repeated. If ctx
// ends or the time is over, the server is told to stop the query.
func (p *Pool) Do(ctx context.Context, q Query) error {
	select {
	case p.sem <- struct{}{}:
		defer func() { <-p.sem }()
	case <-ctx.Done():
		return classify(ctx, ctx.Err())
	}
	q.Parameters = q.Params.list
	answered := false
	if on := q.OnResult; on != nil {
		q.OnResult = resultMarker(on, &answered)
	}
	for attempt := q.QueryID; ; attempt = NewQueryID() {
		if q.QueryID = attempt; attempt == "" {
			q.QueryID = NewQueryID()
		}
		c, err := p.acquire(ctx)
		if err != nil {
			return classify(ctx, err)
		}
		reused := c.reused
		err = c.do(ctx, q)
		if c.aborted && err != nil {
			p.kill(c.endpoint, q.QueryID)
		}
		p.release(c, err)
		if err == nil {
			return nil
		}
		if reused && broken(err) && ctx.Err() == nil && !answered && !errors.Is(err, context.DeadlineExceeded) {
			p.dropIdle(c.endpoint)
			continue
		}
		return classify(ctx, err)
	}
}

// Ping checks that a server answers, over a connection of its own, so that a
// busy pool does not look like a dead server.
func (p *Pool) Ping(ctx context.Context) error {
	c, err := p.dial(ctx)
	if err != nil {
		return classify(ctx, err)
	}
	defer func() { _ = c.client.Close() }()
	stop := context.AfterFunc(ctx, c.net.abort)
	defer stop()
	if err := c.client.Ping(ctx); err != nil {
		return classify(ctx, err)
	}
	return nil
}

func (p *Pool) acquire(ctx context.Context) (*Conn, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, errClosed
	}
	for len(p.idle) > 0 {
		c := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if time.Since(c.used) < idleTimeout {
			p.mu.Unlock()
			c.reused = true
			return c, nil
		}
		_ = c.client.Close()
	}
	p.mu.Unlock()
	return p.dial(ctx)
}

func (p *Pool) release(c *Conn, err error) {
	if broken(err) || c.aborted || c.client.IsClosed() {
		_ = c.client.Close()
		return
	}
	c.used = time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = c.client.Close()
		return
	}
	p.idle = append(p.idle, c)
}

// dropIdle closes the idle connections to an endpoint that was found dead.
func (p *Pool) dropIdle(endpoint int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := p.idle[:0]
	for _, c := range p.idle {
		if c.endpoint == endpoint {
			_ = c.client.Close()
			continue
		}
		kept = append(kept, c)
	}
	clear(p.idle[len(kept):])
	p.idle = kept
}

// order returns the endpoints in the order they are to be tried: in turns,
// those that refused lately last.
func (p *Pool) order() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.opts.Endpoints)
	first := p.next % n
	p.next++
	var up, down []int
	for i := range n {
		e := (first + i) % n
		if time.Since(p.down[e]) < coolDown {
			down = append(down, e)
		} else {
			up = append(up, e)
		}
	}
	return append(up, down...)
}

func (p *Pool) dial(ctx context.Context) (*Conn, error) {
	var errs []error
	for _, e := range p.order() {
		c, err := p.dialEndpoint(ctx, e)
		if err == nil {
			p.mark(e, time.Time{})
			return c, nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
		p.mark(e, time.Now())
		errs = append(errs, fmt.Errorf("connect to %s: %w", p.opts.Endpoints[e], err))
	}
	return nil, errors.Join(errs...)
}

func (p *Pool) mark(endpoint int, t time.Time) {
	p.mu.Lock()
	p.down[endpoint] = t
	p.mu.Unlock()
}

func (p *Pool) dialEndpoint(ctx context.Context, endpoint int) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, p.opts.DialTimeout)
	defer cancel()
	d := &dialer{base: (&net.Dialer{}).DialContext}
	if p.opts.TLS != nil {
		d.base = (&tls.Dialer{Config: p.opts.TLS}).DialContext
	}
	client, err := ch.Dial(ctx, ch.Options{
		Address:     p.opts.Endpoints[endpoint],
		User:        p.opts.Username,
		Password:    p.opts.Password,
		Compression: compression(p.opts.Endpoints[endpoint]),
		ClientName:  "aperture-collector",
		ReadTimeout: packetTimeout,
		Settings:    p.opts.Settings,
		Dialer:      d,
	})
	if err != nil {
		if d.conn != nil {
			_ = d.conn.Close()
		}
		return nil, err
	}
	return &Conn{client: client, net: d.conn, endpoint: endpoint}, nil
}

// compression is what blocks are sent with. On the same machine, copying bytes takes
// less than compressing them and hashing what that makes.
func compression(endpoint string) ch.Compression {
	host, _, err := net.SplitHostPort(endpoint)
	if ip := net.ParseIP(host); err == nil && (host == "localhost" || ip != nil && ip.IsLoopback()) {
		return ch.CompressionDisabled
	}
	return ch.CompressionLZ4
}

// do runs q and returns as soon as ctx ends.
func (c *Conn) do(ctx context.Context, q Query) error {
	if q.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, q.Timeout,
			fmt.Errorf("%w: no answer within %s", profilestore.ErrUnavailable, q.Timeout))
		defer cancel()
	}
	stop := context.AfterFunc(ctx, c.net.abort)
	err := c.client.Do(ctx, q.Query)
	c.aborted = !stop()
	return err
}
