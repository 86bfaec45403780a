package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/chserver"
	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit"
)

// bench is one run.
type bench struct {
	options
	dir    string
	fleet  *fleet
	report *report

	server *chserver.Server
	worker *worker
}

const database = "aperture"

func (b *bench) run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, b.stop()) }()
	if err := b.start(ctx); err != nil {
		return err
	}
	for _, part := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"store an hour", b.storeHour},
		{"store pprof", b.storePprof},
		{"read OTLP", b.readOTLP},
		{"compact", b.compact},
		{"contrib exporter", b.runContrib},
		{"copy hours", b.copyHours},
		{"check queries", b.check},
		{"cold queries", b.cold},
		{"queries", b.alone},
		{"queries beside ingestion", b.beside},
	} {
		begin := time.Now()
		if err := b.profiled(part.name, func() error { return part.do(ctx) }); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		fmt.Printf("%s: %.0f s\n", part.name, time.Since(begin).Seconds())
	}
	return nil
}

// profiled writes a CPU profile of the worker while f runs, if one was asked for.
func (b *bench) profiled(name string, f func() error) error {
	if b.profile == "" {
		return f()
	}
	file := fmt.Sprintf("%s/%s.cpu.pb.gz", b.profile, strings.ReplaceAll(name, " ", "-"))
	if _, err := b.worker.call(call{Profile: &profileCall{file}}); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	_, err := b.worker.call(call{Profile: &profileCall{}})
	return err
}

// newServer returns an embedded ClickHouse that runs.
func newServer(ctx context.Context, dist, dir string) (*chserver.Server, error) {
	s, err := chserver.New(chserver.Options{
		DataDir: dir, Launcher: dist + "/clickhouse-embedded", Library: dist + "/lib/libchdb.so", MemoryLimit: 4 << 30,
	})
	if err != nil {
		return nil, err
	}
	if err := s.Start(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if _, err = s.ClickHouse(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start ClickHouse: %w", err), s.Stop(context.WithoutCancel(ctx)))
	}
	return s, nil
}

func (b *bench) start(ctx context.Context) (err error) {
	if b.server, err = newServer(ctx, b.dist, b.path("clickhouse")); err != nil {
		return err
	}
	if b.worker, err = startWorker(b.path("worker.log")); err != nil {
		return err
	}
	return b.open()
}

// open has the worker open the store anew.
func (b *bench) open() error {
	ep := b.server.Endpoint()
	_, err := b.worker.call(call{Open: &ep})
	return err
}

func (b *bench) stop() error {
	var errs []error
	if b.worker != nil {
		if err := b.worker.stop(); err != nil {
			log, _ := os.ReadFile(b.path("worker.log"))
			errs = append(errs, fmt.Errorf("%w; end of its log:\n%s", err, log[max(0, len(log)-2000):]))
		}
	}
	if b.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		errs = append(errs, b.server.Stop(ctx))
	}
	return errors.Join(errs...)
}

// use returns what the worker and ClickHouse use while f runs.
func (b *bench) use(f func() error) (benchkit.Usage, error) {
	before, err := benchkit.UsageOf(b.worker.pid(), b.server.PID())
	if err != nil {
		return before, err
	}
	if err := f(); err != nil {
		return before, err
	}
	after, err := benchkit.UsageOf(b.worker.pid(), b.server.PID())
	return after.Minus(before), err
}

// sql runs a statement.
func (b *bench) sql(ctx context.Context, format string, args ...any) error {
	return benchkit.Query(ctx, b.server.Endpoint(), fmt.Sprintf(format, args...), nil)
}

// peak notes the largest resident set of the worker since the last one.
func (b *bench) peak(of string) error {
	n, err := b.worker.peak()
	if err != nil {
		return err
	}
	b.report.peaks = append(b.report.peaks, peak{of, n})
	_, err = b.worker.call(call{ResetPeak: true})
	return err
}

// selected returns the queries to measure.
func (b *bench) selected() ([]*op, error) {
	match, err := regexp.Compile(b.queries)
	if err != nil {
		return nil, fmt.Errorf("read -queries: %w", err)
	}
	var out []*op
	for _, o := range b.fleet.ops(b.hours) {
		if match.MatchString(o.Name) {
			out = append(out, o)
		}
	}
	return out, nil
}
