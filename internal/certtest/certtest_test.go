package certtest

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestIssue(t *testing.T) {
	ca := New(t)
	certFile, keyFile := ca.Issue(t, "server", time.Hour)
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	require.NoError(t, err)
	options := x509.VerifyOptions{DNSName: "localhost", Roots: ca.Client(t, certFile, keyFile).RootCAs}
	_, err = pair.Leaf.Verify(options)
	require.NoError(t, err)

	options.Roots = New(t).Client(t, "", "").RootCAs
	_, err = pair.Leaf.Verify(options)
	assert.ErrorContains(t, err, "unknown authority")
}
