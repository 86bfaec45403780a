package main

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit"
)

// report is everything that was measured.
type report struct {
	options options
	fleet   *fleet
	began   time.Time

	hour, known, pprof, read stored // known is the first time of pprof
	compacted                benchkit.Usage
	optimized                time.Duration
	sizes, columns           map[string]uint64
	contrib                  *contrib
	queries                  []*measured
	besideRate               float64
	peaks                    []peak
}

// peak is the largest resident set of the worker in a part of the run.
type peak struct {
	of    string
	bytes uint64
}

func newReport(o options) (*report, error) {
	if o.hours < 1 || o.hours > 24 || o.rounds < 1 || o.pprofWindows < 1 || o.factor <= 0 {
		return nil, fmt.Errorf("-hours is %d, from 1 to 24; -rounds is %d and -pprof %d, at least 1; -factor is %g, above 0", o.hours, o.rounds, o.pprofWindows, o.factor)
	}
	if ticks := int(time.Hour / interval); o.pprofWindows > ticks || o.contrib > ticks {
		return nil, fmt.Errorf("-pprof is %d and -contrib %d; an hour has %d windows", o.pprofWindows, o.contrib, ticks)
	}
	fmt.Println("machine:", benchkit.Machine())
	return &report{options: o, began: time.Now()}, nil
}

func (r *report) printFleet(f *fleet) {
	r.fleet = f
	c := f.corpus.Config()
	fmt.Printf("fleet: %d services of %d pods, each with a CPU profile and, if it runs Go, a memory profile of 4 types every %s\n", c.Services, c.Pods, c.Interval)
	fmt.Printf("an hour: %d profiles, %d samples, %d values, %d stacks of a service and kind; %.0f MB of OTLP in %d windows\n",
		f.hour.Profiles, f.hour.Samples, f.hour.Values, f.hour.Stacks(), float64(f.hour.bytes)/1e6, f.hour.windows)
	fmt.Printf("pprof: %d files, %d values, %.1f bytes of gzip per value; one service is %s; %d hours\n",
		f.pprof.Profiles, f.pprof.Values, float64(f.pprof.bytes)/float64(f.pprof.Values), f.corpus.Service(f.one), r.options.hours)
}

// figure is a line of the table: what was measured, and what it must and may be.
type figure struct {
	name           string
	must, moonshot []float64
	measured       []float64
	more           bool // larger is better
	unit           string
	digits         int
}

func (f *figure) within(limits []float64) bool {
	for i, l := range limits {
		if f.measured[i] != l && f.measured[i] > l != f.more {
			return false
		}
	}
	return true
}

func (f *figure) text(values []float64) string {
	parts := make([]string, len(values))
	for i, v := range values {
		parts[i] = fmt.Sprintf("%.*f", f.digits, v)
		if v == float64(int(v)) && f.digits == 0 {
			parts[i] = fmt.Sprint(int(v))
		}
	}
	return strings.Join(parts, " / ") + f.unit
}

// stored is how many values were stored in all.
func (r *report) stored() uint64 { return r.hour.values + r.known.values + r.pprof.values }

// share is what compacting some values took, of all that was compacted.
func (r *report) share(values uint64) time.Duration {
	return time.Duration(float64(r.compacted.Total()) * float64(values) / float64(r.stored()))
}

// rates returns millions of values per CPU second: stored, with reading OTLP, and
// from gzipped pprof; all with ClickHouse and compaction.
func (r *report) rates() (storing, otlp, pprof float64) {
	rate := func(values uint64, used time.Duration) float64 { return float64(values) / 1e6 / used.Seconds() }
	whole := r.hour.used.Total() + r.share(r.hour.values)
	reading := time.Duration(float64(r.read.used.Collector) / float64(r.read.values) * float64(r.hour.values))
	return rate(r.hour.values, whole-reading), rate(r.hour.values, whole), rate(r.pprof.values, r.pprof.used.Total()+r.share(r.pprof.values))
}

func (r *report) query(name string) *measured {
	for _, m := range r.queries {
		if m.op.Name == name {
			return m
		}
	}
	return nil
}

func (r *report) figures() []*figure {
	values := float64(r.stored())
	var all uint64
	for _, n := range r.sizes {
		all += n
	}
	storing, _, pprof := r.rates()
	var peak uint64
	for _, p := range r.peaks {
		peak = max(peak, p.bytes)
	}
	one := func(name string, must, moonshot, measured float64, unit string, more bool, digits int) *figure {
		return &figure{name, []float64{must}, []float64{moonshot}, []float64{measured}, more, unit, digits}
	}
	out := []*figure{
		one("bytes per value at rest", 1.0, 0.75, float64(r.sizes["chunks"])/values, "", false, 2),
		one("everything with symbols, first hour", 1.5, 1.1, float64(all)/values, "", false, 2),
		one("values stored per CPU second, store + ClickHouse + compaction", 2.0, 5.0, storing, " M", true, 2),
		one("from gzipped pprof, end to end, per core", 0.6, 1.0, pprof, " M", true, 2),
	}
	for _, q := range []struct {
		name           string
		must, moonshot []float64 // p50, and p99
		four           bool
	}{
		{"merge, 1 service, 1 h", []float64{10, 25}, []float64{5, 10}, true},
		{"merge, 1 service, 24 h", []float64{20, 50}, []float64{10, 20}, true},
		{"merge, all services, 1 h", []float64{60}, []float64{30}, false},
		{"merge, all services, 24 h", []float64{400}, []float64{150}, false},
		{"filtered by one pod, 1 h", []float64{25}, []float64{10}, false},
		{"filtered by one label, 1 h", []float64{25}, []float64{10}, false},
		{"40 odd minutes", []float64{25}, []float64{10}, false},
		{"top functions, 1 service", []float64{10}, []float64{5}, false},
		{"top functions, all services", []float64{200}, []float64{100}, false},
		{"series by pod, 1 h", []float64{10}, []float64{4}, false},
		{"series of the fleet by pod, 24 h", []float64{300}, []float64{150}, false},
		{"label values", []float64{5}, []float64{3}, false},
		{"label names", []float64{5}, []float64{3}, false},
	} {
		m := r.query(q.name)
		if m == nil {
			continue
		}
		p := medianOf(m.alone)
		name := q.name + ", p50"
		if q.four {
			p, name = medianOf(m.four), q.name+", 4 clients, p50 / p99"
		}
		f := &figure{name, q.must, q.moonshot, []float64{benchkit.MS(p.p50)}, false, " ms", 1}
		if len(q.must) > 1 {
			f.measured = append(f.measured, benchkit.MS(p.p99))
		}
		out = append(out, f)
	}
	return append(out, one("memory of the store's process while doing all that", 400, 250, float64(peak)/1e6, " MB", false, 0))
}

func (r *report) print() error {
	fmt.Printf("\n%d hours of the fleet in the store; ", r.options.hours)
	fmt.Printf("queries: median of %d rounds; the machine at the end: %s\n", r.options.rounds, benchkit.Machine())
	figures := r.figures()
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "figure\tmust\tmoonshot\tmeasured\tmust held\tmoonshot held\t")
	answer := map[bool]string{true: "yes", false: "no"}
	missed := 0
	for _, f := range figures {
		if !f.within(f.must) {
			missed++
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t\n", f.name, f.text(f.must), f.text(f.moonshot), f.text(f.measured), answer[f.within(f.must)], answer[f.within(f.moonshot)])
	}
	if err := w.Flush(); err != nil {
		return err
	}
	r.printStoring()
	if err := r.printQueries(); err != nil {
		return err
	}
	fmt.Println("checked: the sums of every (service, kind, type, stack), and every answer of every query, are those of the generator")
	fmt.Printf("took %.0f s\n", time.Since(r.began).Seconds())
	if missed > 0 && r.options.strict {
		return fmt.Errorf("%d of %d figures are not what they must be", missed, len(figures))
	}
	return nil
}

func (r *report) printStoring() {
	values := float64(r.stored())
	fmt.Println("\nbytes per value by table, after the first hour:", perValue(r.sizes, values))
	// Small parts do not say how large their columns are.
	if text := perValue(r.columns, values); text != "" {
		fmt.Println("by column of chunks:", text)
	}
	ns := func(d time.Duration, values uint64) float64 { return float64(d.Nanoseconds()) / float64(values) }
	storing, otlp, _ := r.rates()
	fmt.Printf("CPU ns per value: storing OTLP %.0f in the collector (of which %.0f reading it) and %.0f in ClickHouse; compaction %.0f and %.0f; from gzipped pprof %.0f and %.0f, without compaction\n",
		ns(r.hour.used.Collector, r.hour.values), ns(r.read.used.Collector, r.read.values), ns(r.hour.used.ClickHouse, r.hour.values),
		ns(r.compacted.Collector, r.stored()), ns(r.compacted.ClickHouse, r.stored()),
		ns(r.pprof.used.Collector, r.pprof.values), ns(r.pprof.used.ClickHouse, r.pprof.values))
	fmt.Printf("the first time of pprof, with all symbols: %.0f and %.0f\n", ns(r.known.used.Collector, r.known.values), ns(r.known.used.ClickHouse, r.known.values))
	fmt.Printf("million values per CPU second: stored %.2f, with reading OTLP %.2f; the hour took %.0f s, OPTIMIZE of all tables %.1f s of CPU\n",
		storing, otlp, r.hour.took.Seconds(), r.optimized.Seconds())
	if c := r.contrib; c != nil {
		var all uint64
		for _, n := range r.sizes {
			all += n
		}
		speed := float64(c.values) / 1e6 / c.used.Total().Seconds()
		bytes := float64(c.bytes) / float64(c.values)
		fmt.Printf("contrib's clickhouse exporter, %d values: %.1f bytes per value, %.3f million values per CPU second; that is %.0f times the bytes and 1/%.0f of the speed of ours from OTLP\n",
			c.values, bytes, speed, bytes*values/float64(all), otlp/speed)
	}
	for _, p := range r.peaks {
		fmt.Printf("peak of memory, %s: %.0f MB\n", p.of, float64(p.bytes)/1e6)
	}
}

func (r *report) printQueries() error {
	fmt.Printf("\nqueries in ms; cold: median of %d; %d clients beside %.0f values/s, %.1f times what the fleet makes\n",
		r.options.rounds, clientsBeside, r.besideRate, r.besideRate/r.fleet.rate())
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "query\tcold\t1 client p50\tp99\tn\t4 clients p50\tp99\tn\t16 beside p50\tp99\tn\t")
	for _, m := range r.queries {
		slices.Sort(m.cold)
		_, _ = fmt.Fprintf(w, "%s\t%.1f\t", m.op.Name, benchkit.MS(benchkit.Percentile(m.cold, 50)))
		for _, rounds := range [][]percentiles{m.alone, m.four, m.beside} {
			p := medianOf(rounds)
			_, _ = fmt.Fprintf(w, "%.1f\t%.1f\t%d\t", benchkit.MS(p.p50), benchkit.MS(p.p99), p.n)
		}
		_, _ = fmt.Fprintln(w)
	}
	return w.Flush()
}

// perValue lists bytes per value, the largest first.
func perValue(sizes map[string]uint64, values float64) string {
	names := slices.SortedFunc(maps.Keys(sizes), func(a, b string) int {
		return cmp.Or(cmp.Compare(sizes[b], sizes[a]), cmp.Compare(a, b))
	})
	var parts []string
	for _, n := range names {
		if v := float64(sizes[n]) / values; v >= 0.0005 {
			parts = append(parts, fmt.Sprintf("%s %.3f", n, v))
		}
	}
	return strings.Join(parts, ", ")
}
