package chaos

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// proxy passes connections on to an address, and cuts them when it is told to.
type proxy struct {
	listener net.Listener
	target   string
	cancel   context.CancelFunc
	done     sync.WaitGroup

	mu     sync.Mutex
	rng    *rand.Rand // nil while nothing is cut
	most   int64
	cuts   int
	active map[*relay]struct{}
	closed bool
}

// Directions of a connection.
const (
	requests = iota
	answers
)

// relay is one connection. budget is how many bytes each direction may still
// carry, negative for no limit. When that of the answers is used up, the server
// goes on working for some time before it sees that the connection is cut.
type relay struct {
	client, server net.Conn
	budget         [2]int64
	hold           time.Duration
}

func newProxy(target string) (*proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &proxy{listener: listener, target: target, cancel: cancel, active: make(map[*relay]struct{})}
	p.done.Go(func() { p.accept(ctx) })
	return p, nil
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) accept(ctx context.Context) {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.done.Go(func() {
			server, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.target)
			if err != nil {
				_ = client.Close()
				return
			}
			p.relay(&relay{client: client, server: server, budget: [2]int64{-1, -1}})
		})
	}
}

// cut begins to cut connections, those that are open and new ones: one direction of
// each carries less than most bytes more.
func (p *proxy) cut(rng *rand.Rand, most int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rng, p.most = rng, most
	for r := range p.active {
		p.limit(r)
	}
}

// heal ends cut and returns how many connections it has cut.
func (p *proxy) heal() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rng = nil
	for r := range p.active {
		r.budget = [2]int64{-1, -1}
	}
	n := p.cuts
	p.cuts = 0
	return n
}

// limit draws the budget of a connection. Small ones are as frequent as large ones,
// because what decides is small: answers.
func (p *proxy) limit(r *relay) {
	r.budget = [2]int64{-1, -1}
	most := p.most
	direction := p.rng.IntN(2)
	if direction == answers {
		most = min(most, maxAnswers)
	}
	r.budget[direction] = p.rng.Int64N(1 + p.rng.Int64N(most))
	r.hold = time.Duration(p.rng.Int64N(int64(maxHold)))
}

const (
	// mostBytes is about how many bytes the inserts of a few windows take, and
	// maxAnswers how many the answers to them.
	mostBytes  = 64 << 10
	maxAnswers = 16 << 10
	maxHold    = 300 * time.Millisecond
)

func (p *proxy) relay(r *relay) {
	p.mu.Lock()
	if p.closed {
		_, _ = r.client.Close(), r.server.Close()
	}
	p.active[r] = struct{}{}
	if p.rng != nil {
		p.limit(r)
	}
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.copy(r, requests, r.server, r.client) })
	both.Go(func() { p.copy(r, answers, r.client, r.server) })
	both.Wait()
	p.mu.Lock()
	delete(p.active, r)
	p.mu.Unlock()
}

// copy carries one direction until it ends or its budget is used up, and ends the
// connection.
func (p *proxy) copy(r *relay, direction int, to io.Writer, from io.Reader) {
	defer func() { _, _ = r.client.Close(), r.server.Close() }()
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		allowed, cut := p.allow(r, direction, n)
		if _, werr := to.Write(buf[:allowed]); werr != nil || err != nil {
			return
		}
		if cut {
			if direction == answers {
				time.Sleep(r.hold)
			}
			return
		}
	}
}

func (p *proxy) allow(r *relay, direction, n int) (int, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := &r.budget[direction]
	if *b < 0 {
		return n, false
	}
	if int64(n) <= *b {
		*b -= int64(n)
		return n, false
	}
	n, *b = int(*b), 0
	p.cuts++
	return n, true
}

func (p *proxy) close() error {
	err := p.listener.Close()
	p.cancel()
	p.mu.Lock()
	p.closed = true
	for r := range p.active {
		_, _ = r.client.Close(), r.server.Close()
	}
	p.mu.Unlock()
	p.done.Wait()
	return err
}
