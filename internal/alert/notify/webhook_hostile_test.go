package notify

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/alert"
)

// An answer can be endless, slow or not there.
func TestWebhookHostileReceivers(t *testing.T) {
	endless := bytes.Repeat([]byte("x"), 64<<10)
	flood := func(code int) func(int, http.ResponseWriter, *request) {
		return func(_ int, w http.ResponseWriter, _ *request) {
			w.WriteHeader(code)
			for {
				if _, err := w.Write(endless); err != nil {
					return
				}
			}
		}
	}
	stall := func(code int) func(int, http.ResponseWriter, *request) {
		return func(_ int, w http.ResponseWriter, r *request) {
			if code > 0 {
				w.WriteHeader(code)
				_, _ = w.Write([]byte("a"))
				w.(http.Flusher).Flush()
			}
			<-r.gone
		}
	}
	tests := []struct {
		name   string
		answer func(int, http.ResponseWriter, *request)
		want   string
	}{
		{"endless yes", flood(200), ""},
		{"endless no", flood(400), `status 400: "xxx`},
		{"yes without an end", stall(200), ""},
		{"no without an end", stall(401), `status 401: "a"`},
		{"no answer", stall(0), "timeout"},
		{"large header", func(_ int, w http.ResponseWriter, _ *request) {
			w.Header().Set("X-Large", strings.Repeat("x", 1<<20))
		}, "server response headers exceeded 65536 bytes"},
		{"hangs up", func(_ int, w http.ResponseWriter, _ *request) {
			c, _, err := w.(http.Hijacker).Hijack()
			if assert.NoError(t, err) {
				_ = c.Close()
			}
		}, "EOF"},
		{"is no HTTP", func(_ int, w http.ResponseWriter, _ *request) {
			c, _, err := w.(http.Hijacker).Hijack()
			if assert.NoError(t, err) {
				_, _ = c.Write([]byte("SSH-2.0-OpenSSH\r\n"))
				_ = c.Close()
			}
		}, "malformed HTTP response"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newReceiver(t, tt.answer)
			err := only(t, hook(r.URL, "timeout: 1s, retry_on_failure: {enabled: false}")).Notify(t.Context(), events(1))
			switch tt.want {
			case "":
				assert.NoError(t, err)
			case "timeout":
				var timeout net.Error
				require.ErrorAs(t, err, &timeout)
				assert.True(t, timeout.Timeout())
			default:
				require.ErrorContains(t, err, tt.want)
				assert.Less(t, len(err.Error()), 1024)
			}
		})
	}
}

func TestWebhookTLS(t *testing.T) {
	r := &receiver{}
	server := httptest.NewUnstartedServer(r.handler(nil))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()

	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(block), 0o600))
	require.NoError(t, only(t, hook(server.URL, "tls: {ca_file: '"+ca+"'}")).Notify(t.Context(), events(1)))
	require.Len(t, r.all(), 1)

	err := only(t, hook(server.URL, "retry_on_failure: {enabled: false}")).Notify(t.Context(), events(1))
	require.ErrorContains(t, err, "certificate signed by unknown authority")
	assert.NotErrorIs(t, err, alert.ErrPermanent)
	assert.Len(t, r.all(), 1)
}

func TestWebhookShutdownWhileRetrying(t *testing.T) {
	r := newReceiver(t, status(http.StatusServiceUnavailable))
	n := only(t, hook(r.URL, "retry_on_failure: {initial_interval: 30s, max_interval: 30s, randomization_factor: 0, max_elapsed_time: 1m}")).(*Webhook)
	ctx, cancel := context.WithCancel(t.Context())
	err := retry(ctx, n.retry, func(ctx context.Context) error {
		err := n.client.post(ctx, n.target, nil, []byte("{}"))
		cancel()
		return err
	})
	require.ErrorContains(t, err, "status 503")
	assert.NotErrorIs(t, err, alert.ErrPermanent)
	require.ErrorIs(t, n.Notify(ctx, events(1)), context.Canceled)
	assert.Len(t, r.all(), 1)
}

// The path of a webhook is often its only password.
func TestErrorsAndConfigHoldNoSecrets(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	yaml := hook("http://"+address+"/services/T0/hidden?token=hidden", "headers: {authorization: hidden}, retry_on_failure: {enabled: false}")
	n := only(t, yaml)
	err = n.Notify(t.Context(), events(1))
	require.ErrorContains(t, err, address)
	assert.NotContains(t, err.Error(), "hidden")

	for _, endpoint := range []string{
		"http://a b/hidden", "http://u:hidden@example.com", "ftp://example.com/hidden", "http://169.254.169.254/hidden",
		"http://[::1/hidden", "http://example.com/%zz-hidden", "http://example.com:99999/hidden",
	} {
		c, err := parse(t, hook(endpoint, "proxy_url: 'ftp://proxy/hidden'"))
		require.NoError(t, err)
		err = c.Validate()
		require.ErrorContains(t, err, "`webhooks::ops::endpoint`", endpoint)
		assert.NotContains(t, err.Error(), "hidden")
		assert.NotContains(t, fmt.Sprintf("%v %+v", c.Webhooks["ops"].Secret, c.Webhooks["ops"].ClientConfig.Headers), "secret of")
	}
}
