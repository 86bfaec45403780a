package aperturereceiver

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"

	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
	"github.com/aperture-collector/aperture-collector/receiver/aperturereceiver/internal/metadata"
)

func newTestReceiver(t *testing.T, change func(*Config)) *apertureReceiver {
	t.Helper()
	cfg := createDefaultConfig().(*Config)
	cfg.GRPC.NetAddr.Endpoint = "127.0.0.1:0"
	change(cfg)
	r, err := newReceiver(cfg, receivertest.NewNopSettings(metadata.Type), consumertest.NewNop())
	require.NoError(t, err)
	return r
}

func TestShutdownWithoutStartAndTwice(t *testing.T) {
	r := newTestReceiver(t, func(*Config) {})
	require.NoError(t, r.Shutdown(t.Context()))
	require.NoError(t, r.Shutdown(t.Context()))
	r = newTestReceiver(t, func(*Config) {})
	require.NoError(t, r.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, r.Shutdown(t.Context()))
	require.NoError(t, r.Shutdown(t.Context()))
}

func TestStartErrors(t *testing.T) {
	f := func(h host, change func(*Config), want string) {
		t.Helper()
		r := newTestReceiver(t, change)
		require.ErrorContains(t, r.Start(t.Context(), h), want)
		require.NoError(t, r.Shutdown(t.Context()))
	}
	f(nil, func(c *Config) { c.API = &apiID }, `find extension "aperture_api/test" (`+"`api`"+`): it is not in service.extensions`)
	type other struct {
		component.StartFunc
		component.ShutdownFunc
	}
	f(host{apiID: other{}}, func(c *Config) { c.API = &apiID }, `use extension "aperture_api/test" (`+"`api`"+`): it does not answer the Aperture API`)

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	f(nil, func(c *Config) { c.GRPC.NetAddr.Endpoint = taken.Addr().String() }, "listen on "+taken.Addr().String()+": ")
}

// A push in work is finished and answered before the server stops.
func TestShutdownWaitsForPush(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s := startServer(t, serverOptions{next: consumeFunc(func(context.Context, pprofile.Profiles) error {
		close(entered)
		<-release
		return nil
	})})
	answered, stopped := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := s.Push(t.Context(), &aggregatorv1.PushRequest{Payload: examples(t)["cpu"]})
		answered <- err
	}()
	<-entered
	go func() { stopped <- s.receiver.Shutdown(context.Background()) }()
	assert.Empty(t, stopped)
	close(release)
	require.NoError(t, <-answered)
	require.NoError(t, <-stopped)
}

// A shutdown whose time is up ends the calls in work.
func TestShutdownHonoursContext(t *testing.T) {
	entered := make(chan struct{})
	s := startServer(t, serverOptions{next: consumeFunc(func(ctx context.Context, _ pprofile.Profiles) error {
		close(entered)
		<-ctx.Done()
		return ctx.Err()
	})})
	answered := make(chan error, 1)
	go func() {
		_, err := s.Push(t.Context(), &aggregatorv1.PushRequest{Payload: examples(t)["cpu"]})
		answered <- err
	}()
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.NoError(t, s.receiver.Shutdown(ctx))
	require.Error(t, <-answered)
}

// Connections end when they are old, and no push is lost by it.
func TestConnectionsEnd(t *testing.T) {
	s := startServer(t, serverOptions{config: func(c *Config) {
		c.GRPC.Keepalive.Get().ServerParameters.Get().MaxConnectionAge = 100 * time.Millisecond
	}})
	ports := make(map[string]bool)
	pushes := 0
	require.Eventually(t, func() bool {
		var p peer.Peer
		resp, err := s.Push(t.Context(), &aggregatorv1.PushRequest{Payload: examples(t)["cpu"]}, grpc.Peer(&p))
		require.NoError(t, err)
		assert.True(t, resp.Ok)
		pushes++
		ports[p.LocalAddr.String()] = true
		return len(ports) == 3
	}, waitFor, 10*time.Millisecond)
	assert.Len(t, s.sink.AllProfiles(), pushes)
}
