package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit"
	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit/pushload"
)

// maxPushes of one agent: /api/batches lists at most a thousand.
const maxPushes = 1000

type options struct {
	collector, config, profile string
	mixes                      string
	agents, events             int
	warmup, duration           time.Duration
	rate, minRate, maxRSS      float64
	keep                       bool
}

func main() {
	var o options
	flag.StringVar(&o.collector, "collector", "dist/aperture-collector", "built collector")
	flag.StringVar(&o.config, "config", "config/all-in-one.yaml", "configuration to run it with")
	flag.StringVar(&o.mixes, "mix", "agents,cpu", "what the agents push, one run for each")
	flag.IntVar(&o.agents, "agents", 100, "number of agents, each with a connection of its own")
	flag.IntVar(&o.events, "events", 500, "events per push in the mix `cpu`")
	flag.Float64Var(&o.rate, "rate", 0, "events per second that all agents push together at most; 0 for as many as are acknowledged")
	flag.DurationVar(&o.warmup, "warmup", 10*time.Second, "how long to push before the measurement begins")
	flag.DurationVar(&o.duration, "duration", 20*time.Second, "how long to push while measuring")
	flag.Float64Var(&o.minRate, "min-rate", 0, "fail below this many events per CPU second of the collector")
	flag.Float64Var(&o.maxRSS, "max-rss", 0, "fail above this peak memory of the collector in MB")
	flag.StringVar(&o.profile, "profile", "", "folder to write a CPU and a heap profile of the collector under load to")
	flag.BoolVar(&o.keep, "keep", false, "keep the data and the collector's log")
	flag.Parse()
	if err := runAll(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, "bench-push:", err)
		os.Exit(1)
	}
}

// runAll runs the chosen mixes one after the other, all of them even if one fails.
func runAll(ctx context.Context, o options) error {
	chosen, err := pushload.Mixes(o.mixes, o.events)
	if err != nil {
		return err
	}
	var errs []error
	for _, m := range chosen {
		fmt.Println("mix:", m.Name)
		if err := run(ctx, o, m); err != nil {
			errs = append(errs, fmt.Errorf("mix %s: %w", m.Name, err))
		}
	}
	return errors.Join(errs...)
}

// run measures one mix with a collector and a store of its own.
func run(ctx context.Context, o options, pushed pushload.Mix) (err error) {
	agents, err := pushload.NewAgents(pushed, o.agents, o.rate/float64(o.agents))
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench-push-")
	if err != nil {
		return err
	}
	if o.keep {
		fmt.Println("data and log:", dir)
	} else {
		defer func() { _ = os.RemoveAll(dir) }()
	}
	gateway, err := benchkit.StartGateway(ctx, o.collector, o.config, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, gateway.Stop()) }()
	a := &pushload.API{Base: "http://" + gateway.API}
	a.Start = time.Now().Add(-2 * pushload.Spread)
	m := &meter{collector: gateway.PID()}
	if err := load(ctx, o, pushed.Name, agents, m, gateway.Push, gateway.Pprof); err != nil {
		return err
	}
	a.End = time.Now().Add(time.Second)
	want := pushload.NewExpect()
	for _, ag := range agents {
		want.Add(&ag.Expect)
	}
	stored, cancelStored := context.WithTimeout(ctx, 2*time.Minute)
	defer cancelStored()
	drain, err := a.WaitStored(stored, want.Events())
	if err != nil {
		return err
	}
	r, err := m.stop()
	if err != nil {
		return err
	}
	if err := a.Check(ctx, agents, &want); err != nil {
		return err
	}
	return report(o, agents, &want, r, drain)
}

// load lets the agents push, and measures from the end of the warm-up until the
// last push is answered.
func load(ctx context.Context, o options, mixName string, agents []*pushload.Agent, m *meter, addr, pprofAddr string) error {
	group, ctx := errgroup.WithContext(ctx)
	stop := make(chan struct{})
	for _, a := range agents {
		group.Go(func() error { return a.Run(ctx, stop, addr, maxPushes) })
	}
	group.Go(func() error {
		defer close(stop)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(o.warmup):
		}
		if err := m.begin(agents); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(o.duration):
		}
		return nil
	})
	if o.profile != "" {
		group.Go(func() error {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(o.warmup):
			}
			seconds := max(int(o.duration.Seconds())-2, 1)
			if err := fetch(ctx, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", pprofAddr, seconds), filepath.Join(o.profile, mixName+".cpu.pb.gz")); err != nil {
				return err
			}
			return fetch(ctx, "http://"+pprofAddr+"/debug/pprof/heap", filepath.Join(o.profile, mixName+".heap.pb.gz"))
		})
	}
	err := group.Wait()
	m.pushed(agents)
	return err
}

func fetch(ctx context.Context, url, file string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o600)
}
