package compact

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktest"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkwriter"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/writer"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/corpus"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// BenchmarkCompact compacts an hour of three services of 20 pods, written every 15
// seconds: first to rows of level 1, then those to level 2; or all at once.
func BenchmarkCompact(b *testing.B) {
	for _, minutes := range []bool{true, false} {
		b.Run(fmt.Sprintf("minutes=%t", minutes), func(b *testing.B) {
			pool, o := chunktest.Open(b)
			server := clickhousetest.Start(b)
			// Small parts do not say how large their columns are.
			clickhousetest.Exec(b, server, "ALTER TABLE "+o.Table("chunks")+" MODIFY SETTING min_bytes_for_wide_part = 0")
			w := chunkwriter.New(pool, writer.Options{Tables: o, KnownEntries: 1 << 20})
			c, err := corpus.New(corpus.Config{Services: 3, Pods: 20, Interval: 15 * time.Second})
			require.NoError(b, err)
			g := c.NewGenerator()
			var events uint64
			for i := range 240 {
				groups, err := profile.Split(g.Batch(i, 1), time.Second, profile.Limits{})
				require.NoError(b, err)
				events += groups.Events
				require.NoError(b, w.Write(b.Context(), &profilestore.Window{Token: profile.ID{Hi: 1, Lo: uint64(i)}, Groups: groups}))
			}
			values := float64(g.Sums().Values)
			sizes := func(level int) float64 {
				clickhousetest.Exec(b, server, "OPTIMIZE TABLE "+o.Table("chunks")+" FINAL")
				var bytes float64
				_, err := fmt.Sscan(clickhousetest.Exec(b, server, fmt.Sprintf("SELECT sum(data_compressed_bytes) FROM system.parts WHERE active AND database = '%s' AND table = 'chunks' AND partition LIKE '(%d,%%'", o.Database, level)), &bytes)
				require.NoError(b, err)
				return bytes / values
			}
			written := sizes(0)
			inputs := 0
			compactor := func(r Rules) *Compactor {
				return New(pool, Options{
					Tables: o, Rules: r, Holder: "a",
					OnMade:  func(_ context.Context, m Made) { inputs += m.Rows },
					OnError: func(_ context.Context, err error) { b.Error(err) },
				})
			}
			cpu := clickhousetest.StartCPU(b, server)
			for b.Loop() {
				if minutes {
					require.NoError(b, compactor(Rules{CloseAfter: 1 << 62}).Pass(b.Context()))
				}
				require.NoError(b, compactor(Rules{Quiet: 1, Latest: 1}).Pass(b.Context()))
			}
			own, theirs := cpu.Used()
			b.ReportMetric(values/own.Seconds()/1e6, "Mvalues/own-cpu-s")
			b.ReportMetric(values/theirs.Seconds()/1e6, "Mvalues/server-cpu-s")
			b.ReportMetric(values/(own+theirs).Seconds()/1e6, "Mvalues/cpu-s")
			b.ReportMetric(written, "B/value-written")
			// The replaced rows go.
			clickhousetest.Exec(b, server, "ALTER TABLE "+o.Table("chunks")+" UPDATE written = written - INTERVAL 11 MINUTE WHERE 1 SETTINGS mutations_sync = 2")
			cpu = clickhousetest.StartCPU(b, server)
			require.NoError(b, compactor(Rules{}).Pass(b.Context()))
			require.Eventually(b, func() bool {
				return clickhousetest.Exec(b, server, "SELECT count() FROM "+o.Table("chunks")+" WHERE level < 2") == "0"
			}, time.Minute, 50*time.Millisecond)
			own, theirs = cpu.Used()
			b.ReportMetric(values/(own+theirs).Seconds()/1e6, "Mvalues-deleted/cpu-s")
			b.ReportMetric(sizes(2), "B/value-compacted")
			b.Logf("%.0f values, %d inputs; level, rows: %s", values, inputs, clickhousetest.Exec(b, server, "SELECT level, count(), sum(entries_n), sum(length(covers)) FROM "+o.Table("chunks")+" GROUP BY level ORDER BY level"))
			b.Log("\n" + clickhousetest.Exec(b, server, fmt.Sprintf(`SELECT column, round(sum(column_data_compressed_bytes) / %f, 4) AS bytes_per_value, round(sum(column_data_uncompressed_bytes) / sum(column_data_compressed_bytes), 1) AS ratio
				FROM system.parts_columns WHERE active AND database = '%s' AND table = 'chunks' AND partition LIKE '(2,%%' GROUP BY column HAVING bytes_per_value > 0.0005 ORDER BY bytes_per_value DESC FORMAT TSV`, values, o.Database)))
			require.Equal(b, fmt.Sprint(events), clickhousetest.Exec(b, server, "SELECT sum(events) FROM "+o.Table("chunks")+" WHERE level = 2"))
		})
	}
}
