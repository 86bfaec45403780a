package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit"
	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit/otlpload"
	"github.com/aperture-collector/aperture-collector/internal/corpus"
)

type options struct {
	dist, profile       string
	corpus              corpus.Config
	senders, repeat     int
	batch               int
	only                string
	minBytes, minSpeed  float64
	maxLatency, maxTime time.Duration
	keep                bool
}

func main() {
	var o options
	flag.StringVar(&o.dist, "dist", "dist", "folder with the built collector, the ClickHouse launcher and its library")
	flag.IntVar(&o.corpus.Services, "services", 4, "services of the generated day")
	flag.IntVar(&o.corpus.Pods, "pods", 2, "pods of each service")
	flag.DurationVar(&o.corpus.Interval, "interval", time.Minute, "length of a profile; each pod makes a CPU and a memory profile of each interval")
	flag.DurationVar(&o.corpus.Duration, "duration", 24*time.Hour, "time that is generated")
	flag.Float64Var(&o.corpus.Samples, "samples", 300, "mean number of observations in a CPU profile")
	flag.IntVar(&o.batch, "batch", 5, "intervals per request")
	flag.IntVar(&o.senders, "senders", 4, "concurrent requests")
	flag.IntVar(&o.repeat, "repeat", 200, "number of flame graphs to measure")
	flag.StringVar(&o.only, "only", "", "measure one side only: ours or contrib")
	flag.Float64Var(&o.minBytes, "min-bytes-ratio", 0, "fail if contrib's bytes per sample are less than so many times ours")
	flag.Float64Var(&o.minSpeed, "min-speed-ratio", 0, "fail if our samples per CPU second are less than so many times contrib's")
	flag.DurationVar(&o.maxLatency, "max-latency", 0, "fail if the median flame graph takes longer")
	flag.DurationVar(&o.maxTime, "timeout", 15*time.Minute, "longest time the whole run may take")
	flag.StringVar(&o.profile, "profile", "", "folder to write CPU profiles of the collectors to")
	flag.BoolVar(&o.keep, "keep", false, "keep the data and the logs")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), o.maxTime)
	defer cancel()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench-store:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "bench-store-")
	if err != nil {
		return err
	}
	if o.keep {
		fmt.Println("data and logs:", dir)
	} else {
		defer func() { _ = os.RemoveAll(dir) }()
	}
	day, err := otlpload.Generate(o.corpus, o.batch)
	if err != nil {
		return err
	}
	printDay(o, day)
	r := &report{day: day}
	if o.only != "contrib" {
		if r.ours, err = measureOurs(ctx, o, filepath.Join(dir, "ours"), day, r); err != nil {
			return fmt.Errorf("our store: %w", err)
		}
	}
	if o.only != "ours" {
		if r.contrib, err = measureContrib(ctx, o, filepath.Join(dir, "contrib"), day); err != nil {
			return fmt.Errorf("contrib exporter: %w", err)
		}
	}
	return r.print(o)
}

func measureOurs(ctx context.Context, o options, dir string, day *otlpload.Data, r *report) (_ *side, err error) {
	s := ours()
	defer func() { err = errors.Join(err, s.stop()) }()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := s.start(ctx, o, dir); err != nil {
		return nil, err
	}
	if err := s.load(ctx, o, day); err != nil {
		return nil, err
	}
	st, err := openStore(ctx, s.server.Endpoint(), 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.close(context.WithoutCancel(ctx))) }()
	config := day.Corpus.Config()
	services := make([]string, config.Services)
	for i := range services {
		services[i] = day.Corpus.Service(i)
	}
	got, err := ourSums(ctx, st, services, config.Start, config.Start.Add(config.Duration+config.Interval))
	if err != nil {
		return nil, err
	}
	if err := day.Sums.Compare(got); err != nil {
		return nil, err
	}
	return s, measureHour(ctx, o, s, st, r)
}

// measureHour adds the hour of a large service and measures its flame graph.
func measureHour(ctx context.Context, o options, s *side, st *store, r *report) error {
	config := hourConfig()
	hour, err := otlpload.Generate(config, 1)
	if err != nil {
		return err
	}
	if _, err := hour.Send(ctx, s.otlp, o.senders); err != nil {
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	r.hour = hour
	service := hour.Corpus.Service(0)
	end := config.Start.Add(config.Duration)
	want := total(hour.Sums, service, corpus.KindCPU, "samples")
	// A profile belongs to the time it begins at, which is inside its interval.
	cpu := func() (benchkit.Usage, error) { return benchkit.UsageOf(os.Getpid(), s.server.PID()) }
	graphs := flameGraphs{endpoint: s.server.Endpoint(), cpu: cpu, service: service, start: config.Start, end: end, want: want}
	r.hourLatencies, err = graphs.all(ctx, o.repeat)
	if err != nil {
		return err
	}
	got, err := ourSums(ctx, st, []string{service}, config.Start, end)
	if err != nil {
		return err
	}
	return hour.Sums.Compare(got)
}

func measureContrib(ctx context.Context, o options, dir string, day *otlpload.Data) (_ *side, err error) {
	s := contrib()
	defer func() { err = errors.Join(err, s.stop()) }()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := s.start(ctx, o, dir); err != nil {
		return nil, err
	}
	if err := s.load(ctx, o, day); err != nil {
		return nil, err
	}
	got, err := contribSums(ctx, s)
	if err != nil {
		return nil, err
	}
	return s, day.Sums.Compare(got)
}
