package e2e

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pprofile/pprofileotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
)

// withAuth is the shipped overlay.
func withAuth(t *testing.T) string { return filepath.Join(root(t), "config", "auth.yaml") }

// With config/auth.yaml every listener asks for the token; health does not.
func TestTokenOnEveryListener(t *testing.T) {
	c := newCollector(t, "all-in-one.yaml", withPyroscope, withAuth(t))
	otlpHTTP := freeAddr(t)
	c.env = append(c.env, "APERTURE_AUTH_TOKEN=s3cret", "APERTURE_OTLP_HTTP_LISTEN="+otlpHTTP)
	c.startReady()

	request := func(method, url, token string, body []byte) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/json")
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(text)
	}
	for path, method := range map[string]string{
		"/metrics": http.MethodGet, "/api/health": http.MethodGet, "/api/batches": http.MethodGet, "/api/export/json": http.MethodGet,
		"/api/aggregate": http.MethodPost, "/api/alerts": http.MethodGet, "/api/alerts/evaluate": http.MethodPost,
	} {
		url := "http://" + c.http + path
		for _, token := range []string{"", "wrong"} {
			code, body := request(method, url, token, []byte("{}"))
			assert.Equal(t, http.StatusUnauthorized, code, "%s %s", path, body)
		}
		code, body := request(method, url, "s3cret", []byte("{}"))
		assert.Equal(t, http.StatusOK, code, "%s %s", path, body)
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		code, _ := request(http.MethodGet, "http://"+c.http+path, "", nil)
		assert.Equal(t, http.StatusOK, code, path)
	}

	for path, valid := range map[string]string{"/ingest?name=app": "a;b 1", "/push.v1.PusherService/Push": `{"series":[{}]}`, "/querier.v1.QuerierService/ProfileTypes": "{}"} {
		for _, token := range []string{"", "wrong"} {
			code, body := request(http.MethodPost, "http://"+c.pyroscope+path, token, []byte(valid))
			assert.Equal(t, http.StatusUnauthorized, code, "%s %s", path, body)
		}
		code, body := request(http.MethodPost, "http://"+c.pyroscope+path, "s3cret", []byte(valid))
		assert.Equal(t, http.StatusOK, code, "%s %s", path, body)
	}

	profiles, err := pprofileotlp.NewExportRequest().MarshalJSON()
	require.NoError(t, err)
	code, _ := request(http.MethodPost, "http://"+otlpHTTP+"/v1development/profiles", "", profiles)
	assert.Equal(t, http.StatusUnauthorized, code, "OTLP over HTTP")
	code, body := request(http.MethodPost, "http://"+otlpHTTP+"/v1development/profiles", "s3cret", profiles)
	assert.Equal(t, http.StatusOK, code, body)

	aperture, otlp := dial(t, c.grpcAddr), dial(t, c.otlpGRPC)
	withToken := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer s3cret")
	wrong := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer wrong")
	query := func(ctx context.Context) error {
		_, err := aggregatorv1.NewAggregatorClient(aperture).Query(ctx, &aggregatorv1.QueryRequest{})
		return err
	}
	export := func(ctx context.Context) error {
		_, err := pprofileotlp.NewGRPCClient(otlp).Export(ctx, pprofileotlp.NewExportRequest())
		return err
	}
	for name, call := range map[string]func(context.Context) error{"aperture": query, "OTLP": export} {
		require.NoError(t, call(withToken), name)
		assert.Equal(t, codes.Unauthenticated, status.Code(call(t.Context())), name)
		assert.Equal(t, codes.Unauthenticated, status.Code(call(wrong)), name)
	}
	assert.Equal(t, "Missing authorization header", status.Convert(query(t.Context())).Message())
	assert.Equal(t, "Invalid token", status.Convert(query(wrong)).Message())
	_, err = healthpb.NewHealthClient(aperture).Check(t.Context(), &healthpb.HealthCheckRequest{Service: "aperture.aggregator.v1.Aggregator"})
	require.NoError(t, err)
}

func dial(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return conn
}

// Without a token the overlay does not start, rather than ask for none.
func TestNoToken(t *testing.T) {
	for _, file := range []string{"all-in-one.yaml", "gateway.yaml", "cluster.yaml"} {
		for name, env := range map[string]string{"unset": "NOTHING=", "empty": "APERTURE_AUTH_TOKEN="} {
			t.Run(file+"/"+name, func(t *testing.T) {
				require.NoError(t, os.Unsetenv("APERTURE_AUTH_TOKEN"))
				c := newCollector(t, file, withAuth(t))
				c.env = append(c.env, env)
				c.start()
				select {
				case err := <-c.exited:
					c.exited <- err
					require.Error(t, err)
				case <-time.After(time.Minute):
					t.Fatal("the collector runs")
				}
				assert.Contains(t, c.tail(), "extensions::bearertokenauth: no bearer token provided")
			})
		}
	}
}
