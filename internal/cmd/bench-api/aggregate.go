package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit/otlpload"
	"github.com/aperture-collector/aperture-collector/internal/corpus"
)

// aggregateAnswer is what is read of an aggregate.
type aggregateAnswer struct {
	CPU struct {
		TotalSamples int64 `json:"total_samples"`
		Stacks       []struct {
			Count int64 `json:"count"`
		} `json:"stacks"`
	} `json:"cpu"`
	TotalEvents uint64 `json:"total_events"`
}

// measureAggregate sums up an hour of a fleet.
func measureAggregate(ctx context.Context, o options, g *gateway) ([]*latencies, error) {
	data, err := otlpload.Generate(corpus.Config{
		Seed: 5, Services: o.services, Pods: o.pods, Start: time.Date(2026, 1, 8, 12, 0, 0, 0, time.UTC),
		Duration: time.Hour, Interval: 15 * time.Second, Samples: o.samples, Tail: 20_000,
	}, 1)
	if err != nil {
		return nil, err
	}
	if err := g.load(ctx, o, data); err != nil {
		return nil, err
	}
	want, largest := cpuSamples(data.Sums), largestStack(data.Sums)
	start := data.Corpus.Config().Start
	body := func(begin, end time.Time) string {
		return fmt.Sprintf(`{"event_type": "cpu", "time_start_ns": %d, "time_end_ns": %d}`, begin.UnixNano(), end.UnixNano())
	}
	hour := body(start, start.Add(time.Hour-1))
	note := fmt.Sprintf("%d samples in %d stacks", data.Sums.Samples, data.Sums.Stacks())
	cold := &latencies{name: "aggregate, first", note: note}
	begin := time.Now()
	if err := g.aggregate(ctx, hour, want, largest); err != nil {
		return nil, err
	}
	cold.all = []time.Duration{time.Since(begin)}
	warm := &latencies{name: "aggregate", percentile: 50, limit: o.maxAggregate, note: note}
	if err := g.repeat(ctx, o, warm, func() error { return g.aggregate(ctx, hour, want, largest) }); err != nil {
		return nil, err
	}
	// Its edges are read from the profiles themselves.
	part := &latencies{name: "aggregate of 40 minutes", note: "10 minutes left out at both ends"}
	few := o
	few.repeat = min(o.repeat, 10)
	unaligned := body(start.Add(10*time.Minute), start.Add(50*time.Minute-1))
	return []*latencies{cold, warm, part}, g.repeat(ctx, few, part, func() error { return g.aggregate(ctx, unaligned, 0, 0) })
}

// aggregate asks and checks the answer, unless nothing is known of it.
func (g *gateway) aggregate(ctx context.Context, body string, want, largest int64) error {
	var got aggregateAnswer
	if err := g.ask(ctx, http.MethodPost, "/api/aggregate", body, &got); err != nil {
		return err
	}
	if len(got.CPU.Stacks) == 0 {
		return fmt.Errorf("check aggregate: there are no stacks")
	}
	if want > 0 && (got.CPU.TotalSamples != want || got.CPU.Stacks[0].Count < largest) {
		return fmt.Errorf("check aggregate: it has %d samples instead of %d, the largest stack %d instead of at least %d",
			got.CPU.TotalSamples, want, got.CPU.Stacks[0].Count, largest)
	}
	return nil
}

// largestStack is the largest number of samples of a stack of one service; over
// all services it may have more.
func largestStack(s *corpus.Sums) (n int64) {
	for key, v := range s.ByKey {
		if key.Kind == corpus.KindCPU {
			n = max(n, v)
		}
	}
	return n
}
