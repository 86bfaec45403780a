package cluster_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/extension/extensiontest"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// openStore starts the extension as a gateway has it, and waits until it is ready.
func openStore(tb testing.TB, cluster string, servers ...*clickhousetest.Node) profilestore.Store {
	tb.Helper()
	f := profilestoreextension.NewFactory()
	cfg := f.CreateDefaultConfig().(*profilestoreextension.Config)
	for _, s := range servers {
		cfg.Endpoint = append(cfg.Endpoint, s.Endpoint().Addr)
	}
	e := servers[0].Endpoint()
	cfg.Username, cfg.Password = e.Username, configopaque.String(e.Password)
	cfg.Database, cfg.Cluster, cfg.ClusterReplicated = "stores", cluster, cluster == ""
	cfg.Retention = 20 * 365 * 24 * time.Hour
	require.NoError(tb, cfg.Validate())
	ext, err := f.Create(context.Background(), extensiontest.NewNopSettings(f.Type()), cfg)
	require.NoError(tb, err)
	require.NoError(tb, ext.Start(context.Background(), componenttest.NewNopHost()))
	tb.Cleanup(func() { require.NoError(tb, ext.Shutdown(context.Background())) })
	s := ext.(profilestore.Store)
	for deadline := time.Now().Add(time.Minute); s.Ready() != nil; time.Sleep(10 * time.Millisecond) {
		require.True(tb, time.Now().Before(deadline), "%v", s.Ready())
	}
	return s
}

// testTwoStores: two gateways make the tables, write and are asked at once; a
// window that both of them write is there once, and so is one whose first attempt
// met a server that was away.
func testTwoStores(t *testing.T, servers []*clickhousetest.Node) {
	stores := make([]profilestore.Store, 2)
	var opening sync.WaitGroup
	for i := range stores {
		opening.Go(func() { stores[i] = openStore(t, clickhousetest.ClusterName, servers[i:]...) })
	}
	opening.Wait()
	all := windows(5, 8)
	var writing sync.WaitGroup
	for i, s := range stores {
		writing.Go(func() {
			for j, w := range all[:6] {
				if j%2 == i || j < 2 { // the first two by both
					assert.NoError(t, s.Write(t.Context(), w))
				}
				_, err := s.MergeStacks(t.Context(), selectors()[j%len(stores)], profilestore.MergeOptions{})
				assert.NoError(t, err)
			}
		})
	}
	writing.Wait()
	clickhousetest.Kill(t, servers[2].Server)
	for i, w := range all[6:] {
		for deadline := time.Now().Add(time.Minute); ; {
			err := stores[i].Write(t.Context(), w)
			if err == nil {
				break
			}
			require.ErrorIs(t, err, profilestore.ErrUnavailable)
			require.True(t, time.Now().Before(deadline), "%v", err)
		}
	}
	var want uint64
	for _, w := range all {
		for _, g := range w.Groups.Groups {
			if g.Series.Tenant == "anonymous" {
				want += g.Events()
			}
		}
	}
	for _, s := range stores {
		n, err := s.CountEvents(t.Context(), profilestore.Selector{Tenant: "anonymous"})
		require.NoError(t, err)
		assert.Equal(t, want, n)
		batches, err := s.Batches(t.Context(), profilestore.Selector{Tenant: "anonymous"}, 100)
		require.NoError(t, err)
		assert.Len(t, batches, len(all))
	}
}
