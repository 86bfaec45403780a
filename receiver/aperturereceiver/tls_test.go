package aperturereceiver

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configtls"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"

	"github.com/aperture-collector/aperture-collector/internal/certtest"
	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
)

// serverTLS protects a receiver with a certificate; with clients, it asks for
// certificates of that authority.
func serverTLS(t *testing.T, ca, clients *certtest.Authority) serverOptions {
	certFile, keyFile := ca.Issue(t, "server", time.Hour)
	return serverOptions{config: func(c *Config) {
		cfg := configtls.NewDefaultServerConfig()
		cfg.CertFile, cfg.KeyFile = certFile, keyFile
		if clients != nil {
			cfg.ClientCAFile = clients.File
		}
		c.GRPC.TLS = configoptional.Some(cfg)
	}}
}

// pushWith pushes over a connection of its own.
func pushWith(t *testing.T, s *testServer, creds credentials.TransportCredentials) error {
	t.Helper()
	conn, err := grpc.NewClient(s.receiver.address.String(), grpc.WithTransportCredentials(creds))
	require.NoError(t, err)
	defer conn.Close()
	resp, err := aggregatorv1.NewAggregatorClient(conn).Push(t.Context(),
		&aggregatorv1.PushRequest{Payload: examples(t)["cpu"]}, grpc.UseCompressor(gzip.Name))
	if err == nil {
		assert.True(t, resp.Ok, resp.Error)
	}
	return err
}

func TestTLS(t *testing.T) {
	ca, other := certtest.New(t), certtest.New(t)
	s := startServer(t, serverTLS(t, ca, nil))
	require.NoError(t, pushWith(t, s, credentials.NewTLS(ca.Client(t, "", ""))))
	err := pushWith(t, s, credentials.NewTLS(other.Client(t, "", "")))
	assert.Equal(t, codes.Unavailable, status.Code(err))
	assert.ErrorContains(t, err, "certificate signed by unknown authority")
	assert.Equal(t, codes.Unavailable, status.Code(pushWith(t, s, insecure.NewCredentials())), "plain text")
	old := ca.Client(t, "", "")
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	assert.Equal(t, codes.Unavailable, status.Code(pushWith(t, s, credentials.NewTLS(old))), "old versions")
	assert.Len(t, s.sink.AllProfiles(), 1)
}

func TestMutualTLS(t *testing.T) {
	ca, clients := certtest.New(t), certtest.New(t)
	s := startServer(t, serverTLS(t, ca, clients))
	certFile, keyFile := clients.Issue(t, "agent", time.Hour)
	require.NoError(t, pushWith(t, s, credentials.NewTLS(ca.Client(t, certFile, keyFile))))

	assert.Equal(t, codes.Unavailable, status.Code(pushWith(t, s, credentials.NewTLS(ca.Client(t, "", "")))), "no certificate")
	certFile, keyFile = ca.Issue(t, "stranger", time.Hour)
	assert.Equal(t, codes.Unavailable, status.Code(pushWith(t, s, credentials.NewTLS(ca.Client(t, certFile, keyFile)))), "of another authority")
	certFile, keyFile = clients.Issue(t, "expired", -time.Hour)
	assert.Equal(t, codes.Unavailable, status.Code(pushWith(t, s, credentials.NewTLS(ca.Client(t, certFile, keyFile)))), "expired")
	assert.Len(t, s.sink.AllProfiles(), 1)
}
