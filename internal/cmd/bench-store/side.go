package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/chserver"
	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit"
	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit/otlpload"
)

// side is one of the two stores: a collector and its ClickHouse.
type side struct {
	name, database string
	// extensions and exporter are YAML of the collector's configuration.
	extensions, exporter string

	dir        string
	server     *chserver.Server
	collector  *benchkit.Collector
	otlp       string
	pprof      string
	base       benchkit.Usage
	sent       time.Duration
	loaded     benchkit.Usage
	optimized  time.Duration // CPU of OPTIMIZE FINAL
	bytes      uint64
	tableBytes map[string]uint64
}

const pipeline = `
receivers:
  otlp:
    protocols:
      http:
        endpoint: %[1]s
        max_request_body_size: 268435456
extensions:
  pprof:
    endpoint: %[2]s
%[3]s
exporters:
%[4]s
service:
  extensions: [pprof%[5]s]
  pipelines:
    profiles:
      receivers: [otlp]
      exporters: [%[6]s]
  telemetry:
    logs:
      level: warn
    metrics:
      level: none
`

// ours is our exporter and store.
func ours() *side {
	return &side{
		name: "clickhouse_profiles", database: "aperture",
		extensions: `
  profile_store:
    endpoint: ["${env:BENCH_CLICKHOUSE}"]
    username: ${env:BENCH_USERNAME}
    password: ${env:BENCH_PASSWORD}`,
		exporter: `
  clickhouse_profiles:
    store: profile_store
    sending_queue:
      enabled: false`,
	}
}

// contrib is the exporter of the OpenTelemetry Collector Contrib.
func contrib() *side {
	return &side{
		name: "clickhouse (contrib)", database: "contrib",
		exporter: `
  clickhouse:
    endpoint: tcp://${env:BENCH_CLICKHOUSE}
    username: ${env:BENCH_USERNAME}
    password: ${env:BENCH_PASSWORD}
    database: contrib
    timeout: 60s
    sending_queue:
      enabled: false`,
	}
}

// start runs ClickHouse and the collector in a folder of their own.
func (s *side) start(ctx context.Context, o options, dir string) error {
	s.dir = dir
	var err error
	s.server, err = chserver.New(chserver.Options{
		DataDir: filepath.Join(dir, "clickhouse"), Launcher: filepath.Join(o.dist, "clickhouse-embedded"),
		Library: filepath.Join(o.dist, "lib", "libchdb.so"), MemoryLimit: 4 << 30,
	})
	if err != nil {
		return err
	}
	if err := s.server.Start(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	ep, err := s.server.ClickHouse(ctx)
	if err != nil {
		return fmt.Errorf("start ClickHouse: %w", err)
	}
	ports, err := benchkit.FreePorts(2)
	if err != nil {
		return err
	}
	s.otlp, s.pprof = fmt.Sprintf("127.0.0.1:%d", ports[0]), fmt.Sprintf("127.0.0.1:%d", ports[1])
	extension := ""
	if s.extensions != "" {
		extension = ", profile_store"
	}
	exporter, _, _ := strings.Cut(strings.TrimSpace(s.exporter), ":")
	config := fmt.Sprintf(pipeline, s.otlp, s.pprof, s.extensions, s.exporter, extension, exporter)
	file := filepath.Join(dir, "collector.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return err
	}
	s.collector, err = benchkit.StartCollector(filepath.Join(o.dist, "aperture-collector"), filepath.Join(dir, "collector.log"), []string{"--config", file},
		[]string{"BENCH_CLICKHOUSE=" + ep.Addr, "BENCH_USERNAME=" + ep.Username, "BENCH_PASSWORD=" + ep.Password})
	if err != nil {
		return err
	}
	if err := s.collector.WaitTCP(ctx, s.otlp); err != nil {
		return err
	}
	s.base, err = s.usage()
	return err
}

func (s *side) stop() error {
	var errs []error
	if s.collector != nil {
		errs = append(errs, s.collector.Stop())
		s.collector = nil
	}
	if s.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		errs = append(errs, s.server.Stop(ctx))
		s.server = nil
	}
	return errors.Join(errs...)
}

func (s *side) usage() (benchkit.Usage, error) {
	u, err := benchkit.UsageOf(s.collector.PID(), s.server.PID())
	return u.Minus(s.base), err
}

// load sends the data, waits until the merges have settled and takes the CPU
// time; then it merges everything and takes the size.
func (s *side) load(ctx context.Context, o options, d *otlpload.Data) error {
	var err error
	profiled := s.profile(ctx, o)
	if s.sent, err = d.Send(ctx, s.otlp, o.senders); err != nil {
		return err
	}
	if err := <-profiled; err != nil {
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	if s.loaded, err = s.usage(); err != nil {
		return err
	}
	ep := s.server.Endpoint()
	var tables []string
	err = benchkit.Query(ctx, ep, "SELECT name FROM system.tables WHERE engine LIKE '%MergeTree' AND database = '"+s.database+"'", func(c []string) error {
		tables = append(tables, c[0])
		return nil
	})
	if err != nil {
		return err
	}
	for _, t := range tables {
		if err := benchkit.Query(ctx, ep, fmt.Sprintf("OPTIMIZE TABLE `%s`.`%s` FINAL", s.database, t), nil); err != nil {
			return err
		}
	}
	after, err := s.usage()
	if err != nil {
		return err
	}
	s.optimized = after.Total() - s.loaded.Total()
	s.tableBytes = make(map[string]uint64)
	return benchkit.Query(ctx, ep, "SELECT table, sum(bytes_on_disk) FROM system.parts WHERE active AND database = '"+s.database+"' GROUP BY table", func(c []string) error {
		var n uint64
		if _, err := fmt.Sscan(c[1], &n); err != nil {
			return err
		}
		s.tableBytes[c[0]] = n
		s.bytes += n
		return nil
	})
}

// settle waits until no merge has run for three seconds.
func (s *side) settle(ctx context.Context) error {
	for quiet := 0; quiet < 6; {
		n, err := benchkit.QueryUint(ctx, s.server.Endpoint(), "SELECT count() FROM system.merges")
		if err != nil {
			return err
		}
		quiet++
		if n > 0 {
			quiet = 0
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
	return nil
}

// profile writes a CPU profile of the collector's first seconds of load, if one
// was asked for.
func (s *side) profile(ctx context.Context, o options) <-chan error {
	done := make(chan error, 1)
	if o.profile == "" {
		done <- nil
		return done
	}
	go func() {
		done <- func() error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.pprof+"/debug/pprof/profile?seconds=10", nil)
			if err != nil {
				return err
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return err
			}
			defer func() { _ = resp.Body.Close() }()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(o.profile, "store."+s.database+".cpu.pb.gz"), body, 0o600)
		}()
	}()
	return done
}
