package cluster_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkreader"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktest"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkwriter"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/compact"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/cluster"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/reader"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/writer"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// shards is how many servers there are: the services of chunktest are on all.
const shards = 3

// tables are the store's on some servers: the shards of a cluster, or a single one.
type tables struct {
	testing.TB
	servers []*clickhousetest.Node
	schema.Options
	nodes *cluster.Nodes // nil for a single server
}

var databases int

// newTables makes the tables on servers, in a database of their own: as a cluster
// if a name of one is given, else on the first.
func newTables(tb testing.TB, servers []*clickhousetest.Node, name string) *tables {
	tb.Helper()
	databases++
	t := &tables{TB: tb, servers: servers, Options: schema.Options{
		Database: fmt.Sprintf("d%d", databases), Cluster: name, Unreplicated: name != "",
		Retention: 20 * 365 * 24 * time.Hour, AlertRetention: time.Hour,
	}}
	t.migrate()
	return t
}

// migrate makes the tables of the cluster that Options name.
func (t *tables) migrate() {
	t.Helper()
	if t.Cluster == "" {
		require.NoError(t, schema.Migrate(t.Context(), t.pool(0), t.Options))
		return
	}
	t.nodes = cluster.NewNodes(t.pool(0), t.options(0), t.Cluster)
	t.Cleanup(t.nodes.Close)
	require.NoError(t, t.nodes.Each(t.Context(), func(ctx context.Context, node *chconn.Pool) error {
		return schema.Migrate(ctx, node, t.Options)
	}))
}

// options connect to one of the servers.
func (t *tables) options(server int) chconn.Options {
	e := t.servers[server].Endpoint()
	return chconn.Options{Endpoints: []string{e.Addr}, Username: e.Username, Password: e.Password, Settings: t.Settings()}
}

func (t *tables) pool(server int) *chconn.Pool {
	p := chconn.New(t.options(server))
	t.Cleanup(p.Close)
	return p
}

// writer writes by way of one of the servers.
func (t *tables) writer(server int) *chunkwriter.Writer {
	return chunkwriter.New(t.pool(server), writer.Options{Tables: t.Options, KnownEntries: 1 << 20})
}

// reader reads by way of one of the servers.
func (t *tables) reader(server int) *chunkreader.Reader {
	return chunkreader.New(t.pool(server), chunkreader.Options{
		Options: reader.Options{
			Tables: t.Options, MaxExecutionTime: 30 * time.Second, MaxMemoryUsage: 1 << 30, MaxRows: 1 << 24, MaxStacks: 1 << 20,
			StackCacheSize: 64 << 20,
		},
		DeleteDelay: 10 * time.Minute, BufferBytes: 64 << 20,
	})
}

// compact does once what is due for one part of the services, by way of one of the
// servers.
func (t *tables) compact(server, part, parts int) error {
	o := compact.Options{
		Tables: t.Options, Holder: fmt.Sprintf("%d/%d/%d", server, part, parts), Part: part, Parts: parts,
		Rules:   compact.Rules{Quiet: time.Millisecond, Latest: time.Millisecond, DrainAfter: 1},
		OnError: func(_ context.Context, err error) { t.Errorf("compact: %v", err) },
	}
	if t.nodes != nil {
		o.Everywhere = t.nodes
		o.Logs = func(ctx context.Context, f func(context.Context, compact.DB) error) error {
			return t.nodes.Some(ctx, part, parts, func(ctx context.Context, node *chconn.Pool) error { return f(ctx, node) })
		}
	}
	c := compact.New(t.pool(server), o)
	if err := c.Pass(t.Context()); err != nil {
		return err
	}
	return c.Release(t.Context())
}

// exec runs a statement on one of the servers.
func (t *tables) exec(server int, statement string) string {
	t.Helper()
	return clickhousetest.Exec(t, t.servers[server].Server, statement)
}

// count returns the number of rows of a table as one of the servers sees it.
func (t *tables) count(server int, table, where string) int {
	t.Helper()
	n, err := strconv.Atoi(t.exec(server, "SELECT count() FROM "+t.Table(table)+" WHERE "+where))
	require.NoError(t, err)
	return n
}

// spread looks that every shard has some of the rows of a table, and each is on
// one.
func (t *tables) spread(table, where string) {
	t.Helper()
	sum := 0
	for server := range t.servers {
		n := t.count(server, table+"_local", where)
		assert.Positive(t, n, "%s on server %d", table, server)
		sum += n
	}
	assert.Equal(t, t.count(0, table, where), sum, table)
}

// clean has everything deleted that was replaced, on every shard.
func (t *tables) clean() {
	t.Helper()
	require.NotZero(t, t.count(0, "chunks", "level < 2"))
	for server := range t.servers {
		t.exec(server, "ALTER TABLE "+t.Table("chunks_local")+" UPDATE written = written - INTERVAL 1 HOUR WHERE 1 SETTINGS mutations_sync = 2")
	}
	for part := range shards {
		require.NoError(t, t.compact((part+1)%shards, part, shards))
	}
	for deadline := time.Now().Add(time.Minute); t.count(0, "chunks", "level < 2") > 0; time.Sleep(20 * time.Millisecond) {
		require.True(t, time.Now().Before(deadline), "replaced rows are still there")
	}
}

// contents reads everything that counts.
func (t *tables) contents(server int) *chunktest.Contents {
	t.Helper()
	return chunktest.Read(t, t.pool(server), t.Options)
}

// statements renders what makes the tables, and returns those that begin so.
func (t *tables) statements(contains string) []string {
	t.Helper()
	migrations, err := t.Migrations()
	require.NoError(t, err)
	var out []string
	for _, m := range migrations {
		for _, s := range m.Statements {
			if strings.Contains(s, contains) {
				out = append(out, s)
			}
		}
	}
	return out
}

// drained looks that no server has stacks in its log any more.
func (t *tables) drained() {
	t.Helper()
	for server := range t.servers {
		assert.Zero(t, t.count(server, "stacks_local", "1"), "on server %d", server)
	}
	assert.Positive(t, t.count(0, "stack_segments", "1"))
}

func query(sql string) chconn.Query { return chconn.Query{Query: ch.Query{Body: sql}} }

// contentsOf is what windows have.
func contentsOf(windows []*profilestore.Window) *chunktest.Contents {
	c := chunktest.NewContents()
	for _, w := range windows {
		c.AddWindow(w)
	}
	return c
}

// windows makes some of two hours, which are closed. They have few kinds, because
// each is compacted on its own.
func windows(seed uint64, n int) []*profilestore.Window {
	source := chunktest.NewSource(seed)
	out := make([]*profilestore.Window, n)
	for i := range out {
		out[i] = source.Window(chunktest.Base+int64(i)*2*layout.Hour/int64(n), 90*chunktest.Second, 80)
		g := out[i].Groups
		g.Groups = slices.DeleteFunc(g.Groups, func(g *profile.Group) bool {
			return g.Period != 10_101_010 || g.Kind != profile.KindCPU && g.Kind != profile.KindSyscall
		})
	}
	return out
}

func write(tb testing.TB, w profilestore.Writer, windows ...*profilestore.Window) {
	tb.Helper()
	for _, win := range windows {
		require.NoError(tb, w.Write(tb.Context(), win))
	}
}
