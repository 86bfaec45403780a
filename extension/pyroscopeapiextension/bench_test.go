package pyroscopeapiextension

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"
	"github.com/stretchr/testify/require"
)

const (
	benchServices = 5
	benchPods     = 200 // of each service
	benchMinutes  = 50
	benchStacks   = 40 // of each profile, of 2000 of the service
)

// writeFleet stores a profile of every pod each minute and returns the samples of one
// service.
func (f *fixture) writeFleet(b *testing.B) (total int64) {
	b.Helper()
	for service := range benchServices {
		var list []sent
		for minute := range benchMinutes {
			for pod := range benchPods {
				s := sent{
					service: fmt.Sprintf("service-%d", service), labels: []string{"pod", fmt.Sprintf("pod-%d", pod)},
					at: float64(minute*60) + float64(pod)/10, stacks: make(map[string][]int64, benchStacks),
				}
				for i := range benchStacks {
					n := (pod*7 + minute*13 + i*31) % 2000
					s.stacks[fmt.Sprintf("main;run;handler_%d;%s;leaf_%d", n%20, strings.Repeat("step;", 12)+fmt.Sprintf("call_%d", n%200), n)] = []int64{int64(1 + i%3)}
				}
				for _, v := range s.stacks {
					if service == 0 {
						total += v[0]
					}
				}
				list = append(list, s)
			}
		}
		f.write(b, list...)
	}
	return total
}

func BenchmarkAPI(b *testing.B) {
	f := start(b, nil)
	total := f.writeFleet(b)
	const id = "process_cpu:samples:count:cpu:nanoseconds"
	from, until := fmt.Sprint(f.ms(0)), fmt.Sprint(f.ms(benchMinutes*60))
	b.Run("render", func(b *testing.B) {
		want := fmt.Sprintf(`"numTicks":%d`, total)
		for b.Loop() {
			status, body := f.get(b, "/pyroscope/render", "query", id+`{service_name="service-0"}`, "from", from, "until", until)
			require.Equal(b, http.StatusOK, status)
			require.Contains(b, body, want)
		}
	})
	b.Run("render_all", func(b *testing.B) {
		for b.Loop() {
			status, body := f.get(b, "/pyroscope/render", "query", id+`{}`, "from", from, "until", until)
			require.Equal(b, http.StatusOK, status)
			require.Contains(b, body, `"numTicks":`)
		}
	})
	b.Run("stacktraces", func(b *testing.B) {
		for b.Loop() {
			resp, err := f.rpc.SelectMergeStacktraces(b.Context(), connect.NewRequest(&querierv1.SelectMergeStacktracesRequest{
				ProfileTypeID: id, LabelSelector: `{service_name="service-0"}`, Start: f.ms(0), End: f.ms(benchMinutes * 60),
			}))
			require.NoError(b, err)
			require.Equal(b, total, resp.Msg.Flamegraph.Total)
		}
	})
	b.Run("select_series_1000", func(b *testing.B) {
		for b.Loop() {
			resp, err := f.rpc.SelectSeries(b.Context(), connect.NewRequest(&querierv1.SelectSeriesRequest{
				ProfileTypeID: id, LabelSelector: `{}`, Start: f.ms(0), End: f.ms(benchMinutes * 60), Step: 60, GroupBy: []string{"service_name", "pod"},
			}))
			require.NoError(b, err)
			require.Len(b, resp.Msg.Series, benchServices*benchPods)
		}
	})
	b.Run("label_values", func(b *testing.B) {
		for b.Loop() {
			resp, err := f.rpc.LabelValues(b.Context(), connect.NewRequest(&typesv1.LabelValuesRequest{
				Name: "pod", Matchers: []string{`{__profile_type__="` + id + `",service_name="service-0"}`}, Start: f.ms(0), End: f.ms(benchMinutes * 60),
			}))
			require.NoError(b, err)
			require.Len(b, resp.Msg.Names, benchPods)
		}
	})
}
