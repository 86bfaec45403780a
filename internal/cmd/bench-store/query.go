package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/corpus"
	"github.com/aperture-collector/aperture-collector/internal/flame"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// hourConfig is one hour of one service, on a day of its own, with about a
// million samples of CPU time in 20,000 stacks.
func hourConfig() corpus.Config {
	return corpus.Config{
		Seed: 3, Services: 1, Pods: 120, Start: time.Date(2026, 1, 7, 12, 0, 0, 0, time.UTC),
		Duration: time.Hour, Samples: 360, Tail: 20_000, TailShare: 0.3,
	}
}

// latencies are those of one query, sorted.
type latencies struct {
	merge, tree []time.Duration
	// cpu is the mean CPU time of one query, of ClickHouse and of this process,
	// which unlike the latency does not depend on what else the machine does.
	cpu    usage
	stacks int
	nodes  int
}

// flameGraph measures the merged CPU flame graph of a service over a range, and
// checks its total each time.
func flameGraph(ctx context.Context, r profilestore.Reader, cpu func() (usage, error), service string, start, end time.Time, want int64, repeat int) (*latencies, error) {
	sel := profilestore.Selector{
		Tenant: profile.DefaultTenant, Service: service, Kinds: []string{corpus.KindCPU},
		Start: start.UnixNano(), End: end.UnixNano(),
	}
	out := new(latencies)
	var before usage
	for i := range repeat + 5 { // the first ones warm the caches
		if i == 5 {
			var err error
			if before, err = cpu(); err != nil {
				return nil, err
			}
		}
		begin := time.Now()
		m, err := r.MergeStacks(ctx, sel, profilestore.MergeOptions{MaxStacks: 10_000_000})
		if err != nil {
			return nil, err
		}
		merged := time.Since(begin)
		if len(m.Kinds) != 1 {
			return nil, fmt.Errorf("merge %s: it has %d kinds instead of 1", service, len(m.Kinds))
		}
		tree := flame.Build(m, &m.Kinds[0], flame.Options{})
		total := time.Since(begin)
		if got := tree.Total(0, 0); got != want || m.Kinds[0].Totals[0] != want {
			return nil, fmt.Errorf("merge %s: the flame graph has %d and the total is %d instead of %d", service, got, m.Kinds[0].Totals[0], want)
		}
		if i >= 5 {
			out.merge, out.tree = append(out.merge, merged), append(out.tree, total)
		}
		out.stacks, out.nodes = len(m.Kinds[0].Rows), len(tree.Nodes)
	}
	after, err := cpu()
	if err != nil {
		return nil, err
	}
	out.cpu = usage{
		(after.collector - before.collector) / time.Duration(repeat),
		(after.clickhouse - before.clickhouse) / time.Duration(repeat),
	}
	slices.Sort(out.merge)
	slices.Sort(out.tree)
	return out, nil
}

func percentile(sorted []time.Duration, p int) time.Duration {
	return sorted[min(len(sorted)*p/100, len(sorted)-1)]
}

// total is the sum of one type of a service and kind.
func total(s *corpus.Sums, service, kind, typ string) (sum int64) {
	for k, v := range s.ByKey {
		if k.Service == service && k.Kind == kind && k.Type == typ {
			sum += v
		}
	}
	return sum
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
