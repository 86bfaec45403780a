package apertureapiextension

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensiontest"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension"
	"github.com/aperture-collector/aperture-collector/internal/chserver"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
)

// newClickHouseStore returns a profile_store extension on a real server.
func newClickHouseStore(t testing.TB, endpoint chserver.Endpoint) extension.Extension {
	t.Helper()
	factory := profilestoreextension.NewFactory()
	cfg := factory.CreateDefaultConfig().(*profilestoreextension.Config)
	cfg.Endpoint = []string{endpoint.Addr}
	cfg.Username = endpoint.Username
	cfg.Password = configopaque.String(endpoint.Password)
	ext, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), cfg)
	require.NoError(t, err)
	return ext
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	return l.Addr().(*net.TCPAddr).Port
}

// waitReady waits until the store of a fixture answers.
func (f *fixture) waitReady(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return f.store.Ready() == nil }, time.Minute, 10*time.Millisecond)
}

// What the in-memory reader answers, the real store answers as well; and it does
// after a restart of the API and while ClickHouse comes and goes.
func TestClickHouse(t *testing.T) {
	server := clickhousetest.New(t, t.TempDir(), func(o *chserver.Options) {
		// It is to come back where it was.
		o.TCPPort, o.HTTPPort = freePort(t), freePort(t)
	})
	f := start(t, options{store: newClickHouseStore(t, server.Endpoint())})
	f.waitReady(t)

	f.push(t, "golden", "agent-1", "mixed", "mixed")
	tenant := []string{"X-Scope-OrgID", "golden"}
	golden(t, "mixed_aggregate.json", f.aggregateOf(t, `{}`, tenant...))
	golden(t, "mixed_export.json", f.get(t, "/api/export/json", tenant...))
	assert.Equal(t, "0x402000;leaf;do_idle 2\n", f.get(t, "/api/export/collapsed", tenant...))
	assert.Equal(t, "futex 4096\n", f.get(t, "/api/export/collapsed?event_type=syscall", tenant...))
	resp, body := f.do(t, http.MethodPost, "/api/aggregate", `{"event_type":"memory"}`, tenant...)
	assert.Equal(t, http.StatusBadRequest, resp.StatusCode, body)

	pushFiltered(t, f)
	checkFilters(t, f)
	checkDiff(t, f)
	stored, err := f.rpc.QueryStorage(t.Context(), &aggregatorv1.QueryStorageRequest{})
	require.NoError(t, err)
	assert.Equal(t, []uint64{1, 3, 2, 1}, sequences(stored.GetBatches()))

	all := f.batchList(t, "")
	require.Len(t, all.Batches, 4)
	again := start(t, options{store: newClickHouseStore(t, server.Endpoint())})
	again.waitReady(t)
	assert.Equal(t, all, again.batchList(t, ""), "two instances over one store")
	_, _, _, events := totalsOf(t, again.aggregateOf(t, `{}`))
	assert.Equal(t, 13, events)

	clickhousetest.Stop(t, server)
	resp, body = again.do(t, http.MethodPost, "/api/aggregate", `{}`)
	assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode, body)
	assert.Equal(t, "2", resp.Header.Get("Retry-After"))
	require.Eventually(t, func() bool {
		resp, body := again.do(t, http.MethodGet, "/readyz", "")
		return resp.StatusCode == http.StatusServiceUnavailable && strings.HasPrefix(body, "not ready: profile store: ")
	}, time.Minute, 50*time.Millisecond, "readiness follows the store")
	_, err = again.rpc.Aggregate(t.Context(), &aggregatorv1.AggregateRequest{})
	require.Error(t, err)

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, server.Start(ctx))
	require.Eventually(t, func() bool {
		resp, _ := again.do(t, http.MethodPost, "/api/aggregate", `{}`)
		return resp.StatusCode == http.StatusOK
	}, time.Minute, 50*time.Millisecond)
}

var _ profilestore.Store = (*memoryStore)(nil)
