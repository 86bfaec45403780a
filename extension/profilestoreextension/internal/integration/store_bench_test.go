package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

const (
	benchStacks  = 20_000
	benchSamples = 1_000_000
	benchSeconds = 3600
)

// dictionary makes a dictionary of n stacks of 12 to 27 frames that share
// their roots, as those of one program do.
func dictionary(tb testing.TB, n int) *profile.Dictionary {
	tb.Helper()
	b := profile.NewBuilder()
	rnd := rand.New(rand.NewPCG(1, 2))
	scope := b.Profiles().ResourceProfiles().AppendEmpty().ScopeProfiles().AppendEmpty()
	app := b.Mapping(profile.Mapping{Filename: "/usr/bin/app", BuildID: "cafe"})
	p := b.AddProfile(scope, profile.KindCPU, profile.Types(profile.KindCPU)[0], profile.ValueType{}, 0)
	for i := range n {
		depth := 12 + rnd.IntN(16)
		locations := make([]int32, depth)
		for d := range depth {
			// The nearer to the root, the fewer functions there are.
			fn := rnd.IntN(1 + 4000>>(depth-1-d)/4)
			if d == 0 {
				fn = i % 4000
			}
			f := b.Function(profile.Function{Name: fmt.Sprintf("github.com/example/app/package%d.(*Type).Method%d", fn%97, fn), Filename: fmt.Sprintf("package%d/file.go", fn%97)})
			locations[d] = b.Location(app, uint64(depth-d)<<32|uint64(fn)<<8, profile.FrameGo, profile.Line{Function: f, Line: int64(fn % 300)})
		}
		s := p.Samples().AppendEmpty()
		s.SetStackIndex(b.Stack(locations))
		s.Values().Append(1)
	}
	g, err := profile.Split(b.Profiles(), 1, profile.Limits{})
	require.NoError(tb, err)
	return g.Dict
}

// second makes the group of one second with n samples of one service.
func second(d *profile.Dictionary, rnd *rand.Rand, zipf *rand.Zipf, series *profile.Series, at int64, n int) *profile.Group {
	g := &profile.Group{
		Series: series, Kind: profile.KindCPU, Types: profile.Types(profile.KindCPU),
		PeriodType: profile.ValueType{Type: "cpu", Unit: "nanoseconds"}, Period: 10_101_010,
		Start: at, End: at + 999_000_000,
	}
	seen := map[int32]int{}
	for range n {
		stack := 1 + int32(zipf.Uint64())
		if rnd.IntN(4) == 0 {
			stack = 1 + rnd.Int32N(int32(len(d.Stacks)-1))
		}
		i, ok := seen[stack]
		if !ok {
			i = len(g.Entries)
			seen[stack] = i
			g.Entries = append(g.Entries, profile.Entry{Stack: stack})
		}
		g.Entries[i].Values[0]++
		g.Entries[i].Count++
	}
	return g
}

func series(tenant, service string) *profile.Series {
	s := &profile.Series{Tenant: tenant, Service: service, Labels: []profile.Label{{Name: "service.name", Value: service}}}
	s.ID, _ = profile.LabelsID(s.Labels, nil)
	return s
}

// hourOf stores one hour of one service and returns the number of entries.
func hourOf(tb testing.TB, store profilestore.Store) (entries int) {
	tb.Helper()
	d := dictionary(tb, benchStacks)
	rnd := rand.New(rand.NewPCG(3, 4))
	zipf := rand.NewZipf(rnd, 1.1, 20, uint64(len(d.Stacks)-2))
	s := series("anonymous", "bench")
	samples, windows := 0, 0
	for at := 0; at < benchSeconds; windows++ {
		groups := &profile.Groups{Dict: d}
		for range 30 {
			n := (at+1)*benchSamples/benchSeconds - samples
			samples += n
			g := second(d, rnd, zipf, s, base+int64(at)*1_000_000_000, n)
			entries += len(g.Entries)
			groups.Groups = append(groups.Groups, g)
			at++
		}
		require.NoError(tb, store.Write(context.Background(), &profilestore.Window{Token: profile.HashBytes(fmt.Append(nil, windows)), Groups: groups}))
	}
	require.Equal(tb, benchSamples, samples)
	return entries
}

// BenchmarkMerge merges one service over one hour of 1,000,000 samples and
// 20,000 stacks, with the stacks in the cache, from the hourly totals (whole)
// and from the profiles themselves (edges); narrow is what a default API call
// asks for.
func BenchmarkMerge(b *testing.B) {
	store, server, database := newStore(b)
	entries := hourOf(b, store)
	ctx := context.Background()
	b.Logf("%d rows of stacks in profiles", entries)
	b.Log(clickhousetest.Exec(b, server, fmt.Sprintf("SELECT table, count() AS parts, sum(rows) AS rows, sum(data_compressed_bytes) AS bytes FROM system.parts WHERE database = '%s' AND active GROUP BY table ORDER BY table FORMAT PrettyCompactMonoBlock", database)))
	for _, bench := range []struct {
		name string
		sel  profilestore.Selector
		opts profilestore.MergeOptions
	}{
		{"whole", profilestore.Selector{Start: base, End: base + hour}, profilestore.MergeOptions{}},
		{"whole-narrow", profilestore.Selector{Start: base, End: base + hour}, profilestore.MergeOptions{MaxStacks: 2000}},
		{"edges", profilestore.Selector{Start: base + 1, End: base + hour - 1}, profilestore.MergeOptions{}},
		{"all-kinds", profilestore.Selector{Start: base, End: base + hour}, profilestore.MergeOptions{ByLock: true, BySyscall: true}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			sel := bench.sel
			sel.Tenant, sel.Service = "anonymous", "bench"
			if bench.name != "all-kinds" {
				sel.Kinds = []string{profile.KindCPU}
			}
			b.ReportAllocs()
			cpu := clickhousetest.StartCPU(b, server)
			for b.Loop() {
				m, err := store.MergeStacks(ctx, sel, bench.opts)
				require.NoError(b, err)
				require.Len(b, m.Kinds, 1)
				want := benchSamples
				if bench.name == "edges" { // the first second is outside
					want -= benchSamples / benchSeconds
				}
				require.EqualValues(b, want, m.Kinds[0].Totals[0])
				require.NotEmpty(b, m.Stacks[m.Kinds[0].Rows[0].Stack].Frames)
			}
			cpu.Report(b)
		})
	}
}

// BenchmarkWrite stores windows of one second: 50 services with 300 entries each.
func BenchmarkWrite(b *testing.B) {
	store, server, _ := newStore(b)
	d := dictionary(b, benchStacks)
	rnd := rand.New(rand.NewPCG(5, 6))
	zipf := rand.NewZipf(rnd, 1.1, 20, uint64(len(d.Stacks)-2))
	ctx := context.Background()
	var all []*profile.Series
	for i := range 50 {
		all = append(all, series("anonymous", fmt.Sprintf("service-%d", i)))
	}
	var windows []*profile.Groups
	entries := 0
	for w := range 20 {
		g := &profile.Groups{Dict: d}
		for _, s := range all {
			g.Groups = append(g.Groups, second(d, rnd, zipf, s, base+int64(w)*1_000_000_000, 400))
			entries += len(g.Groups[len(g.Groups)-1].Entries)
		}
		windows = append(windows, g)
	}
	n := 0
	write := func() {
		w := &profilestore.Window{Token: profile.HashBytes(fmt.Appendf(nil, "w%d", n)), Groups: windows[n%len(windows)]}
		require.NoError(b, store.Write(ctx, w))
		n++
	}
	write()
	b.ReportAllocs()
	cpu := clickhousetest.StartCPU(b, server)
	for b.Loop() {
		write()
	}
	cpu.Report(b)
	b.ReportMetric(float64(entries)/float64(len(windows))*float64(b.N)/b.Elapsed().Seconds(), "values/s")
	b.StopTimer()
	got, err := store.CountEvents(ctx, profilestore.Selector{Tenant: "anonymous"})
	require.NoError(b, err)
	require.EqualValues(b, n*50*400, got)
}
