package alerts

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
	"github.com/aperture-collector/aperture-collector/internal/alert"
	"github.com/aperture-collector/aperture-collector/internal/chserver"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
)

// twoShards is a cluster of two databases of one server. It needs neither Keeper
// nor ON CLUSTER, which the embedded server has not.
const twoShards = `<clickhouse><remote_servers><main>
<shard><replica><host>127.0.0.1</host><port>%[1]d</port><user>%[2]s</user><password>%[3]s</password><default_database>shard0</default_database></replica></shard>
<shard><replica><host>127.0.0.1</host><port>%[1]d</port><user>%[2]s</user><password>%[3]s</password><default_database>shard1</default_database></replica></shard>
</main></remote_servers></clickhouse>`

// startCluster starts a server that knows the cluster main.
func startCluster(t *testing.T) *chserver.Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	require.NoError(t, l.Close())
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o700))
	password := hex.EncodeToString(make([]byte, 24))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "password"), []byte(password), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "config.d"), 0o700))
	config := fmt.Sprintf(twoShards, port, chserver.User, password)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.d", "cluster.xml"), []byte(config), 0o600))
	return clickhousetest.New(t, dir, func(o *chserver.Options) { o.TCPPort = port })
}

var (
	replicatedEngine = regexp.MustCompile(`Replicated(\w+)\('[^']*', '[^']*'(?:, )?`)
	replicatedWindow = regexp.MustCompile(`replicated_deduplication_window = (\d+), replicated_deduplication_window_seconds = \d+`)
)

// statements returns the DDL of a cluster as this server can run it: with plain
// engines, and Distributed tables whose shards are the databases.
func statements(t *testing.T, o schema.Options) (local, distributed []string) {
	t.Helper()
	migrations, err := o.Migrations()
	require.NoError(t, err)
	for _, m := range migrations {
		for _, s := range m.Statements {
			s = strings.ReplaceAll(s, " ON CLUSTER `main`", "")
			s = replicatedEngine.ReplaceAllString(s, "$1(")
			s = replicatedWindow.ReplaceAllString(s, "non_replicated_deduplication_window = $1")
			if strings.Contains(s, "ENGINE = Distributed(") {
				distributed = append(distributed, strings.ReplaceAll(s, "Distributed(`main`, `"+o.Database+"`", "Distributed(`main`, ''"))
				continue
			}
			of := strings.HasPrefix(s, "ALTER TABLE") && !strings.Contains(s, "_local`")
			if of || strings.HasPrefix(s, "CREATE OR REPLACE VIEW") { // of what is distributed
				distributed = append(distributed, s)
				continue
			}
			local = append(local, s)
		}
	}
	return local, distributed
}

// TestCluster uses Distributed tables on two shards, and looks that all rows of a
// dialect are on one.
func TestCluster(t *testing.T) {
	server := startCluster(t)
	o := schema.Options{Database: "shard0", Cluster: "main", Retention: time.Hour, AlertRetention: time.Hour}
	for _, database := range []string{"shard0", "shard1"} {
		clickhousetest.Exec(t, server, "CREATE DATABASE "+database)
		o.Database = database
		local, distributed := statements(t, o)
		for _, s := range append(local, distributed...) {
			clickhousetest.Exec(t, server, s)
		}
	}
	var replicas [2]alert.Store
	for i := range replicas {
		e := server.Endpoint()
		pool := chconn.New(chconn.Options{Endpoints: []string{e.Addr}, Username: e.Username, Password: e.Password, Settings: o.Settings()})
		t.Cleanup(pool.Close)
		o.Database = "shard" + strconv.Itoa(i)
		replicas[i] = New(pool, Options{
			Tables: o, MaxExecutionTime: 30 * time.Second, MaxMemoryUsage: 1 << 30, Lagging: true,
			OnQuery: func(context.Context, string, time.Duration, error) {},
			OnRows:  func(context.Context, string, int, time.Duration) {},
		})
	}
	const dialects = 4
	for i := range dialects {
		useDialect(t, replicas, fmt.Sprint("dialect-", i))
	}
	for _, table := range []string{"alert_rules", "alert_transitions", "alert_ids", "alert_leases", "alert_deliveries", "alert_published"} {
		used := 0
		for _, database := range []string{"shard0", "shard1"} {
			n, err := strconv.Atoi(clickhousetest.Exec(t, server, "SELECT uniqExact(dialect) FROM "+database+"."+table+"_local"))
			require.NoError(t, err)
			assert.Positive(t, n, "%s of %s", table, database)
			used += n
		}
		assert.Equal(t, dialects, used, "%s: every dialect is on one shard", table)
	}
}

// useDialect calls every method.
func useDialect(t *testing.T, replicas [2]alert.Store, dialect string) {
	t.Helper()
	ctx := t.Context()
	for i, s := range replicas {
		id, err := s.NewID(ctx, dialect)
		require.NoError(t, err)
		assert.EqualValues(t, i+1, id)
	}
	r := rule("alert-1", 1)
	r.Dialect = dialect
	require.NoError(t, replicas[0].PutRule(ctx, r))
	require.ErrorIs(t, replicas[1].PutRule(ctx, r), alert.ErrConflict)

	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			st, e := transition("alert-1", 1, alert.Firing)
			if err := replicas[i%2].Transition(ctx, dialect, st, e); err == nil {
				won.Add(1)
			} else {
				assert.ErrorIs(t, err, alert.ErrConflict)
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, 1, won.Load())

	for _, s := range replicas {
		rules, err := s.Rules(ctx, dialect)
		require.NoError(t, err)
		assert.Len(t, rules, 1)
		states, err := s.States(ctx, dialect)
		require.NoError(t, err)
		assert.Len(t, states, 1)
		events, err := s.History(ctx, dialect, "anonymous", 10)
		require.NoError(t, err)
		assert.Len(t, events, 1)
	}
	events, err := replicas[0].Undelivered(ctx, dialect, "r", now, nil, 10)
	require.NoError(t, err)
	require.Len(t, events, 1)
	require.NoError(t, replicas[0].Delivered(ctx, dialect, "r", events))
	events, err = replicas[1].Undelivered(ctx, dialect, "r", now, nil, 10)
	require.NoError(t, err)
	assert.Empty(t, events)

	for i, s := range replicas {
		for range 2 {
			ok, err := s.Lease(ctx, dialect, fmt.Sprint("replica-", i), time.Hour)
			require.NoError(t, err)
			assert.Equal(t, i == 0, ok)
		}
		require.NoError(t, s.Publish(ctx, dialect, fmt.Sprint("replica-", i), map[string]float64{"x": 1}))
		published, err := s.Published(ctx, dialect, time.Hour)
		require.NoError(t, err)
		assert.Len(t, published, i+1)
	}
}
