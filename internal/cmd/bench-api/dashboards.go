package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit"
	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit/pushload"
)

// measureDashboards lets dashboards poll while agents push.
func measureDashboards(ctx context.Context, o options, g *gateway) ([]*latencies, error) {
	mixes, err := pushload.Mixes("agents", 0)
	if err != nil {
		return nil, err
	}
	agents, err := pushload.NewAgents(mixes[0], o.agents, o.rate/float64(o.agents))
	if err != nil {
		return nil, err
	}
	api := &pushload.API{Base: "http://" + g.API, Start: time.Now().Add(-2 * pushload.Spread)}
	health := &latencies{name: "/api/health", percentile: 99, limit: o.maxDashboard}
	aggregate := &latencies{name: "/api/aggregate", percentile: 99, limit: o.maxDashboard}
	var mu sync.Mutex
	stop := make(chan struct{})
	group, gctx := errgroup.WithContext(ctx)
	for _, a := range agents {
		group.Go(func() error { return a.Run(gctx, stop, g.Push, 1<<40) })
	}
	group.Go(func() error {
		defer close(stop)
		// Until all agents push at their pace.
		if err := benchkit.Sleep(gctx, 2*pushload.Spread); err != nil {
			return err
		}
		return g.profiled(gctx, o, "dashboards", func() error {
			polls, pctx := errgroup.WithContext(gctx)
			until := time.Now().Add(o.duration)
			for range o.dashboards {
				polls.Go(func() error {
					h, a, err := g.poll(pctx, o, until)
					mu.Lock()
					defer mu.Unlock()
					health.all, aggregate.all = append(health.all, h...), append(aggregate.all, a...)
					return err
				})
			}
			return polls.Wait()
		})
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	api.End = time.Now().Add(time.Second)
	want := pushload.NewExpect()
	var refused, pushes uint64
	for _, a := range agents {
		want.Add(&a.Expect)
		refused, pushes = refused+a.Refused, pushes+a.Pushes
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if _, err := api.WaitStored(ctx, want.Events()); err != nil {
		return nil, err
	}
	if err := api.Check(ctx, agents, &want); err != nil {
		return nil, err
	}
	pushed := time.Since(api.Start) - 2*pushload.Spread
	aggregate.note = fmt.Sprintf("%d dashboards every %s beside %.0f events/s, %d pushes, %d refused",
		o.dashboards, o.poll, float64(want.Events())/pushed.Seconds(), pushes, refused)
	if refused > 0 && o.maxDashboard > 0 {
		return nil, fmt.Errorf("%d of %d pushes were refused", refused, pushes)
	}
	return []*latencies{health, aggregate}, nil
}

// poll is one dashboard.
func (g *gateway) poll(ctx context.Context, o options, until time.Time) (health, aggregate []time.Duration, err error) {
	next := time.Now().Add(time.Duration(rand.Float64() * float64(o.poll)))
	for ; next.Before(until); next = next.Add(o.poll) {
		if err := benchkit.Sleep(ctx, time.Until(next)); err != nil {
			return nil, nil, err
		}
		begin := time.Now()
		if _, err := g.fetch(ctx, http.MethodGet, "/api/health", ""); err != nil {
			return nil, nil, err
		}
		answered := time.Now()
		// In milliseconds, as upstream's web UI asks.
		body := fmt.Sprintf(`{"time_start_ns": %d, "time_end_ns": %d}`, begin.Add(-o.window).UnixMilli(), begin.UnixMilli())
		text, err := g.fetch(ctx, http.MethodPost, "/api/aggregate", body)
		if err != nil {
			return nil, nil, err
		}
		if len(text) < 1000 {
			return nil, nil, errors.New("an aggregate is empty")
		}
		health, aggregate = append(health, answered.Sub(begin)), append(aggregate, time.Since(answered))
	}
	return health, aggregate, nil
}
