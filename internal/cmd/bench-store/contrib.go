package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/chserver"
	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit"
	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit/otlpload"
	"github.com/aperture-collector/aperture-collector/internal/corpus"
)

// contribConfig is that of the built collector with contrib's exporter, without a
// queue, so that a request is answered when it is stored.
const contribConfig = `
receivers:
  otlp:
    protocols:
      http:
        endpoint: %[1]s
        max_request_body_size: 268435456
exporters:
  clickhouse:
    endpoint: tcp://${env:BENCH_CLICKHOUSE}
    username: ${env:BENCH_USERNAME}
    password: ${env:BENCH_PASSWORD}
    database: contrib
    timeout: 60s
    sending_queue:
      enabled: false
service:
  pipelines:
    profiles:
      receivers: [otlp]
      exporters: [clickhouse]
  telemetry:
    logs:
      level: warn
    metrics:
      level: none
`

// contrib is what contrib's exporter took.
type contrib struct {
	values uint64
	bytes  uint64
	used   benchkit.Usage
}

func (b *bench) runContrib(ctx context.Context) (err error) {
	if b.contrib <= 0 {
		return nil
	}
	data, err := otlpload.Range(b.fleet.corpus, 0, min(b.contrib, b.fleet.hour.windows), 1)
	if err != nil {
		return err
	}
	server, err := newServer(ctx, b.dist, b.path("contrib"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop(context.WithoutCancel(ctx))) }()
	collector, addr, err := startContrib(ctx, b.dist, b.dir, server.Endpoint())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, collector.Stop()) }()
	before, err := benchkit.UsageOf(collector.PID(), server.PID())
	if err != nil {
		return err
	}
	if _, err := data.Send(ctx, addr, 4); err != nil {
		return err
	}
	if err := settle(ctx, server.Endpoint()); err != nil {
		return err
	}
	after, err := benchkit.UsageOf(collector.PID(), server.PID())
	if err != nil {
		return err
	}
	out := &contrib{values: data.Sums.Values, used: after.Minus(before)}
	if err := optimize(ctx, server.Endpoint(), "contrib"); err != nil {
		return err
	}
	tables, err := sizes(ctx, server.Endpoint(), "contrib")
	for _, n := range tables {
		out.bytes += n
	}
	b.report.contrib = out
	if err != nil {
		return err
	}
	got, err := contribSums(ctx, server.Endpoint())
	if err != nil {
		return err
	}
	return data.Sums.Compare(got)
}

func startContrib(ctx context.Context, dist, dir string, ep chserver.Endpoint) (*benchkit.Collector, string, error) {
	ports, err := benchkit.FreePorts(1)
	if err != nil {
		return nil, "", err
	}
	addr := fmt.Sprintf("127.0.0.1:%d", ports[0])
	file := filepath.Join(dir, "contrib.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, contribConfig, addr), 0o600); err != nil {
		return nil, "", err
	}
	c, err := benchkit.StartCollector(filepath.Join(dist, "aperture-collector"), filepath.Join(dir, "contrib.log"), []string{"--config", file},
		[]string{"BENCH_CLICKHOUSE=" + ep.Addr, "BENCH_USERNAME=" + ep.Username, "BENCH_PASSWORD=" + ep.Password})
	if err != nil {
		return nil, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := c.WaitTCP(ctx, addr); err != nil {
		return nil, "", errors.Join(err, c.Stop())
	}
	return c, addr, nil
}

// contribSums reads the sums out of contrib's table. Its own StackHash covers
// neither lines nor addresses, so stacks are folded and hashed here.
func contribSums(ctx context.Context, ep chserver.Endpoint) (map[corpus.Key]int64, error) {
	out := make(map[corpus.Key]int64)
	const sql = `SELECT ServiceName, ProfileAttributes['aperture.profile.kind'], SampleType,
		xxHash64(arrayStringConcat(arrayMap((f, l, a) -> concat(f, ':', toString(l), '@', trim(LEADING '0' FROM lower(hex(a)))),
			FunctionNames, LineNumbers, Addresses), ';')) AS stack,
		sum(arraySum(Values))
		FROM contrib.otel_profiles GROUP BY ALL`
	err := benchkit.Query(ctx, ep, sql, func(c []string) error {
		stack, err := strconv.ParseUint(c[3], 10, 64)
		if err != nil {
			return err
		}
		v, err := strconv.ParseInt(c[4], 10, 64)
		if err != nil {
			return err
		}
		out[corpus.Key{Service: c[0], Kind: c[1], Type: c[2], Stack: stack}] = v
		return nil
	})
	return out, err
}
