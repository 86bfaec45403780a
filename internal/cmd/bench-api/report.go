package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit"
)

// latencies are those of one kind of request.
type latencies struct {
	name string
	all  []time.Duration
	// cpu is the CPU time of all requests, zero where other work was done beside.
	cpu benchkit.Usage
	// percentile and limit are what is required: 0 for nothing.
	percentile int
	limit      time.Duration
	note       string
}

const warmUps = 3

// repeat measures a request that is sent over and over, and checks every answer.
func (g *gateway) repeat(ctx context.Context, o options, l *latencies, one func() error) error {
	return g.profiled(ctx, o, l.name, func() error {
		for range warmUps {
			if err := one(); err != nil {
				return fmt.Errorf("%s: %w", l.name, err)
			}
		}
		before, err := g.cpu()
		if err != nil {
			return err
		}
		for range o.repeat {
			begin := time.Now()
			if err := one(); err != nil {
				return fmt.Errorf("%s: %w", l.name, err)
			}
			l.all = append(l.all, time.Since(begin))
		}
		after, err := g.cpu()
		l.cpu = after.Minus(before)
		return err
	})
}

func (l *latencies) at(percentile int) time.Duration { return benchkit.Percentile(l.all, percentile) }

func report(all []*latencies) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "ms\tp50\tp99\tCPU of collector\tCPU of ClickHouse\tlimit\trequests\t\t")
	var errs []error
	for _, l := range all {
		slices.Sort(l.all)
		limit := ""
		if l.limit > 0 {
			limit = fmt.Sprintf("p%d %.0f", l.percentile, benchkit.MS(l.limit))
			if got := l.at(l.percentile); got > l.limit {
				errs = append(errs, fmt.Errorf("%s: percentile %d is %s; the limit is %s", l.name, l.percentile, got, l.limit))
			}
		}
		n := time.Duration(len(l.all))
		_, _ = fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.1f\t%.1f\t%s\t%d\t%s\t\n", l.name, benchkit.MS(l.at(50)), benchkit.MS(l.at(99)),
			benchkit.MS(l.cpu.Collector/n), benchkit.MS(l.cpu.ClickHouse/n), limit, len(l.all), l.note)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Println("checked: every answer of diff and aggregate has the sums of what was sent; every acknowledged push is stored once")
	fmt.Println("machine after:", benchkit.Machine())
	return errors.Join(errs...)
}
