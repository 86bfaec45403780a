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

// ClusterName is how the servers of a [Cluster] call it.
const ClusterName = "main"

// Cluster starts n servers for one test, which know each other as the shards of a
// cluster, each with a single replica. They have one password. There is no Keeper:
// the servers have neither replicated tables nor ON CLUSTER.
func Cluster(tb testing.TB, n int) []*chserver.Server {
	tb.Helper()
	Options(tb) // skips the test, if it must be
	password := hex.EncodeToString(make([]byte, 24))
	ports := freePorts(tb, n)
	var shards strings.Builder
	for _, port := range ports {
		fmt.Fprintf(&shards, "<shard><internal_replication>true</internal_replication><replica><host>127.0.0.1</host><port>%d</port><user>%s</user><password>%s</password></replica></shard>\n",
			port, chserver.User, password)
	}
	out := make([]*chserver.Server, n)
	for i, port := range ports {
		dir := tb.TempDir()
		must(tb, os.Chmod(dir, 0o700))
		must(tb, os.WriteFile(filepath.Join(dir, "password"), []byte(password), 0o600))
		must(tb, os.Mkdir(filepath.Join(dir, "config.d"), 0o700))
		// The server merges what is in config.d with the file it was given.
		config := fmt.Sprintf("<clickhouse><remote_servers><%[1]s>\n%[2]s</%[1]s></remote_servers><macros><shard>%[3]d</shard><replica>1</replica></macros></clickhouse>",
			ClusterName, shards.String(), i+1)
		must(tb, os.WriteFile(filepath.Join(dir, "config.d", "cluster.xml"), []byte(config), 0o600))
		out[i] = New(tb, dir, func(o *chserver.Options) { o.TCPPort, o.MemoryLimit = port, 2<<30 })
	}
	return out
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
