package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit"
	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit/otlpload"
	"github.com/aperture-collector/aperture-collector/internal/corpus"
)

// report is everything that was measured.
type report struct {
	day, hour     *otlpload.Data
	ours, contrib *side
	hourLatencies []*latencies
}

func printDay(o options, d *otlpload.Data) {
	c := d.Corpus.Config()
	fmt.Println("machine:", benchkit.Machine())
	fmt.Printf("day: %d services x %d pods, one CPU and one memory profile of 4 types each %s for %s: %d profiles, %d samples, %d values, %d stacks\n",
		c.Services, c.Pods, c.Interval, c.Duration, d.Sums.Profiles, d.Sums.Samples, d.Sums.Values, d.Sums.Stacks())
	fmt.Printf("sent as %d requests of %.0f samples and %.1f MB each, %d at a time; a sample is one (profile, stack) row\n",
		len(d.Requests), float64(d.Sums.Samples)/float64(len(d.Requests)), float64(d.Bytes())/float64(len(d.Requests))/1e6, o.senders)
}

func (r *report) print(o options) error {
	samples, values := float64(r.day.Sums.Samples), float64(r.day.Sums.Values)
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
			s.loaded.Collector.Seconds(), s.loaded.ClickHouse.Seconds(), samples/s.loaded.Total().Seconds(),
			s.sent.Seconds(), s.optimized.Seconds())
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, s := range sides {
		fmt.Printf("%s, bytes/sample by table: %s\n", s.name, s.tables(samples))
	}
	fmt.Println("checked: the sums of every (service, kind, type, stack) in every store are those of the generator")
	if len(r.hourLatencies) > 0 {
		if err := r.printFlameGraphs(w); err != nil {
			return err
		}
	}
	fmt.Println("machine after:", benchkit.Machine())
	return r.limits(o)
}

// printFlameGraphs prints the flame graphs in milliseconds.
func (r *report) printFlameGraphs(w *tabwriter.Writer) error {
	l := r.hourLatencies[0]
	fmt.Printf("flame graph of one service over one hour, %d samples of which %d of CPU time, %d stacks, %d nodes, in ms:\n",
		r.hour.Sums.Samples, r.hour.Sums.SamplesOf[corpus.KindCPU], l.stacks, l.nodes)
	_, _ = fmt.Fprintln(w, "\tp50\tp99\tbest\tmerge alone p50\tp99\tCPU here\tCPU in ClickHouse\trepeated\t")
	for _, l := range r.hourLatencies {
		_, _ = fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%d\t\n", l.name,
			benchkit.MS(benchkit.Percentile(l.tree, 50)), benchkit.MS(benchkit.Percentile(l.tree, 99)), benchkit.MS(l.tree[0]),
			benchkit.MS(benchkit.Percentile(l.merge, 50)), benchkit.MS(benchkit.Percentile(l.merge, 99)), benchkit.MS(l.cpu.Collector), benchkit.MS(l.cpu.ClickHouse), len(l.tree))
	}
	return w.Flush()
}

func (r *report) limits(o options) error {
	for _, l := range r.hourLatencies {
		if p50 := benchkit.Percentile(l.tree, 50); l.name == targeted && o.maxLatency > 0 && p50 > o.maxLatency {
			return fmt.Errorf("the median flame graph (%s) takes %s; the limit is %s", l.name, p50, o.maxLatency)
		}
	}
	if r.contrib == nil || r.ours == nil {
		return nil
	}
	bytes := float64(r.contrib.bytes) / float64(r.ours.bytes)
	speed := r.contrib.loaded.Total().Seconds() / r.ours.loaded.Total().Seconds()
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
