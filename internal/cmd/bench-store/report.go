package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit"
	"github.com/aperture-collector/aperture-collector/internal/corpus"
)

// report is everything that was measured.
type report struct {
	day, hour     *data
	ours, contrib *side
	hourLatency   *latencies
}

func printDay(o options, d *data) {
	c := d.corpus.Config()
	fmt.Println("machine:", benchkit.Machine())
	fmt.Printf("day: %d services x %d pods, one CPU and one memory profile of 4 types each %s for %s: %d profiles, %d samples, %d values, %d stacks\n",
		c.Services, c.Pods, c.Interval, c.Duration, d.sums.Profiles, d.sums.Samples, d.sums.Values, d.sums.Stacks())
	fmt.Printf("sent as %d requests of %.0f samples and %.1f MB each, %d at a time; a sample is one (profile, stack) row\n",
		len(d.requests), float64(d.sums.Samples)/float64(len(d.requests)), float64(d.bytes())/float64(len(d.requests))/1e6, o.senders)
}

func (r *report) print(o options) error {
	samples, values := float64(r.day.sums.Samples), float64(r.day.sums.Values)
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "exporter\tbytes/sample\tbytes/value\tMB at rest\tcollector CPU s\tClickHouse CPU s\tsamples/CPU s\twall s\tOPTIMIZE CPU s\t")
	var sides []*side
	for _, s := range []*side{r.ours, r.contrib} {
		if s == nil {
			continue
		}
		sides = append(sides, s)
		_, _ = fmt.Fprintf(w, "%s\t%.2f\t%.2f\t%.1f\t%.1f\t%.1f\t%.0f\t%.1f\t%.1f\t\n", s.name,
			float64(s.bytes)/samples, float64(s.bytes)/values, float64(s.bytes)/1e6,
			s.loaded.collector.Seconds(), s.loaded.clickhouse.Seconds(), samples/s.loaded.total().Seconds(),
			s.sent.Seconds(), s.optimized.Seconds())
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, s := range sides {
		fmt.Printf("%s, bytes/sample by table: %s\n", s.name, s.tables(samples))
	}
	fmt.Println("checked: the sums of every (service, kind, type, stack) in every store are those of the generator")
	if l := r.hourLatency; l != nil {
		fmt.Printf("flame graph of one service over one hour, %d samples of which %d of CPU time, %d stacks, %d nodes, warm: p50 %.1f ms, p99 %.1f ms, best %.1f ms (merge alone p50 %.1f ms, p99 %.1f ms)\n",
			r.hour.sums.Samples, r.hour.sums.SamplesOf[corpus.KindCPU], l.stacks, l.nodes,
			ms(percentile(l.tree, 50)), ms(percentile(l.tree, 99)), ms(l.tree[0]), ms(percentile(l.merge, 50)), ms(percentile(l.merge, 99)))
		fmt.Printf("CPU time of one flame graph: %.1f ms here, %.1f ms in ClickHouse\n", ms(l.cpu.collector), ms(l.cpu.clickhouse))
	}
	fmt.Println("machine after:", benchkit.Machine())
	return r.limits(o)
}

func (r *report) limits(o options) error {
	if l := r.hourLatency; l != nil && o.maxLatency > 0 && percentile(l.tree, 50) > o.maxLatency {
		return fmt.Errorf("the median flame graph takes %s; the limit is %s", percentile(l.tree, 50), o.maxLatency)
	}
	if r.contrib == nil || r.ours == nil {
		return nil
	}
	bytes := float64(r.contrib.bytes) / float64(r.ours.bytes)
	speed := r.contrib.loaded.total().Seconds() / r.ours.loaded.total().Seconds()
	fmt.Printf("contrib's bytes per sample are %.1f times ours; our samples per CPU second are %.1f times contrib's\n", bytes, speed)
	if bytes < o.minBytes {
		return fmt.Errorf("the ratio of bytes per sample is %.1f; the limit is %.1f", bytes, o.minBytes)
	}
	if speed < o.minSpeed {
		return fmt.Errorf("the ratio of samples per CPU second is %.1f; the limit is %.1f", speed, o.minSpeed)
	}
	return nil
}

// tables lists the tables of a side, the largest first.
func (s *side) tables(samples float64) string {
	names := make([]string, 0, len(s.tableBytes))
	for t := range s.tableBytes {
		names = append(names, t)
	}
	slices.SortFunc(names, func(a, b string) int {
		if c := int64(s.tableBytes[b]) - int64(s.tableBytes[a]); c != 0 {
			return int(c)
		}
		return strings.Compare(a, b)
	})
	for i, t := range names {
		names[i] = fmt.Sprintf("%s %.2f", t, float64(s.tableBytes[t])/samples)
	}
	return strings.Join(names, ", ")
}
