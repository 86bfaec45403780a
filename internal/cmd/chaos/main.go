package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"

	"github.com/aperture-collector/aperture-collector/internal/chaos"
	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit"
)

func main() {
	o := chaos.Options{Log: os.Stdout}
	flag.StringVar(&o.Collector, "collector", "dist/aperture-collector", "built collector")
	flag.StringVar(&o.Launcher, "launcher", "dist/clickhouse-embedded", "built ClickHouse launcher")
	flag.StringVar(&o.Library, "library", "dist/lib/libchdb.so", "ClickHouse library")
	flag.StringVar(&o.Config, "config", "config", "folder of the configurations to run")
	flag.StringVar(&o.Dir, "dir", "", "folder for data and for what failed cycles leave behind (default: a temporary one)")
	flag.Uint64Var(&o.Seed, "seed", 0, "what all choices are drawn from; 0 draws one")
	flag.IntVar(&o.Cycles, "cycles", 200, "number of cycles")
	cycle := flag.Int("cycle", -1, "repeat only this cycle, with data of its own")
	faults := flag.String("faults", "", fmt.Sprintf("faults to choose from, with commas; of %v (default all)", chaos.Faults))
	flag.Parse()
	if *cycle >= 0 {
		o.First, o.Cycles = *cycle, 1
	}
	if err := run(o, *faults); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

func run(o chaos.Options, faults string) (err error) {
	if o.Faults, err = chaos.ParseFaults(faults); err != nil {
		return err
	}
	if o.Seed == 0 {
		o.Seed = rand.Uint64N(1_000_000)
	}
	if o.Dir == "" {
		if o.Dir, err = os.MkdirTemp("", "chaos-"); err != nil {
			return err
		}
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	fmt.Printf("seed %d, on %s\n", o.Seed, benchkit.Machine())
	results, err := chaos.Run(ctx, o)
	fmt.Println()
	failed := chaos.Report(os.Stdout, results)
	if failed > 0 {
		err = errors.Join(err, fmt.Errorf("%d of %d cycles failed; repeat one with -seed %d -cycle N; data and logs are in %s", failed, len(results), o.Seed, o.Dir))
	}
	if err == nil {
		return os.RemoveAll(o.Dir)
	}
	return err
}
