package integration

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/extension/extensiontest"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension"
	"github.com/aperture-collector/aperture-collector/internal/chserver"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// configFor returns a configuration for a database of the server.
func configFor(e chserver.Endpoint, database string) *profilestoreextension.Config {
	cfg := profilestoreextension.NewFactory().CreateDefaultConfig().(*profilestoreextension.Config)
	cfg.Endpoint = []string{e.Addr}
	cfg.Username, cfg.Password = e.Username, configopaque.String(e.Password)
	cfg.Database = database
	return cfg
}

// open starts a store and waits until it is ready.
func open(tb testing.TB, cfg *profilestoreextension.Config) profilestore.Store {
	tb.Helper()
	s := start(tb, cfg)
	waitReady(tb, s)
	return s
}

// start starts a store without waiting for ClickHouse.
func start(tb testing.TB, cfg *profilestoreextension.Config) profilestore.Store {
	tb.Helper()
	require.NoError(tb, cfg.Validate())
	f := profilestoreextension.NewFactory()
	ext, err := f.Create(context.Background(), extensiontest.NewNopSettings(f.Type()), cfg)
	require.NoError(tb, err)
	require.NoError(tb, ext.Start(context.Background(), componenttest.NewNopHost()))
	tb.Cleanup(func() { require.NoError(tb, ext.Shutdown(context.Background())) })
	return ext.(profilestore.Store)
}

func waitReady(tb testing.TB, s profilestore.Store) {
	tb.Helper()
	require.Eventually(tb, func() bool { return s.Ready() == nil }, 30*time.Second, 10*time.Millisecond)
}

// newStore opens a store on a database of its own.
func newStore(tb testing.TB) (profilestore.Store, *chserver.Server, string) {
	tb.Helper()
	server := clickhousetest.Start(tb)
	database := clickhousetest.Database(tb)
	return open(tb, configFor(server.Endpoint(), database)), server, database
}
