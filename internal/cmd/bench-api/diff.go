package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit/otlpload"
	"github.com/aperture-collector/aperture-collector/internal/corpus"
)

// diffAnswer is what is read of a diff.
type diffAnswer struct {
	BaselineTotal   int64 `json:"baseline_total"`
	ComparisonTotal int64 `json:"comparison_total"`
	Stacks          []struct {
		Baseline   int64   `json:"baseline_count"`
		Comparison int64   `json:"comparison_count"`
		PValue     float64 `json:"p_value"`
	} `json:"stacks"`
	Truncated bool `json:"truncated"`
}

// measureDiff compares two hours of one service.
func measureDiff(ctx context.Context, o options, g *gateway) ([]*latencies, error) {
	c, err := corpus.New(corpus.Config{
		Seed: 3, Services: 1, Pods: 120, Start: time.Date(2026, 1, 7, 12, 0, 0, 0, time.UTC),
		Duration: 2 * time.Hour, Samples: 360, Tail: 20_000, TailShare: 0.3,
	})
	if err != nil {
		return nil, err
	}
	var hours [2]*otlpload.Data
	for i := range hours {
		if hours[i], err = otlpload.Range(c, i*60, 60, 1); err != nil {
			return nil, err
		}
		if err := g.load(ctx, o, hours[i]); err != nil {
			return nil, err
		}
	}
	body := func(limit string) string {
		start := c.Config().Start.UnixNano()
		hour := time.Hour.Nanoseconds()
		return fmt.Sprintf(`{"service": %q, "frame_order": "leaf_first", "baseline_start_ns": %d, "baseline_end_ns": %d, "comparison_start_ns": %d, "comparison_end_ns": %d%s}`,
			c.Service(0), start, start+hour-1, start+hour, start+2*hour-1, limit)
	}
	whole, err := g.diff(ctx, body(`, "limit": 100000`))
	if err != nil {
		return nil, err
	}
	if err := checkDiff(whole, hours); err != nil {
		return nil, err
	}
	l := &latencies{
		name: "diff", percentile: 50, limit: o.maxDiff,
		note: fmt.Sprintf("%d and %d samples, %d stacks", whole.BaselineTotal, whole.ComparisonTotal, len(whole.Stacks)),
	}
	return []*latencies{l}, g.repeat(ctx, o, l, func() error {
		// Decoding the answer is not the collector's work.
		_, err := g.fetch(ctx, http.MethodPost, "/api/diff", body(""))
		return err
	})
}

func (g *gateway) diff(ctx context.Context, body string) (*diffAnswer, error) {
	var envelope struct {
		Result string `json:"result_json"`
		Error  string `json:"error"`
	}
	if err := g.ask(ctx, http.MethodPost, "/api/diff", body, &envelope); err != nil {
		return nil, err
	}
	if envelope.Error != "" {
		return nil, fmt.Errorf("diff: %s", envelope.Error)
	}
	out := new(diffAnswer)
	return out, json.Unmarshal([]byte(envelope.Result), out)
}

// checkDiff compares totals, and the sums of the rows, with what was sent. Single
// rows are those of functions, which several stacks of the corpus can share.
func checkDiff(got *diffAnswer, hours [2]*otlpload.Data) error {
	want := [2]int64{cpuSamples(hours[0].Sums), cpuSamples(hours[1].Sums)}
	var sums [2]int64
	for _, row := range got.Stacks {
		sums[0] += row.Baseline
		sums[1] += row.Comparison
		if row.PValue < 0 || row.PValue > 1 {
			return fmt.Errorf("check diff: a p_value is %g", row.PValue)
		}
	}
	if totals := [2]int64{got.BaselineTotal, got.ComparisonTotal}; totals != want || got.Truncated {
		return fmt.Errorf("check diff: totals are %v instead of %v", totals, want)
	}
	if sums != want {
		return fmt.Errorf("check diff: the rows sum to %v instead of %v", sums, want)
	}
	return nil
}

func cpuSamples(s *corpus.Sums) (n int64) {
	for key, v := range s.ByKey {
		if key.Kind == corpus.KindCPU {
			n += v
		}
	}
	return n
}
