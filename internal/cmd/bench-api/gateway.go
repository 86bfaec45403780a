package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit"
	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit/otlpload"
)

// gateway is the collector that is measured.
type gateway struct {
	*benchkit.Gateway
	client     *http.Client
	clickhouse int // process
	dir        string
	keep       bool
}

func start(ctx context.Context, o options) (g *gateway, err error) {
	g = &gateway{keep: o.keep, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: o.dashboards}}}
	if g.dir, err = os.MkdirTemp("", "bench-api-"); err != nil {
		return nil, err
	}
	if g.Gateway, err = benchkit.StartGateway(ctx, o.collector, o.config, g.dir); err != nil {
		return nil, err
	}
	if g.clickhouse, err = benchkit.Child(g.PID()); err != nil {
		return nil, errors.Join(err, g.stop())
	}
	return g, nil
}

func (g *gateway) stop() error {
	g.client.CloseIdleConnections()
	err := g.Stop()
	if g.keep {
		fmt.Println("data and log:", g.dir)
		return err
	}
	return errors.Join(err, os.RemoveAll(g.dir))
}

// load sends a corpus and waits until the queue is empty and nothing is merged
// any more.
func (g *gateway) load(ctx context.Context, o options, d *otlpload.Data) error {
	took, err := d.Send(ctx, g.OTLPHTTP, o.senders)
	if err != nil {
		return err
	}
	fmt.Printf("loaded %d samples of %d services in %.0f s\n", d.Sums.Samples, d.Corpus.Config().Services, took.Seconds())
	return g.settle(ctx)
}

// settle waits until the queue is empty and both processes have used less than
// a tenth of a core for three seconds.
func (g *gateway) settle(ctx context.Context) error {
	const step = 500 * time.Millisecond
	last, err := g.cpu()
	for quiet := 0; err == nil && quiet < 6; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(step):
		}
		var health struct {
			Pending uint64 `json:"clickhouse_pending_rows"`
		}
		if err = g.ask(ctx, http.MethodGet, "/api/health", "", &health); err != nil {
			return err
		}
		var now benchkit.Usage
		now, err = g.cpu()
		quiet++
		if health.Pending > 0 || now.Minus(last).Total() > step/10 {
			quiet = 0
		}
		last = now
	}
	return err
}

// ask sends a request and decodes the JSON of the answer, unless into is nil.
func (g *gateway) ask(ctx context.Context, method, path, body string, into any) error {
	text, err := g.fetch(ctx, method, path, body)
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal(text, into)
}

func (g *gateway) fetch(ctx context.Context, method, path, body string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+g.API+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, err
	}
	resp, err := g.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: status %s: %.300s", method, path, resp.Status, text)
	}
	return text, err
}

func (g *gateway) cpu() (benchkit.Usage, error) { return benchkit.UsageOf(g.PID(), g.clickhouse) }

// profiled runs work, and meanwhile takes a CPU profile of the collector, if one
// was asked for.
func (g *gateway) profiled(ctx context.Context, o options, name string, work func() error) error {
	if o.profile == "" {
		return work()
	}
	done := make(chan error, 1)
	go func() {
		resp, err := http.Get("http://" + g.Pprof + "/debug/pprof/profile?seconds=5")
		if err != nil {
			done <- err
			return
		}
		defer func() { _ = resp.Body.Close() }()
		data, err := io.ReadAll(resp.Body)
		if err == nil {
			err = os.WriteFile(filepath.Join(o.profile, "api."+name+".cpu.pb.gz"), data, 0o600)
		}
		done <- err
	}()
	err := work()
	select {
	case profileErr := <-done:
		return errors.Join(err, profileErr)
	case <-ctx.Done():
		return ctx.Err()
	}
}
