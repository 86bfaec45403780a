package chconn

import (
	"context"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
)

const (
	// killTimeout bounds asking a server to stop a query.
	killTimeout = 5 * time.Second
	// maxKills bounds the queries that servers are being asked to stop. Of further
	// ones the connection is closed only, which the server may notice late: it looks
	// at connections between blocks.
	maxKills = 4
)

// kill asks the server of an endpoint to stop a query that nobody waits for. It
// does not wait.
func (p *Pool) kill(endpoint int, id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.kills >= maxKills {
		return
	}
	p.kills++
	p.killing.Go(func() {
		ctx, cancel := context.WithTimeout(p.life, killTimeout)
		defer cancel()
		p.killNow(ctx, endpoint, id)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.kills--
	})
}

// killNow uses a connection of its own: those of the pool may all be in use. What
// fails is left to the server, which finds the connection closed.
func (p *Pool) killNow(ctx context.Context, endpoint int, id string) {
	c, err := p.dialEndpoint(ctx, endpoint)
	if err != nil {
		return
	}
	defer func() { _ = c.client.Close() }()
	q := Query{Query: ch.Query{
		Body:     "KILL QUERY WHERE query_id = {id:String} AND user = currentUser() ASYNC",
		Result:   (&proto.Results{}).Auto(),
		OnResult: func(context.Context, proto.Block) error { return nil },
	}}
	q.Params.String("id", id)
	q.Parameters = q.Params.list
	_ = c.do(ctx, q)
}
