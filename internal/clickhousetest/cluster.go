package clickhousetest

import (
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aperture-collector/aperture-collector/internal/chserver"
)

const (
	// ClusterName is how the servers of a [Cluster] call all of them.
	ClusterName = "main"
	// FirstCluster is how they call all but the last.
	FirstCluster = "first"
)

// Node is a server of a cluster. Its address stays the same when it is started
// again.
type Node struct {
	*chserver.Server
	dir  string
	port int
}

// Start starts a server that was stopped by Stop.
func (n *Node) Start(tb testing.TB) {
	tb.Helper()
	n.Server = New(tb, n.dir, func(o *chserver.Options) { o.TCPPort, o.MemoryLimit = n.port, 2<<30 })
}

// Stop stops the server as it ends by itself.
func (n *Node) Stop(tb testing.TB) {
	tb.Helper()
	Stop(tb, n.Server)
}

// Cluster starts n servers for one test, which know each other as the shards of
// the cluster ClusterName, each with a single replica, and the first of them as
// those of FirstCluster. They have one password. There is no Keeper: the servers
// have neither replicated tables nor ON CLUSTER.
func Cluster(tb testing.TB, n int) []*Node {
	tb.Helper()
	Options(tb) // skips the test, if it must be
	password := hex.EncodeToString(make([]byte, 24))
	ports := freePorts(tb, n)
	out := make([]*Node, n)
	for i, port := range ports {
		out[i] = &Node{dir: tb.TempDir(), port: port}
		must(tb, os.Chmod(out[i].dir, 0o700))
		must(tb, os.WriteFile(filepath.Join(out[i].dir, "password"), []byte(password), 0o600))
		must(tb, os.Mkdir(filepath.Join(out[i].dir, "config.d"), 0o700))
		// The server merges what is in config.d with the file it was given.
		config := "<clickhouse><remote_servers>" + shards(ClusterName, password, ports) + shards(FirstCluster, password, ports[:max(n-1, 1)]) +
			fmt.Sprintf("</remote_servers><macros><shard>%d</shard><replica>1</replica></macros></clickhouse>", i+1)
		must(tb, os.WriteFile(filepath.Join(out[i].dir, "config.d", "cluster.xml"), []byte(config), 0o600))
		out[i].Start(tb)
	}
	return out
}

// shards is the configuration of a cluster.
func shards(name, password string, ports []int) string {
	var b strings.Builder
	for _, port := range ports {
		fmt.Fprintf(&b, "<shard><internal_replication>true</internal_replication><replica><host>127.0.0.1</host><port>%d</port><user>%s</user><password>%s</password></replica></shard>",
			port, chserver.User, password)
	}
	return "<" + name + ">" + b.String() + "</" + name + ">"
}

// freePorts returns ports that nobody listened on.
func freePorts(tb testing.TB, n int) []int {
	tb.Helper()
	out := make([]int, n)
	for i := range out {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(tb, err)
		defer func() { must(tb, l.Close()) }()
		out[i] = l.Addr().(*net.TCPAddr).Port
	}
	return out
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatalf("prepare servers of a cluster: %v", err)
	}
}
