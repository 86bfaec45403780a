package e2e

import (
	"context"
	"net"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/chserver"
)

// ownServer is a ClickHouse that is not the collector's: a user's own.
type ownServer struct {
	tb      testing.TB
	server  *chserver.Server
	running bool
}

// newServer prepares a server on an address that is known before it runs.
func newServer(tb testing.TB) *ownServer {
	tb.Helper()
	_, port, err := net.SplitHostPort(freeAddr(tb))
	require.NoError(tb, err)
	n, err := strconv.Atoi(port)
	require.NoError(tb, err)
	s, err := chserver.New(chserver.Options{
		DataDir:  tb.TempDir(),
		Launcher: filepath.Join(root(tb), "dist", "clickhouse-embedded"),
		Library:  filepath.Join(root(tb), "dist", "lib", "libchdb.so"),
		TCPPort:  n,
	})
	require.NoError(tb, err)
	o := &ownServer{tb: tb, server: s}
	tb.Cleanup(o.stop)
	return o
}

func (o *ownServer) start() {
	o.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(o.tb, o.server.Start(ctx))
	o.running = true
}

func (o *ownServer) stop() {
	if !o.running {
		return
	}
	o.running = false
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := o.server.Stop(ctx); err != nil {
		o.tb.Error(err)
	}
}

// newGateway prepares a collector that stores in a server of the user's.
func newGateway(tb testing.TB, o *ownServer, config ...string) *collector {
	tb.Helper()
	c := newCollector(tb, "gateway.yaml", config...)
	e := o.server.Endpoint()
	c.env = append(c.env, "CLICKHOUSE_ENDPOINT="+e.Addr, "CLICKHOUSE_USERNAME="+e.Username, "CLICKHOUSE_PASSWORD="+e.Password)
	return c
}
