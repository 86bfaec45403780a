package integration

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configtls"

	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// certificate makes a certificate for 127.0.0.1 that signs itself.
func certificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// TestTLS speaks TLS to a proxy before ClickHouse, and refuses a certificate it
// cannot verify.
func TestTLS(t *testing.T) {
	server := clickhousetest.Start(t)
	cert, ca := certificate(t)
	p := &proxy{target: server.Endpoint().Addr, onStatement: func(string) bool { return true }, conns: make(map[net.Conn]struct{})}
	var err error
	p.Listener, err = tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	require.NoError(t, err)
	p.wg.Go(p.serve)
	t.Cleanup(p.stop)

	cfg := configFor(server.Endpoint(), clickhousetest.Database(t))
	cfg.Endpoint = []string{p.Addr().String()}
	cfg.TLS = configoptional.Some(configtls.ClientConfig{Config: configtls.Config{CAPem: configopaque.String(ca)}})
	store := open(t, cfg)
	w := newSource(t, 30).window(base, time.Second, 5, origin{"t1", "api", "agent", nil})
	require.NoError(t, store.Write(context.Background(), w))
	n, err := store.CountEvents(context.Background(), profilestore.Selector{Tenant: "t1"})
	require.NoError(t, err)
	assert.Equal(t, w.Groups.Events, n)

	cfg.TLS = configoptional.Some(configtls.ClientConfig{})
	stranger := start(t, cfg)
	require.Eventually(t, func() bool {
		var unknown x509.UnknownAuthorityError
		return errors.As(stranger.Ready(), &unknown)
	}, 20*time.Second, 10*time.Millisecond)
}
