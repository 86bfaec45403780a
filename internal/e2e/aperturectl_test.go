package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pprof "github.com/google/pprof/profile"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ctl runs dist/aperturectl for a collector.
func (c *collector) ctl(env []string, args ...string) (stdout, stderr string, code int) {
	c.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(root(c.tb), "dist", "aperturectl"), args...)
	cmd.Env = append([]string{"APERTURE_SERVER=" + c.http, "APERTURE_GRPC=" + c.grpcAddr, "APERTURE_OTLP=" + c.otlpGRPC}, env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil {
		c.tb.Fatalf("%v: run make build", err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// works runs a command that must succeed and say nothing on standard error.
func (c *collector) works(env []string, args ...string) string {
	c.tb.Helper()
	out, errs, code := c.ctl(env, args...)
	require.Zero(c.tb, code, "aperturectl %v: %s", args, errs)
	require.Empty(c.tb, errs, "aperturectl %v", args)
	return out
}

// ctlFiles writes a file of every format that can be pushed.
func ctlFiles(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{
		"aperture": filepath.Join(dir, "push.bin"), "folded": filepath.Join(dir, "stacks.txt"),
		"pprof": filepath.Join(dir, "cpu.pb.gz"), "jfr": filepath.Join(root(t), "internal", "profileimport", "testdata", "work.jfr.gz"),
	}
	require.NoError(t, os.WriteFile(files["aperture"], payloads(t)["lock_symbols"], 0o600))
	require.NoError(t, os.WriteFile(files["folded"], []byte("main;work;read 70\nmain;work 20\nmain;idle 10\n"), 0o600))
	f := &pprof.Function{ID: 1, Name: "heap.grow"}
	l := &pprof.Location{ID: 1, Line: []pprof.Line{{Function: f, Line: 3}}}
	p := &pprof.Profile{
		SampleType: []*pprof.ValueType{{Type: "inuse_objects", Unit: "count"}, {Type: "inuse_space", Unit: "bytes"}},
		Sample:     []*pprof.Sample{{Location: []*pprof.Location{l}, Value: []int64{3, 4096}, Label: map[string][]string{"region": {"eu"}}}},
		Location:   []*pprof.Location{l}, Function: []*pprof.Function{f}, TimeNanos: time.Now().UnixNano(),
	}
	out, err := os.Create(files["pprof"])
	require.NoError(t, err)
	require.NoError(t, p.Write(out))
	require.NoError(t, out.Close())
	return files
}

// ctlSums are the totals by kind of `aggregate -o json`.
func (c *collector) ctlSums(env []string, args ...string) map[string]int64 {
	c.tb.Helper()
	var a struct {
		aggregate
		OffCPU *struct {
			Stacks []struct {
				TotalWaitNS int64 `json:"total_wait_ns"`
			} `json:"stacks"`
		} `json:"off_cpu"`
		Profiles map[string]struct {
			Totals []int64 `json:"totals"`
		} `json:"profiles"`
	}
	text := c.works(env, append([]string{"aggregate", "-o", "json"}, args...)...)
	require.NoError(c.tb, json.Unmarshal([]byte(text), &a), text)
	sums := make(map[string]int64)
	if a.CPU != nil {
		sums["cpu"] = int64(a.CPU.TotalSamples)
	}
	if a.Lock != nil {
		for _, l := range a.Lock.Contentions {
			sums["lock"] += int64(l.TotalWaitNS)
		}
	}
	if a.OffCPU != nil {
		for _, s := range a.OffCPU.Stacks {
			sums["off_cpu"] += s.TotalWaitNS
		}
	}
	for kind, p := range a.Profiles {
		sums[kind] = p.Totals[0]
	}
	return sums
}

// What is pushed from a file has the sums of the file when it is asked for, in every
// command that there is.
func TestAperturectl(t *testing.T) {
	c := newCollector(t, "all-in-one.yaml", withoutEBPF)
	c.startReady()
	checkCtl(t, c, nil)

	out, errs, code := c.ctl(nil, "top", "--service", "nosuch")
	assert.Equal(t, 1, code)
	assert.Empty(t, out)
	assert.Equal(t, "aperturectl: there is no cpu profile: check the filters, or take a longer time\n", errs)
	_, errs, code = c.ctl(nil, "export", "svg", "--service", "nosuch")
	assert.Equal(t, 1, code)
	assert.Equal(t, "aperturectl: no CPU profile data available: check the filters, or take a longer time\n", errs)
	_, errs, code = c.ctl(nil, "query", "--tls")
	assert.Equal(t, 1, code)
	assert.Equal(t, "aperturectl: "+c.grpcAddr+" does not use TLS: leave out --tls, --ca, --cert and https://\n", errs)
}

func checkCtl(t *testing.T, c *collector, env []string) {
	t.Helper()
	files := ctlFiles(t)
	assert.Contains(t, c.works(env, "push", files["aperture"], "--agent", "host-a"), "1 events of lock")
	assert.Contains(t, c.works(env, "push", files["folded"], "--service", "shop", "--label", "env=prod"), "100 events of cpu")
	assert.Contains(t, c.works(env, "push", files["pprof"], "--service", "heap"), "of inuse_objects, inuse_space")
	assert.Contains(t, c.works(env, "push", files["jfr"], "--service", "java"), "of alloc_space, cpu, lock, off_cpu")
	require.Eventually(t, func() bool { return len(c.ctlSums(env, "--service", "java")) == 4 }, 2*time.Minute, 100*time.Millisecond)

	assert.Equal(t, map[string]int64{"lock": 1500}, c.ctlSums(env, "--agent", "host-a"))
	assert.Equal(t, map[string]int64{"cpu": 100}, c.ctlSums(env, "--service", "shop", "--label", "env=prod", "--since", "1h"))
	assert.Empty(t, c.ctlSums(env, "--service", "shop", "--label", "env=test"))
	assert.Equal(t, map[string]int64{"inuse_objects": 3, "inuse_space": 4096}, c.ctlSums(env, "--service", "heap"))
	assert.Equal(t, map[string]int64{"cpu": 99, "lock": 40_216_389, "off_cpu": 80_238_038, "alloc_space": 142_997_472}, c.ctlSums(env, "--service", "java"))

	assert.Contains(t, c.works(env, "aggregate", "--service", "shop"), "cpu   70     70     70.00%  read < work < main\n")
	assert.Contains(t, c.works(env, "top", "--service", "shop"), "20    20.00%  90     90.00%   work      -\n")
	for _, command := range [][]string{{"query"}, {"batches"}, {"batches", "--stored"}, {"batches", "--since", "1h"}} {
		assert.Contains(t, c.works(env, command...), "host-a", command)
	}
	assert.Contains(t, c.works(env, "diff", "--service", "shop", "--since", "1h"), "new     read < work < main\n")

	exports := map[string]string{"json": `"total_samples": 100`, "collapsed": "main;work;read 70\n", "svg": "</svg>", "speedscope": `"read"`, "pprof": "\x1f\x8b", "otlp": "read"}
	for format, want := range exports {
		file := filepath.Join(t.TempDir(), "out")
		assert.Empty(t, c.works(env, "export", format, "--service", "shop", "-o", file))
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Contains(t, string(text), want, format)
	}
	file := filepath.Join(t.TempDir(), "diff.svg")
	c.works(env, "diff", "--service", "shop", "--since", "1h", "--type", "cpu", "-o", "svg", "-f", file)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Contains(t, string(text), "</svg>")
	checkCtlAlerts(t, c, env)
}

func checkCtlAlerts(t *testing.T, c *collector, env []string) {
	t.Helper()
	id := strings.TrimSpace(c.works(env, "alerts", "create", "--name", "always", "--metric", "buffer_utilization", "--operator", "gte", "--threshold", "0", "--severity", "info"))
	require.NotEmpty(t, id)
	assert.Contains(t, c.works(env, "alerts", "list"), "always  buffer_utilization gte 0  info      true")
	assert.Contains(t, c.works(env, "alerts", "evaluate"), "always: Buffer Utilization >= 0 (current: ")
	assert.Contains(t, c.works(env, "alerts", "history"), id)
	assert.Equal(t, "disabled "+id+"\n", c.works(env, "alerts", "toggle", id))
	assert.Equal(t, "enabled "+id+"\n", c.works(env, "alerts", "toggle", id))
	assert.Equal(t, "deleted "+id+"\n", c.works(env, "alerts", "delete", id))
	_, errs, code := c.ctl(env, "alerts", "delete", id)
	assert.Equal(t, 1, code)
	assert.Equal(t, "aperturectl: there is no rule "+id+": see `aperturectl alerts list`\n", errs)
	_, errs, code = c.ctl(env, "alerts", "create", "--name", "x", "--metric", "nope", "--operator", "gt", "--threshold", "1", "--severity", "info")
	assert.Equal(t, 1, code)
	assert.Contains(t, errs, "metric")
	assert.Equal(t, 1, strings.Count(errs, "\n"))
}

// certificate writes a certificate for 127.0.0.1 that signed itself.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &private.PublicKey, private)
	require.NoError(t, err)
	keyDER, err := x509.MarshalECPrivateKey(private)
	require.NoError(t, err)
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}), 0o600))
	return cert, key
}

// The same with a token and TLS on every listener.
func TestAperturectlTokenAndTLS(t *testing.T) {
	const token = "s3cret-token"
	cert, key := certificate(t)
	section := "::tls: {cert_file: " + cert + ", key_file: " + key + "}"
	c := newCollector(t, "all-in-one.yaml", withoutEBPF, withAuth(t),
		"yaml:extensions::http_server/aperture"+section, "yaml:receivers::aperture"+section, "yaml:receivers::otlp::protocols::grpc"+section)
	c.env = append(c.env, "APERTURE_AUTH_TOKEN="+token)
	c.start()
	tokenFile := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(tokenFile, []byte(token+"\n"), 0o600))
	flags := []string{"--ca", cert, "--token-file", tokenFile}
	require.Eventually(t, func() bool {
		_, _, code := c.ctl(nil, append(flags, "alerts", "list")...)
		return code == 0
	}, 2*time.Minute, 200*time.Millisecond, "collector is not ready:\n%s", lazy(c.tail))

	file := ctlFiles(t)
	c.works(nil, append(flags, "push", file["folded"], "--service", "shop")...)
	c.works(nil, append(flags, "push", file["aperture"])...)
	require.Eventually(t, func() bool {
		out, _, code := c.ctl(nil, append(flags, "top", "--service", "shop")...)
		return code == 0 && strings.Contains(out, "70    70.00%")
	}, 2*time.Minute, 100*time.Millisecond)
	assert.Contains(t, c.works([]string{"APERTURE_AUTH_TOKEN=" + token}, "query", "--ca", cert), "shop")

	for _, command := range [][]string{{"top"}, {"query"}, {"push", file["folded"]}} {
		for want, flags := range map[string][]string{
			"wants another token": {"--ca", cert, "--token", "wrong-" + token},
			"signed by nobody":    {"--tls"},
		} {
			_, errs, code := c.ctl(nil, append(flags, command...)...)
			assert.Equal(t, 1, code, command)
			assert.Contains(t, errs, want, command)
			assert.NotContains(t, errs, token, command)
			assert.Equal(t, 1, strings.Count(errs, "\n"), command)
		}
		_, errs, code := c.ctl(nil, command...)
		assert.Equal(t, 1, code, command)
		assert.Contains(t, errs, "--tls", command)
	}
}
