package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"

	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
)

// withoutEBPF keeps the host's own profiles out, for tests that count exactly.
const withoutEBPF = "yaml:service::pipelines::profiles::receivers: [aperture, otlp]"

// collector is a running distribution.
type collector struct {
	tb                  testing.TB
	dir                 string
	config              []string
	env                 []string
	wrap                []string // a program, with arguments, that runs the binary
	http, grpcAddr      string
	telemetry, otlpGRPC string
	pyroscope           string
	cmd                 *exec.Cmd
	exited              chan error
	log                 *os.File
	conn                *grpc.ClientConn
}

func root(tb testing.TB) string {
	tb.Helper()
	dir, err := filepath.Abs("../..")
	require.NoError(tb, err)
	return dir
}

// newCollector prepares a collector on free ports with a data directory of its
// own. config are arguments of --config, after the shipped file.
func newCollector(tb testing.TB, file string, config ...string) *collector {
	tb.Helper()
	if testing.Short() {
		tb.Skip("needs the built distribution")
	}
	c := &collector{
		tb: tb, dir: tb.TempDir(), config: append([]string{filepath.Join(root(tb), "config", file)}, config...),
		http: freeAddr(tb), grpcAddr: freeAddr(tb), telemetry: freeAddr(tb), otlpGRPC: freeAddr(tb),
		pyroscope: freeAddr(tb),
	}
	_, port, err := net.SplitHostPort(c.telemetry)
	require.NoError(tb, err)
	c.env = append(os.Environ(),
		"APERTURE_DATA_DIR="+filepath.Join(c.dir, "data"),
		"APERTURE_ADMIN_LISTEN="+c.http,
		"APERTURE_AGGREGATOR_LISTEN="+c.grpcAddr,
		"APERTURE_OTLP_GRPC_LISTEN="+c.otlpGRPC,
		"APERTURE_OTLP_HTTP_LISTEN="+freeAddr(tb),
		"APERTURE_PYROSCOPE_LISTEN="+c.pyroscope,
		"APERTURE_TELEMETRY_PORT="+port)
	tb.Cleanup(c.cleanup)
	return c
}

func freeAddr(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	defer l.Close()
	return l.Addr().String()
}

// start runs the binary; it does not wait until it is ready.
func (c *collector) start() {
	c.tb.Helper()
	binary := filepath.Join(root(c.tb), "dist", "aperture-collector")
	if _, err := os.Stat(binary); err != nil {
		c.tb.Fatalf("%v: run make build", err)
	}
	args := append(slices.Clone(c.wrap), binary)
	for _, f := range c.config {
		args = append(args, "--config", f)
	}
	log, err := os.OpenFile(filepath.Join(c.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(c.tb, err)
	c.log = log
	c.cmd = exec.Command(args[0], args[1:]...)
	c.cmd.Env, c.cmd.Stdout, c.cmd.Stderr = c.env, log, log
	require.NoError(c.tb, c.cmd.Start())
	c.exited = make(chan error, 1)
	go func(cmd *exec.Cmd, exited chan<- error) { exited <- cmd.Wait() }(c.cmd, c.exited)
}

// startReady runs the binary and waits until /readyz says so.
func (c *collector) startReady() {
	c.tb.Helper()
	c.start()
	c.waitReady()
}

func (c *collector) waitReady() {
	c.tb.Helper()
	require.Eventually(c.tb, func() bool {
		select {
		case err := <-c.exited:
			c.exited <- err
			c.tb.Fatalf("collector ended: %v\n%s", err, c.tail())
		default:
		}
		code, _ := c.get("/readyz")
		return code == http.StatusOK
	}, 2*time.Minute, 50*time.Millisecond, "collector is not ready:\n%s", lazy(c.tail))
}

// lazy is formatted only when a failure is printed.
type lazy func() string

func (l lazy) String() string { return l() }

func (c *collector) tail() string {
	b, err := os.ReadFile(filepath.Join(c.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-8000):])
}

// stop asks the collector to end and waits for it.
func (c *collector) stop() {
	c.tb.Helper()
	require.NoError(c.tb, c.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-c.exited:
		c.cmd = nil
		require.NoError(c.tb, err, "collector did not end cleanly:\n%s", lazy(c.tail))
	case <-time.After(time.Minute):
		c.tb.Fatalf("collector does not end:\n%s", c.tail())
	}
	c.close()
}

// kill ends the collector with SIGKILL.
func (c *collector) kill() {
	c.tb.Helper()
	require.NoError(c.tb, c.cmd.Process.Kill())
	<-c.exited
	c.cmd = nil
	c.close()
}

func (c *collector) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
	_ = c.log.Close()
}

func (c *collector) cleanup() {
	if c.cmd != nil {
		_ = c.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-c.exited:
		case <-time.After(time.Minute):
			_ = c.cmd.Process.Kill()
			<-c.exited
		}
		c.close()
	}
	if c.tb.Failed() {
		c.tb.Logf("log of the collector:\n%s", c.tail())
	}
}

// request sends an HTTP request to the Aperture API.
func (c *collector) request(method, path, tenant string, body any) (int, http.Header, []byte) {
	c.tb.Helper()
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		require.NoError(c.tb, err)
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, "http://"+c.http+path, r)
	require.NoError(c.tb, err)
	req.Close = true
	if tenant != "" {
		req.Header.Set("X-Scope-OrgID", tenant)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, []byte(err.Error())
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil, []byte(err.Error())
	}
	return resp.StatusCode, resp.Header, b
}

func (c *collector) get(path string) (int, []byte) {
	c.tb.Helper()
	code, _, body := c.request(http.MethodGet, path, "", nil)
	return code, body
}

// client returns a gRPC client as agents use it: h2c with gzip.
func (c *collector) client() aggregatorv1.AggregatorClient {
	c.tb.Helper()
	if c.conn == nil {
		conn, err := grpc.NewClient(c.grpcAddr,
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.UseCompressor(gzip.Name), grpc.MaxCallRecvMsgSize(64<<20)))
		require.NoError(c.tb, err)
		c.conn = conn
	}
	return aggregatorv1.NewAggregatorClient(c.conn)
}

// asTenant adds the tenant to the metadata of a call.
func asTenant(ctx context.Context, tenant string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "x-scope-orgid", tenant)
}
