package cluster_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/chserver"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/corpus"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// sizes are numbers of shards. The servers share the processors of one machine: the
// time of the clock says nothing about a cluster, processor time what shards cost.
var sizes = []int{1, 2, 4}

// benchTables makes the tables of a store on n shards.
func benchTables(b *testing.B, n int) *tables {
	b.Helper()
	name := clickhousetest.ClusterName
	if n == 1 {
		name = ""
	}
	return newTables(b, clickhousetest.Cluster(b, n), name)
}

func (t *tables) cpu() *clickhousetest.CPU {
	var all []*chserver.Server
	for _, s := range t.servers {
		all = append(all, s.Server)
	}
	return clickhousetest.StartCPU(t, all...)
}

// fleet makes windows of 20 pods each of some services, of so many profiles of 15 s
// each, and returns their values that are not zero.
func fleet(b *testing.B, services, ticks, windows int) (out []*profilestore.Window, values uint64) {
	b.Helper()
	c, err := corpus.New(corpus.Config{Services: services, Pods: 20, Interval: 15 * time.Second, Samples: 300})
	require.NoError(b, err)
	g := c.NewGenerator()
	for i := range windows {
		groups, err := profile.Split(g.Batch(i*ticks, ticks), time.Second, profile.Limits{})
		require.NoError(b, err)
		out = append(out, &profilestore.Window{Token: profile.ID{Hi: 1, Lo: uint64(i)}, Groups: groups})
	}
	return out, g.Sums().Values
}

// BenchmarkClusterWrite stores windows of 15 s whose stacks are known.
func BenchmarkClusterWrite(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("shards=%d", n), func(b *testing.B) {
			const count = 4
			windows, values := fleet(b, 8, 1, count)
			t := benchTables(b, n)
			w := t.writer(0)
			write(b, w, windows...)
			i, cpu := 0, t.cpu()
			for b.Loop() {
				win := *windows[i%count]
				win.Token = profile.ID{Hi: 2, Lo: uint64(i)}
				write(b, w, &win)
				i++
			}
			own, theirs := cpu.Used()
			cpu.Report(b)
			each := float64(values) / count * float64(b.N) / 1e6
			b.ReportMetric(each/(own+theirs).Seconds(), "Mvalues/cpu-s")
			b.StopTimer()
			var want uint64
			for j, win := range windows {
				times := 1 + i/count
				if j < i%count {
					times++
				}
				want += uint64(times) * win.Groups.Events
			}
			require.Equal(b, fmt.Sprint(want), t.exec(0, "SELECT sum(events) FROM "+t.Table("chunks")))
		})
	}
}

// BenchmarkClusterMerge merges a closed hour of one service and of all, the stacks
// of which are in the cache.
func BenchmarkClusterMerge(b *testing.B) {
	windows, _ := fleet(b, 8, 60, 4)
	var events uint64
	for _, w := range windows {
		events += w.Groups.Events
	}
	for _, n := range sizes {
		t := benchTables(b, n)
		write(b, t.writer(0), windows...)
		for part := range n {
			require.NoError(b, t.compact(part, part, n))
		}
		r := t.reader(0)
		tenant := windows[0].Groups.Groups[0].Series.Tenant
		for _, service := range []string{windows[0].Groups.Groups[0].Series.Service, ""} {
			b.Run(fmt.Sprintf("shards=%d/services=%s", n, map[bool]string{true: "all", false: "one"}[service == ""]), func(b *testing.B) {
				sel := profilestore.Selector{Tenant: tenant, Service: service}
				cpu := t.cpu()
				for b.Loop() {
					m, err := r.MergeStacks(b.Context(), sel, profilestore.MergeOptions{MaxStacks: 20_000})
					require.NoError(b, err)
					var got uint64
					for _, k := range m.Kinds {
						got += k.Events
					}
					if service == "" {
						require.Equal(b, events, got)
					}
					require.NotZero(b, got)
				}
				cpu.Report(b)
			})
		}
	}
}
