package life_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktest"
	"github.com/aperture-collector/aperture-collector/internal/chserver"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// password is that of all users: it must not be found in any log.
const password = "p4ssw0rd-of-the-t3st"

// withUsers gives a server the users of the documentation.
func withUsers(t *testing.T) chserver.Endpoint {
	t.Helper()
	text, err := os.ReadFile("../../../../docs/clickhouse-users.md")
	require.NoError(t, err)
	_, text2, ok := strings.Cut(string(text), "```xml\n")
	require.True(t, ok)
	users, _, _ := strings.Cut(text2, "```")
	_, users, _ = strings.Cut(users, "<users>")
	users, _, _ = strings.Cut(users, "</users>")
	hash := sha256.Sum256([]byte(password))
	for _, name := range []string{"MIGRATOR_SHA256", "COLLECTOR_SHA256", "READER_SHA256"} {
		require.Contains(t, users, name)
		users = strings.ReplaceAll(users, name, hex.EncodeToString(hash[:]))
	}
	dir := t.TempDir()
	server := clickhousetest.New(t, dir, nil)
	path := filepath.Join(dir, "users.xml")
	own, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(own), "</users>", users+"</users>", 1)), 0o600))
	// The server reads it when it starts.
	clickhousetest.Kill(t, server)
	clickhousetest.WaitReady(t, server)
	for _, user := range []string{"aperture_migrator", "aperture_collector", "aperture_reader"} {
		_, err = clickhousetest.Query(server.Endpoint(), user, password, "SELECT 1")
		require.NoError(t, err, user)
	}
	// The gate before the server lets nobody else in over the native protocol.
	log, err := os.ReadFile(filepath.Join(dir, "server.log"))
	require.NoError(t, err)
	const listening = "Listening for native protocol (tcp): "
	_, addr, ok := strings.Cut(string(log[bytes.LastIndex(log, []byte(listening)):]), listening)
	require.True(t, ok)
	e := server.Endpoint()
	addr, _, _ = strings.Cut(addr, "\n")
	e.Addr = orderly(t, addr)
	return e
}

// storeAs starts a store that logs in as a user, and waits until it is ready.
func storeAs(t *testing.T, e chserver.Endpoint, user string) (profilestore.Store, *observer.ObservedLogs) {
	t.Helper()
	factory := profilestoreextension.NewFactory()
	cfg := factory.CreateDefaultConfig().(*profilestoreextension.Config)
	cfg.Endpoint, cfg.Username, cfg.Password = []string{e.Addr}, user, configopaque.String(password)
	settings := extensiontest.NewNopSettings(factory.Type())
	core, logs := observer.New(zap.DebugLevel)
	settings.Logger = zap.New(core)
	ext, err := factory.Create(t.Context(), settings, cfg)
	require.NoError(t, err)
	require.NoError(t, ext.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, ext.Shutdown(t.Context())) })
	store := ext.(profilestore.Store)
	if !assert.Eventually(t, func() bool { return store.Ready() == nil }, 15*time.Second, 20*time.Millisecond) {
		require.NoError(t, store.Ready())
	}
	return store, logs
}

// TestUsers runs the store with the users of the documentation, and tries what each
// of them must not do.
func TestUsers(t *testing.T) {
	e := withUsers(t)
	migrator, logs := storeAs(t, e, "aperture_migrator")
	require.NoError(t, migrator.Ready())
	store, own := storeAs(t, e, "aperture_collector")
	w := chunktest.NewSource(1).Window(time.Now().UnixNano(), int64(time.Second), 20)
	require.NoError(t, store.Write(t.Context(), w))
	n, err := store.CountEvents(t.Context(), profilestore.Selector{Tenant: "anonymous"})
	require.NoError(t, err)
	assert.Positive(t, n)
	j, err := store.(profilestore.Keeper).Delete(t.Context(), profilestore.Target{Tenant: "anonymous", Scope: profilestore.ScopeTenant, Name: "anonymous"})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		n, err := store.CountEvents(t.Context(), profilestore.Selector{Tenant: "anonymous"})
		require.NoError(t, err)
		return n == 0
	}, time.Minute, 100*time.Millisecond, "job %s", j.ID)
	for _, service := range []string{"", "service-0"} {
		m, err := store.MergeStacks(t.Context(), profilestore.Selector{Tenant: "anonymous", Service: service}, profilestore.MergeOptions{})
		require.NoError(t, err)
		assert.Empty(t, m.Kinds, "nor is there a kind without observations")
	}
	u, err := store.(profilestore.Keeper).Usage(t.Context())
	require.NoError(t, err)
	assert.NotEmpty(t, u.Tables)
	assert.NotEmpty(t, u.Disks)

	for user, statements := range map[string][]string{
		"aperture_migrator": {
			"TRUNCATE TABLE aperture.chunks", "ALTER TABLE aperture.chunks DELETE WHERE 1", "INSERT INTO aperture.batches (tenant) VALUES ('x')",
			"CREATE TABLE default.x (n Int8) ENGINE = Memory", "SELECT * FROM system.processes",
		},
		"aperture_collector": {
			"DROP TABLE aperture.chunks", "TRUNCATE TABLE aperture.chunks", "CREATE TABLE aperture.x (n Int8) ENGINE = Memory",
			"ALTER TABLE aperture.batches MODIFY TTL stored + INTERVAL 1 SECOND", "ALTER TABLE aperture.batches UPDATE event_count = 0 WHERE 1",
			"DROP DATABASE aperture", "CREATE USER x", "SELECT * FROM file('/etc/passwd', 'LineAsString')",
			"SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')", "SYSTEM SHUTDOWN",
		},
		"aperture_reader": {
			"INSERT INTO aperture.batches (tenant) VALUES ('x')", "ALTER TABLE aperture.batches DELETE WHERE 1", "DROP TABLE aperture.batches",
			"CREATE TABLE aperture.x (n Int8) ENGINE = Memory", "SELECT * FROM system.processes",
		},
	} {
		for _, s := range statements {
			_, err := clickhousetest.Query(e, user, password, s)
			assert.ErrorContains(t, err, "Not enough privileges", "%s: %s", user, s)
		}
	}
	queryStops(t, e)
	answer, err := clickhousetest.Query(e, "aperture_reader", password, "SELECT count() > 0 FROM aperture.functions")
	require.NoError(t, err)
	assert.Equal(t, "1", answer)

	for i, all := range []*observer.ObservedLogs{own, logs} {
		for _, entry := range all.All() {
			line := entry.Message
			for _, f := range entry.Context {
				line += " " + f.Key + " " + f.String
				if err, ok := f.Interface.(error); ok {
					line += err.Error()
				}
			}
			assert.NotContains(t, line, password)
			if i == 0 {
				assert.NotContains(t, line, "Not enough privileges", "nothing is missing")
			}
		}
	}
}
