package integration

import (
	"context"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.opentelemetry.io/collector/extension/extensiontest"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension"
	"github.com/aperture-collector/aperture-collector/internal/chserver"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// host collects component status and offers one extension.
type host struct {
	component.Host
	extensions map[component.ID]component.Component
	mu         sync.Mutex
	statuses   []componentstatus.Status
}

func (h *host) GetExtensions() map[component.ID]component.Component { return h.extensions }

// Report implements componentstatus.Reporter.
func (h *host) Report(e *componentstatus.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.statuses = append(h.statuses, e.Status())
}

func (h *host) reported() []componentstatus.Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]componentstatus.Status(nil), h.statuses...)
}

// TestWaitsForClickHouse starts the store before there is a server, and takes
// the server away again.
func TestWaitsForClickHouse(t *testing.T) {
	server := clickhousetest.Start(t)
	database := clickhousetest.Database(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())

	cfg := configFor(server.Endpoint(), database)
	cfg.Endpoint = []string{addr}
	f := profilestoreextension.NewFactory()
	ext, err := f.Create(context.Background(), extensiontest.NewNopSettings(f.Type()), cfg)
	require.NoError(t, err)
	h := &host{Host: componenttest.NewNopHost()}
	require.NoError(t, ext.Start(context.Background(), h))
	t.Cleanup(func() { require.NoError(t, ext.Shutdown(context.Background())) })
	store := ext.(profilestore.Store)
	w := newSource(t, 8).window(base, time.Second, 5, origin{"t1", "api", "agent", nil})
	require.Eventually(t, func() bool { return len(h.reported()) >= 2 }, 10*time.Second, time.Millisecond)
	require.ErrorIs(t, store.Ready(), profilestore.ErrUnavailable)
	assert.ErrorContains(t, store.Ready(), "connection refused")
	require.ErrorIs(t, store.Write(context.Background(), w), profilestore.ErrUnavailable)
	_, err = store.MergeStacks(context.Background(), profilestore.Selector{Tenant: "t1"}, profilestore.MergeOptions{})
	require.ErrorIs(t, err, profilestore.ErrUnavailable)
	_, err = store.CountEvents(context.Background(), profilestore.Selector{Tenant: "t1"})
	require.ErrorIs(t, err, profilestore.ErrUnavailable)
	_, err = store.Batches(context.Background(), profilestore.Selector{Tenant: "t1"}, 1)
	require.ErrorIs(t, err, profilestore.ErrUnavailable)

	for range 2 { // it comes, goes, and comes back
		p := &proxy{target: server.Endpoint().Addr, onStatement: func(string) bool { return true }, conns: make(map[net.Conn]struct{})}
		p.Listener, err = net.Listen("tcp", addr)
		require.NoError(t, err)
		p.wg.Go(p.serve)
		waitReady(t, store)
		write(t, store, w)
		n, err := store.CountEvents(context.Background(), profilestore.Selector{Tenant: "t1"})
		require.NoError(t, err)
		assert.Equal(t, w.Groups.Events, n)
		p.stop()
		require.ErrorIs(t, store.Write(context.Background(), w), profilestore.ErrUnavailable)
		require.Eventually(t, func() bool { return store.Ready() != nil }, 20*time.Second, time.Millisecond)
	}
	statuses := h.reported()
	assert.Equal(t, componentstatus.StatusRecoverableError, statuses[0])
	assert.Contains(t, statuses, componentstatus.StatusOK)
	assert.Equal(t, componentstatus.StatusRecoverableError, statuses[len(statuses)-1])
}

// TestLostTables drops the database under a running store.
func TestLostTables(t *testing.T) {
	store, server, database := newStore(t)
	src := newSource(t, 9)
	first := src.window(base, time.Second, 5, origin{"t1", "api", "agent", nil})
	write(t, store, first)
	clickhousetest.Exec(t, server, "DROP DATABASE "+database+" SYNC")
	second := src.window(base, time.Second, 5, origin{"t1", "api", "agent", nil})
	write(t, store, second)
	ref := &reference{}
	ref.add(second)
	// What the first window had written to the dictionaries is written again.
	checkOnce(t, store, ref, 1)
}

// TestFailOver uses the second endpoint when the first refuses connections.
func TestFailOver(t *testing.T) {
	server := clickhousetest.Start(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	cfg := configFor(server.Endpoint(), clickhousetest.Database(t))
	cfg.Endpoint = []string{l.Addr().String(), server.Endpoint().Addr}
	store := open(t, cfg)
	for range 4 {
		_, err := store.CountEvents(context.Background(), profilestore.Selector{Tenant: "t"})
		require.NoError(t, err)
	}
}

// TestStoppedServer stops ClickHouse with SIGSTOP, so that connections stay
// open and nothing answers: callers get their own deadline.
func TestStoppedServer(t *testing.T) {
	store, server, _ := newStore(t)
	w := newSource(t, 10).window(base, time.Second, 5, origin{"t1", "api", "agent", nil})
	write(t, store, w)
	pid := server.PID()
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := store.CountEvents(ctx, profilestore.Selector{Tenant: "t1"})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	other := newSource(t, 11).window(base, time.Second, 5, origin{"t1", "api", "agent", nil})
	ctx, cancel = context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	require.Error(t, store.Write(ctx, other))
	require.NoError(t, syscall.Kill(pid, syscall.SIGCONT))
	clickhousetest.WaitReady(t, server)
	waitReady(t, store)
	write(t, store, other)
	n, err := store.CountEvents(context.Background(), profilestore.Selector{Tenant: "t1"})
	require.NoError(t, err)
	assert.Equal(t, w.Groups.Events+other.Groups.Events, n)
}

// embedded stands for the embedded_clickhouse extension: it brings the server
// of the tests along.
type embedded struct {
	component.StartFunc
	component.ShutdownFunc
	*chserver.Server
}

func (e embedded) Start(ctx context.Context, h component.Host) error {
	return e.StartFunc.Start(ctx, h)
}

func TestEmbedded(t *testing.T) {
	server := clickhousetest.Start(t)
	id := component.MustNewIDWithName("embedded_clickhouse", "x")
	cfg := profilestoreextension.NewFactory().CreateDefaultConfig().(*profilestoreextension.Config)
	cfg.Embedded = &id
	cfg.Database = clickhousetest.Database(t)
	require.NoError(t, cfg.Validate())
	f := profilestoreextension.NewFactory()
	create := func() extension.Extension {
		ext, err := f.Create(context.Background(), extensiontest.NewNopSettings(f.Type()), cfg)
		require.NoError(t, err)
		return ext
	}
	ext := create()
	assert.Equal(t, []component.ID{id}, ext.(extensioncapabilities.Dependent).Dependencies())
	err := ext.Start(context.Background(), &host{Host: componenttest.NewNopHost()})
	require.ErrorContains(t, err, "`embedded` is \"embedded_clickhouse/x\": there is no such extension")
	require.NoError(t, ext.Shutdown(context.Background()))

	ext = create()
	err = ext.Start(context.Background(), &host{Host: componenttest.NewNopHost(), extensions: map[component.ID]component.Component{id: struct {
		component.StartFunc
		component.ShutdownFunc
	}{}}})
	require.ErrorContains(t, err, "does not bring a ClickHouse server along")
	require.NoError(t, ext.Shutdown(context.Background()))

	ext = create()
	require.NoError(t, ext.Start(context.Background(), &host{Host: componenttest.NewNopHost(), extensions: map[component.ID]component.Component{id: embedded{Server: server}}}))
	waitReady(t, ext.(profilestore.Store))
	require.NoError(t, ext.Shutdown(context.Background()))
	require.NoError(t, ext.Shutdown(context.Background()))
	require.ErrorIs(t, ext.(profilestore.Store).Ready(), profilestore.ErrUnavailable)
}

// TestLimits fails queries that are larger than the configuration allows.
func TestLimits(t *testing.T) {
	server := clickhousetest.Start(t)
	cfg := configFor(server.Endpoint(), clickhousetest.Database(t))
	cfg.Query.MaxRows = 10
	store := open(t, cfg)
	write(t, store, newSource(t, 12).window(base, time.Second, 100, origin{"t1", "api", "agent", nil}))
	_, err := store.MergeStacks(context.Background(), profilestore.Selector{Tenant: "t1"}, profilestore.MergeOptions{})
	require.ErrorIs(t, err, profilestore.ErrLimit)
	require.NoError(t, store.Ready())

	cfg.Query.MaxRows, cfg.Query.MaxStacks = 1000, 3
	store = open(t, cfg)
	m, err := store.MergeStacks(context.Background(), profilestore.Selector{Tenant: "t1"}, profilestore.MergeOptions{})
	require.NoError(t, err)
	for _, k := range m.Kinds {
		assert.Len(t, k.Rows, 3)
		assert.Greater(t, k.TotalRows, 3)
	}
}
