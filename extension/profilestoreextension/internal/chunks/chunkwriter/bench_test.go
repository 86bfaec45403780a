package chunkwriter

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktest"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/corpus"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// benchServices are the first of the corpus of 50, with 20 pods each; the eighth
// runs Node.js. Each pod makes 20 observations of CPU stacks a second, and half as
// many of memory.
const benchServices = 8

// workload is windows of one length.
type workload struct {
	name     string
	interval time.Duration // of profiles
	ticks    int           // in a window
	windows  int
}

var workloads = []workload{
	{"1s", time.Second, 1, 40},
	{"15s", 15 * time.Second, 1, 12},
	{"60s", 15 * time.Second, 4, 4},
	// As in a closed hour, of fewer services.
	{"3600s", 15 * time.Second, 240, 1},
}

// make returns the windows and the number of values (not zero) in all of them.
func (l *workload) make(b *testing.B) (windows []*profilestore.Window, values int) {
	b.Helper()
	services := benchServices
	if l.windows == 1 {
		services = 2
	}
	c, err := corpus.New(corpus.Config{Services: services, Pods: 20, Interval: l.interval, Samples: 20 * l.interval.Seconds()})
	require.NoError(b, err)
	g := c.NewGenerator()
	for i := range l.windows {
		groups, err := profile.Split(g.Batch(i*l.ticks, l.ticks), time.Second, profile.Limits{})
		require.NoError(b, err)
		windows = append(windows, &profilestore.Window{Token: profile.ID{Hi: 1, Lo: uint64(i)}, Groups: groups})
	}
	return windows, int(g.Sums().Values)
}

// BenchmarkRows makes rows and puts them into a block.
func BenchmarkRows(b *testing.B) {
	for _, l := range workloads {
		b.Run(l.name, func(b *testing.B) {
			windows, values := l.make(b)
			r, block, n := newRows(maxRowBytes), chunkrow.NewBlock(), 0
			cpu := clickhousetest.StartCPU(b, clickhousetest.Start(b))
			b.ReportAllocs()
			for b.Loop() {
				w := windows[n%len(windows)]
				block.Reset()
				r.group(w.Groups)
				require.NoError(b, r.build(w.Token, 3600, block.Append))
				r.release()
				n++
			}
			own, _ := cpu.Used()
			b.ReportMetric(float64(values)/float64(len(windows))*float64(b.N)/own.Seconds()/1e6, "Mvalues/cpu-s")
			b.StopTimer()
			got := chunktest.NewContents()
			w := windows[0]
			for _, row := range rowsOf(b, r, w) {
				require.NoError(b, got.AddRow(row))
			}
			want := chunktest.NewContents()
			want.AddWindow(w)
			require.Equal(b, len(want.Places), len(got.Places))
		})
	}
}

// BenchmarkWrite stores windows whose stacks are known; bytes are those of the
// table chunks, in its parts as they were written and after merging.
func BenchmarkWrite(b *testing.B) {
	for _, l := range workloads {
		b.Run(l.name, func(b *testing.B) {
			windows, values := l.make(b)
			pool, o := chunktest.Open(b)
			server := clickhousetest.Start(b)
			w := newWriter(pool, o)
			var events uint64
			for _, win := range windows {
				require.NoError(b, w.Write(b.Context(), win))
				events += win.Groups.Events
			}
			written := sizes(b, o.Database)
			clickhousetest.Exec(b, server, "OPTIMIZE TABLE "+o.Table("chunks")+" FINAL")
			merged := sizes(b, o.Database)
			require.Equal(b, fmt.Sprint(events), clickhousetest.Exec(b, server, "SELECT sum(events) FROM "+o.Table("chunks")))
			n := 0
			cpu := clickhousetest.StartCPU(b, server)
			for b.Loop() {
				win := *windows[n%len(windows)]
				win.Token = profile.ID{Hi: 2, Lo: uint64(n)}
				require.NoError(b, w.Write(b.Context(), &win))
				n++
			}
			own, theirs := cpu.Used()
			cpu.Report(b)
			each := float64(values) / float64(len(windows)) * float64(b.N) / 1e6
			b.ReportMetric(each/own.Seconds(), "Mvalues/own-cpu-s")
			b.ReportMetric(each/theirs.Seconds(), "Mvalues/server-cpu-s")
			b.ReportMetric(float64(written)/float64(values), "B/value")
			b.ReportMetric(float64(merged)/float64(values), "B/value-merged")
		})
	}
}

func sizes(b *testing.B, database string) (bytes uint64) {
	b.Helper()
	text := clickhousetest.Exec(b, clickhousetest.Start(b), "SELECT sum(data_compressed_bytes) FROM system.parts WHERE active AND database = '"+database+"' AND table = 'chunks'")
	_, err := fmt.Sscan(text, &bytes)
	require.NoError(b, err)
	return bytes
}
