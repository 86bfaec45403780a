package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/corpus"
)

// interval is the length of profiles, and of the windows that they are stored as.
const interval = 15 * time.Second

type options struct {
	dist, profile string
	corpus        corpus.Config
	quick         bool
	hours         int
	rounds        int
	each          time.Duration
	pprofWindows  int
	contrib       int
	factor        float64
	queries       string
	strict, keep  bool
	maxTime       time.Duration
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == workerArgument {
		if err := work(context.Background(), os.Stdin, os.Stdout); err != nil {
			fail(err)
		}
		return
	}
	o := options{corpus: corpus.Config{Duration: time.Hour, Interval: interval}}
	flag.StringVar(&o.dist, "dist", "dist", "folder with the built collector, the ClickHouse launcher and its library")
	flag.BoolVar(&o.quick, "quick", false, "8 services, 2 hours, fewer repetitions: for a first look")
	flag.IntVar(&o.corpus.Services, "services", 50, "services of the fleet")
	flag.IntVar(&o.corpus.Pods, "pods", 20, "pods of each service")
	flag.Float64Var(&o.corpus.Samples, "samples", 220, "mean number of observations in a CPU profile of 15 s; 220 make 35 million samples an hour with 50 services of 20 pods")
	flag.IntVar(&o.hours, "hours", 24, "hours in the store, of which the first is stored and the others are copies")
	flag.IntVar(&o.rounds, "rounds", 5, "how often each query is measured; figures are the median of the rounds")
	flag.DurationVar(&o.each, "each", 700*time.Millisecond, "how long a query is repeated in a round")
	flag.IntVar(&o.pprofWindows, "pprof", 8, "windows of 15 s that are stored from gzipped pprof")
	flag.IntVar(&o.contrib, "contrib", 3, "windows that are also sent to contrib's exporter; 0 leaves it out")
	flag.Float64Var(&o.factor, "factor", 10, "how many times the rate of the fleet is stored beside the queries of 16 clients")
	flag.StringVar(&o.queries, "queries", "", "measure only the queries with names that match this regular expression")
	flag.StringVar(&o.profile, "profile", "", "folder to write CPU profiles of the worker to, one for each part")
	flag.BoolVar(&o.strict, "strict", false, "fail if a figure is not what it must be")
	flag.DurationVar(&o.maxTime, "timeout", time.Hour, "longest time the whole run may take")
	flag.BoolVar(&o.keep, "keep", false, "keep the data and the logs")
	flag.Parse()
	if o.quick {
		o.corpus.Services, o.hours, o.rounds, o.each, o.pprofWindows = min(o.corpus.Services, 8), min(o.hours, 2), min(o.rounds, 3), min(o.each, 300*time.Millisecond), min(o.pprofWindows, 4)
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.maxTime)
	defer cancel()
	if err := run(ctx, o); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "bench-store:", err)
	os.Exit(1)
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
	r, err := newReport(o)
	if err != nil {
		return err
	}
	b := &bench{options: o, dir: dir, report: r}
	if err := b.generate(); err != nil {
		return fmt.Errorf("generate: %w", err)
	}
	r.printFleet(b.fleet)
	if err := b.run(ctx); err != nil {
		return err
	}
	return r.print()
}

// path returns the name of a file in the folder of the run.
func (b *bench) path(parts ...string) string {
	return filepath.Join(append([]string{b.dir}, parts...)...)
}
