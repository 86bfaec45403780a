package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit"
)

type options struct {
	collector, config, parts string
	repeat                   int
	services, pods           int
	samples                  float64
	senders                  int
	dashboards, agents       int
	poll, window, duration   time.Duration
	rate                     float64
	maxDiff, maxAggregate    time.Duration
	maxDashboard             time.Duration
	profile                  string
	keep                     bool
}

func main() {
	var o options
	flag.StringVar(&o.collector, "collector", "dist/aperture-collector", "built collector")
	flag.StringVar(&o.config, "config", "config/all-in-one.yaml", "configuration to run it with")
	flag.StringVar(&o.parts, "parts", "diff,aggregate,dashboards", "what to measure")
	flag.IntVar(&o.repeat, "repeat", 50, "requests of each case")
	flag.IntVar(&o.services, "services", 50, "services of the fleet")
	flag.IntVar(&o.pods, "pods", 20, "pods of each service of the fleet")
	flag.Float64Var(&o.samples, "samples", 188, "mean number of samples in a CPU profile of the fleet; each pod makes one CPU and one memory profile every 15 seconds")
	flag.IntVar(&o.senders, "senders", 2, "concurrent requests while data is loaded")
	flag.IntVar(&o.dashboards, "dashboards", 200, "number of dashboards")
	flag.DurationVar(&o.poll, "poll", 5*time.Second, "how often a dashboard asks")
	flag.DurationVar(&o.window, "window", 15*time.Minute, "range that a dashboard shows")
	flag.DurationVar(&o.duration, "duration", time.Minute, "how long the dashboards ask")
	flag.IntVar(&o.agents, "agents", 100, "number of agents that push meanwhile")
	flag.Float64Var(&o.rate, "rate", 100_000, "events per second that all agents push together")
	flag.DurationVar(&o.maxDiff, "max-diff", 0, "fail if the median diff takes longer")
	flag.DurationVar(&o.maxAggregate, "max-aggregate", 0, "fail if the median aggregate takes longer")
	flag.DurationVar(&o.maxDashboard, "max-dashboard", 0, "fail if the 99th percentile of the dashboards is longer, or a push is refused")
	flag.StringVar(&o.profile, "profile", "", "folder to write CPU profiles of the collector to")
	flag.BoolVar(&o.keep, "keep", false, "keep the data and the log")
	flag.Parse()
	if err := run(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, "bench-api:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	parts := map[string]func(context.Context, options, *gateway) ([]*latencies, error){
		"diff": measureDiff, "aggregate": measureAggregate, "dashboards": measureDashboards,
	}
	fmt.Println("machine:", benchkit.Machine())
	var all []*latencies
	for name := range strings.SplitSeq(o.parts, ",") {
		part := parts[name]
		if part == nil {
			return fmt.Errorf("choose parts: there is no %q, only diff, aggregate and dashboards", name)
		}
		// Each part has a store of its own.
		g, err := start(ctx, o)
		if err != nil {
			return err
		}
		measured, err := part(ctx, o, g)
		if err = errors.Join(err, g.stop()); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, measured...)
	}
	return report(all)
}
