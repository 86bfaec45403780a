package chunkreader

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktest"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkwriter"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/writer"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/corpus"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// benchServices, of 20 pods each, have an hour of the corpus, and benchHours times
// the same.
const (
	benchServices = 8
	benchHours    = 24
)

// fleet is the table of the benchmarks: one row of level 2 for each hour, service
// and kind.
type fleet struct {
	pool   *chconn.Pool
	o      schema.Options
	corpus *corpus.Corpus
	sums   *corpus.Sums
	start  int64
	// cpu is the number of samples of each service in an hour.
	cpu map[string]int64
}

func newFleet(b *testing.B) *fleet {
	b.Helper()
	f := &fleet{cpu: map[string]int64{}}
	f.pool, f.o = chunktest.Open(b)
	var err error
	f.corpus, err = corpus.New(corpus.Config{Services: benchServices, Pods: 20, Duration: time.Hour})
	require.NoError(b, err)
	f.start = f.corpus.Config().Start.UnixNano()
	w := chunkwriter.New(f.pool, writer.Options{Tables: f.o, KnownEntries: 1 << 20})
	g := f.corpus.NewGenerator()
	for tick := range f.corpus.Ticks() {
		groups, err := profile.Split(g.Batch(tick, 1), time.Hour, profile.Limits{})
		require.NoError(b, err)
		for _, group := range groups.Groups {
			group.Series.Tenant = "anonymous"
			if group.Kind == corpus.KindCPU {
				for i := range group.Entries {
					f.cpu[group.Series.Service] += group.Entries[i].Values[0]
				}
			}
		}
		require.NoError(b, w.Write(b.Context(), &profilestore.Window{Token: profile.HashBytes(fmt.Append(nil, tick)), Groups: groups}))
	}
	f.sums = g.Sums()
	byKey := map[chunkrow.Key][]*chunkrow.Row{}
	for _, r := range chunktest.ReadRows(b, f.pool, f.o, chunkrow.All) {
		byKey[r.Key] = append(byKey[r.Key], r)
	}
	server := clickhousetest.Start(b)
	table := f.o.Table("chunks")
	clickhousetest.Exec(b, server, "TRUNCATE TABLE "+table)
	for _, rows := range byKey {
		r := compacted(b, chunkrow.ClosedHour, 1, rows)
		r.Covers = nil
		insert(b, f.pool, f.o, r)
	}
	clickhousetest.Exec(b, server, "OPTIMIZE TABLE "+table+" FINAL")
	b.Logf("%d values, %d stacks, %s", f.sums.Values, f.sums.Stacks(), clickhousetest.Exec(b, server, "SELECT formatReadableSize(sum(data_compressed_bytes)), sum(rows) FROM system.parts WHERE active AND table = 'chunks' AND database = '"+f.o.Database+"'"))
	for h := 1; h < benchHours; h++ {
		clickhousetest.Exec(b, server, fmt.Sprintf("INSERT INTO %[1]s SELECT * REPLACE(hour + %[2]d AS hour, id + %[2]d AS id, first_time + toIntervalSecond(%[2]d) AS first_time, last_time + toIntervalSecond(%[2]d) AS last_time, arrayMap(t -> t + %[2]d000000000, times) AS times) FROM (SELECT * FROM %[1]s WHERE hour = toDateTime(%[3]d, 'UTC')) SETTINGS insert_deduplicate = 0", table, h*3600, f.start/1e9))
	}
	clickhousetest.Exec(b, server, "OPTIMIZE TABLE "+table+" FINAL")
	return f
}

// service returns the one with the median number of samples.
func (f *fleet) service() string {
	names := make([]string, 0, len(f.cpu))
	for name := range f.cpu {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return int(f.cpu[a] - f.cpu[b]) })
	return names[len(names)/2]
}

func (f *fleet) all() (n int64) {
	for _, v := range f.cpu {
		n += v
	}
	return n
}

// cpuTimes returns the processor time of this process and of ClickHouse so far.
func cpuTimes(tb testing.TB) (own, server time.Duration) {
	var r syscall.Rusage
	require.NoError(tb, syscall.Getrusage(syscall.RUSAGE_SELF, &r))
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", clickhousetest.Start(tb).PID()))
	require.NoError(tb, err)
	for _, s := range strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))[11:13] {
		n, err := strconv.Atoi(s)
		require.NoError(tb, err)
		server += time.Duration(n) * 10 * time.Millisecond
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()), server
}

// measure runs f with some clients at once and reports what they saw.
func measure(b *testing.B, clients int, f func() error) {
	b.Helper()
	require.NoError(b, f()) // the stacks are in the cache
	var mu sync.Mutex
	var took []time.Duration
	b.ReportAllocs()
	own, server := cpuTimes(b)
	b.SetParallelism(max(1, clients/2))
	each := func() {
		begin := time.Now()
		err := f()
		mu.Lock()
		defer mu.Unlock()
		took = append(took, time.Since(begin))
		if err != nil {
			b.Error(err)
		}
	}
	if clients == 1 {
		for b.Loop() {
			each()
		}
	} else {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				each()
			}
		})
	}
	own2, server2 := cpuTimes(b)
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d) / 1e6 }
	b.ReportMetric(ms(took[len(took)/2]), "p50-ms")
	b.ReportMetric(ms(took[len(took)*99/100]), "p99-ms")
	b.ReportMetric(ms(own2-own)/float64(len(took)), "own-ms/op")
	b.ReportMetric(ms(server2-server)/float64(len(took)), "server-ms/op")
}

// BenchmarkQueries asks for what the API asks for: 8 services of 20 pods with
// stacks in the cache.
func BenchmarkQueries(b *testing.B) {
	f := newFleet(b)
	o := newReader(f.pool, f.o, 32<<20).opts
	o.StackCacheSize = 128 << 20 // as by default: room for all stacks
	r := New(f.pool, o)
	ctx := b.Context()
	f.corpus, f.sums = nil, nil
	one := f.service()
	cpu := []string{corpus.KindCPU}
	merge := func(sel profilestore.Selector, want int64) func() error {
		sel.Tenant, sel.Kinds = "anonymous", cpu
		return func() error {
			m, err := r.MergeStacks(ctx, sel, profilestore.MergeOptions{MaxStacks: 20_000})
			if err != nil {
				return err
			}
			if got := m.Kinds[0].Totals[0]; got != want && want > 0 {
				return fmt.Errorf("%d samples; expected %d", got, want)
			}
			return nil
		}
	}
	series := func(sel profilestore.Selector, step time.Duration, want int64) func() error {
		sel.Tenant, sel.Kinds = "anonymous", cpu
		return func() error {
			list, err := r.Series(ctx, sel, profilestore.SeriesOptions{By: []string{"k8s.pod.name"}, Step: int64(step)})
			var sum int64
			for _, s := range list {
				for _, p := range s.Points {
					sum += p.Values[0]
				}
			}
			if sum != want {
				return fmt.Errorf("%d samples; expected %d: %w", sum, want, err)
			}
			return err
		}
	}
	top := func(sel profilestore.Selector, want int64) func() error {
		sel.Tenant, sel.Kinds = "anonymous", cpu
		return func() error {
			list, err := r.TopFunctions(ctx, sel, profilestore.TopOptions{Limit: 100})
			if err != nil {
				return err
			}
			if got := list[0].Totals[0]; got != want {
				return fmt.Errorf("%d samples; expected %d", got, want)
			}
			return nil
		}
	}
	name := clickhousetest.Exec(b, clickhousetest.Start(b), "SELECT min(labels['k8s.pod.name']) FROM "+f.o.Table("series")+" WHERE service = '"+one+"'")
	pod := []profilestore.Matcher{{Name: "k8s.pod.name", Value: name}}
	for _, q := range []struct {
		name string
		f    func() error
	}{
		{"merge-1h", merge(profilestore.Selector{Service: one, Start: f.start, End: f.start + layout.Hour}, f.cpu[one])},
		{"merge-24h", merge(profilestore.Selector{Service: one, Start: f.start, End: f.start + benchHours*layout.Hour}, benchHours*f.cpu[one])},
		{"merge-40min", merge(profilestore.Selector{Service: one, Start: f.start + layout.Hour/6, End: f.start + layout.Hour*5/6}, 0)},
		{"merge-pod", merge(profilestore.Selector{Service: one, Start: f.start, End: f.start + layout.Hour, Matchers: pod}, 0)},
		{"fleet-pod", merge(profilestore.Selector{Start: f.start, End: f.start + layout.Hour, Matchers: pod}, 0)},
		{"fleet-1h", merge(profilestore.Selector{Start: f.start, End: f.start + layout.Hour}, f.all())},
		{"fleet-24h", merge(profilestore.Selector{Start: f.start, End: f.start + benchHours*layout.Hour}, benchHours*f.all())},
		{"top-1h", top(profilestore.Selector{Service: one, Start: f.start, End: f.start + layout.Hour}, f.cpu[one])},
		{"top-fleet-1h", top(profilestore.Selector{Start: f.start, End: f.start + layout.Hour}, f.all())},
		{"series-1h", series(profilestore.Selector{Service: one, Start: f.start, End: f.start + layout.Hour}, time.Minute, f.cpu[one])},
		{"series-24h", series(profilestore.Selector{Service: one, Start: f.start, End: f.start + benchHours*layout.Hour}, 5*time.Minute, benchHours*f.cpu[one])},
		{"series-fleet-24h", series(profilestore.Selector{Start: f.start, End: f.start + benchHours*layout.Hour}, 5*time.Minute, benchHours*f.all())},
		{"label-values", func() error {
			vs, err := r.LabelValues(ctx, profilestore.Selector{Tenant: "anonymous", Service: one}, "k8s.pod.name", 1000)
			if len(vs) != 20 {
				return fmt.Errorf("%d values %w", len(vs), err)
			}
			return err
		}},
		{"label-names", func() error {
			names, err := r.LabelNames(ctx, profilestore.Selector{Tenant: "anonymous", Service: one}, 1000)
			if !slices.Contains(names, "k8s.pod.name") {
				return fmt.Errorf("names are %q %w", names, err)
			}
			return err
		}},
		{"profile-types", func() error {
			ts, err := r.ProfileTypes(ctx, profilestore.Selector{Tenant: "anonymous", Start: f.start, End: f.start + layout.Hour})
			if len(ts) < benchServices {
				return fmt.Errorf("%d types %w", len(ts), err)
			}
			return err
		}},
		{"select-1", func() error { // what a query costs at least, now
			return f.pool.Do(ctx, chconn.Query{Query: ch.Query{Body: "SELECT 1 AS x", Result: proto.Results{{Name: "x", Data: new(proto.ColUInt8)}}}})
		}},
		{"fleet-40min", merge(profilestore.Selector{Start: f.start + layout.Hour/6, End: f.start + layout.Hour*5/6}, 0)},
	} {
		for _, clients := range []int{1, 4} {
			b.Run(fmt.Sprintf("%s/clients=%d", q.name, clients), func(b *testing.B) { measure(b, clients, q.f) })
		}
	}
}
