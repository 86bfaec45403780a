package benchkit

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// Gateway is a collector with a shipped configuration that has all listeners of
// config/all-in-one.yaml, and data of its own. It does not profile this host.
type Gateway struct {
	*Collector
	// API, Push, OTLPHTTP and Pprof are host:port pairs of its listeners.
	API, Push, OTLPHTTP, Pprof string
}

// StartGateway runs a built collector with its data and log in dir, and waits
// until it is ready.
func StartGateway(ctx context.Context, binary, config, dir string) (*Gateway, error) {
	ports, err := FreePorts(6)
	if err != nil {
		return nil, err
	}
	listen := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
	g := &Gateway{API: listen(0), Push: listen(1), OTLPHTTP: listen(3), Pprof: listen(5)}
	g.Collector, err = StartCollector(binary, filepath.Join(dir, "collector.log"), []string{
		"--config", config,
		"--config", "yaml:service::pipelines::profiles::receivers: [aperture, otlp]",
		"--config", "yaml:service::extensions: [embedded_clickhouse, profile_store, file_storage/queue, http_server/aperture, aperture_api, pprof]",
		"--config", "yaml:extensions::pprof::endpoint: " + g.Pprof,
		"--config", "yaml:service::telemetry::logs::level: warn",
	}, []string{
		"APERTURE_DATA_DIR=" + dir, "APERTURE_ADMIN_LISTEN=" + g.API, "APERTURE_AGGREGATOR_LISTEN=" + g.Push,
		"APERTURE_OTLP_GRPC_LISTEN=" + listen(2), "APERTURE_OTLP_HTTP_LISTEN=" + g.OTLPHTTP,
		fmt.Sprintf("APERTURE_TELEMETRY_PORT=%d", ports[4]),
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := g.WaitHTTP(ctx, "http://"+g.API+"/readyz"); err != nil {
		return nil, errors.Join(err, g.Stop())
	}
	return g, nil
}
