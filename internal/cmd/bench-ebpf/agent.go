package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit"
)

// agentConfig says how to run the receiver.
type agentConfig struct {
	// profiles are those to run. With none there is no ebpf_profiling receiver,
	// which tells what the collector needs without it.
	profiles []string
	// frequency of the CPU profile, in samples per second and processor.
	frequency int
	// interval between batches.
	interval time.Duration
	// overhead is the max_overhead; with 0, costs are not limited.
	overhead float64
}

// agent is a running collector, and what it has found.
type agent struct {
	*sink
	collector *benchkit.Collector
	telemetry string
}

const agentYAML = `receivers:
  otlp:
    protocols:
      grpc:
        endpoint: 127.0.0.1:%[1]d
%[2]sexporters:
  otlp_grpc:
    endpoint: %[3]s
    tls:
      insecure: true
service:
  pipelines:
    profiles:
      receivers: [%[4]s]
      exporters: [otlp_grpc]
  telemetry:
    logs:
      level: warn
    metrics:
      readers:
        - pull:
            exporter:
              prometheus:
                host: 127.0.0.1
                port: %[5]d
`

const receiverYAML = `  ebpf_profiling:
    profiles: [%s]
    sampling_frequency: %d
    interval: %s
    max_overhead: %g
    exclude_self: true
    required: true
`

// launch starts a collector and does not wait until it is ready.
func (b *bench) launch(c agentConfig) (*agent, error) {
	s, err := newSink()
	if err != nil {
		return nil, err
	}
	ports, err := benchkit.FreePorts(2)
	if err != nil {
		s.close()
		return nil, err
	}
	name, receiver := "otlp", ""
	if len(c.profiles) > 0 {
		name = "ebpf_profiling"
		receiver = fmt.Sprintf(receiverYAML, strings.Join(c.profiles, ", "), c.frequency, c.interval, c.overhead)
	}
	dir, err := os.MkdirTemp(b.dir, "agent-")
	if err != nil {
		s.close()
		return nil, err
	}
	file := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, agentYAML, ports[0], receiver, s.addr, name, ports[1]), 0o600); err != nil {
		s.close()
		return nil, err
	}
	collector, err := benchkit.StartCollector(filepath.Join(b.dist, "aperture-collector"), filepath.Join(dir, "log"),
		[]string{"--config", file}, nil)
	if err != nil {
		s.close()
		return nil, err
	}
	return &agent{sink: s, collector: collector, telemetry: fmt.Sprintf("http://127.0.0.1:%d/metrics", ports[1])}, nil
}

// start runs a collector until its profiles run.
func (b *bench) start(ctx context.Context, c agentConfig) (*agent, error) {
	a, err := b.launch(c)
	if err != nil {
		return nil, err
	}
	if err := a.waitActive(ctx, c.profiles); err != nil {
		return nil, errors.Join(err, a.stop())
	}
	return a, nil
}

func (a *agent) waitActive(ctx context.Context, profiles []string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := a.collector.WaitHTTP(ctx, a.telemetry); err != nil {
		return err
	}
	for _, p := range profiles {
		for {
			m, err := a.metrics(ctx)
			if err != nil {
				return err
			}
			if m.sum("active", "profile", p) == 1 {
				break
			}
			if err := benchkit.Sleep(ctx, 100*time.Millisecond); err != nil {
				return fmt.Errorf("the profile %s does not run: see %s", p, a.collector.LogFile)
			}
		}
	}
	return nil
}

// stop ends the collector, which sends the rest of what it found.
func (a *agent) stop() error {
	err := a.collector.Stop()
	a.close()
	return errors.Join(err, a.sink.err())
}
