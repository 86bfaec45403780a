package cluster

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
)

// Shard is one part of the rows of a cluster.
type Shard struct {
	// Number counts from 1, as the server does.
	Number uint32
	// Replicas are host:port pairs of the servers that have these rows, as the
	// server that was asked knows them.
	Replicas []string
}

// Shards lists those of a cluster in the order of their numbers, as the
// configuration of the server has them now. One that it does not know is an error.
func Shards(ctx context.Context, pool *chconn.Pool, name string) ([]Shard, error) {
	var shard proto.ColUInt32
	var port proto.ColUInt16
	var host proto.ColStr
	var out []Shard
	q := chconn.Query{Query: ch.Query{
		Body:   "SELECT shard_num, host_name, port FROM system.clusters WHERE cluster = {name:String} ORDER BY shard_num, replica_num",
		Result: proto.Results{{Name: "shard_num", Data: &shard}, {Name: "host_name", Data: &host}, {Name: "port", Data: &port}},
		OnResult: func(context.Context, proto.Block) error {
			for i, n := range shard {
				if len(out) == 0 || out[len(out)-1].Number != n {
					out = append(out, Shard{Number: n})
				}
				s := &out[len(out)-1]
				s.Replicas = append(s.Replicas, net.JoinHostPort(host.Row(i), strconv.Itoa(int(port[i]))))
			}
			return nil
		},
	}}
	q.Params.String("name", name)
	if err := pool.Do(ctx, q); err != nil {
		return nil, fmt.Errorf("read shards of cluster %s: %w", name, err)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("read shards of cluster %s: the server knows no such cluster", name)
	}
	return out, nil
}

// Nodes runs statements on every server of a cluster. It is safe for concurrent
// use.
type Nodes struct {
	name string
	via  *chconn.Pool
	opts chconn.Options

	mu    sync.Mutex
	pools map[string]*chconn.Pool // by address
}

// NewNodes returns the servers of the cluster of this name, which the servers of
// via know. They are connected to when they are needed, as opts say, but for the
// endpoints.
func NewNodes(via *chconn.Pool, opts chconn.Options, name string) *Nodes {
	opts.MaxConnections = connections
	return &Nodes{name: name, via: via, opts: opts, pools: make(map[string]*chconn.Pool)}
}

// connections is how many of one server are in use at once.
const connections = 4

// Each calls f with a connection to each server, in order of the shards, until one
// fails. The shards must not have replicas, because these change by themselves
// what is changed in one of them. It reads again which servers there are.
func (n *Nodes) Each(ctx context.Context, f func(ctx context.Context, node *chconn.Pool) error) error {
	return n.Some(ctx, 0, 1, f)
}

// Some is Each for one of so many parts of the servers, counted from 0.
func (n *Nodes) Some(ctx context.Context, part, parts int, f func(ctx context.Context, node *chconn.Pool) error) error {
	shards, err := Shards(ctx, n.via, n.name)
	if err != nil {
		return err
	}
	for _, s := range shards {
		if len(s.Replicas) > 1 {
			return fmt.Errorf("use cluster %s without replication: shard %d has %d replicas: must be 1", n.name, s.Number, len(s.Replicas))
		}
	}
	for i, s := range shards {
		if i%parts != part {
			continue
		}
		if err := f(ctx, n.pool(s.Replicas[0])); err != nil {
			return fmt.Errorf("use shard %d (%s): %w", s.Number, s.Replicas[0], err)
		}
	}
	n.forget(shards)
	return nil
}

// Do runs a statement on each server.
func (n *Nodes) Do(ctx context.Context, q chconn.Query) error {
	return n.Each(ctx, func(ctx context.Context, node *chconn.Pool) error { return node.Do(ctx, q) })
}

func (n *Nodes) pool(address string) *chconn.Pool {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.pools[address]
	if p == nil {
		o := n.opts
		o.Endpoints = []string{address}
		p = chconn.New(o)
		n.pools[address] = p
	}
	return p
}

// forget closes connections to servers that are not in the cluster any more.
func (n *Nodes) forget(shards []Shard) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for address, p := range n.pools {
		if !slices.ContainsFunc(shards, func(s Shard) bool { return slices.Contains(s.Replicas, address) }) {
			p.Close()
			delete(n.pools, address)
		}
	}
}

// Close closes all connections. Nodes must not be used after that.
func (n *Nodes) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.pools {
		p.Close()
	}
	clear(n.pools)
}
