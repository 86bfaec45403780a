package pyroscopeapiextension

import (
	"fmt"
	"slices"
	"testing"

	"connectrpc.com/connect"
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// seriesOf returns series as text: labels, then seconds after the base and values.
func (f *fixture) seriesOf(t testing.TB, r *querierv1.SelectSeriesRequest) (out []string) {
	t.Helper()
	resp, err := f.rpc.SelectSeries(t.Context(), connect.NewRequest(r))
	require.NoError(t, err)
	for _, s := range resp.Msg.Series {
		text := ""
		for _, l := range s.Labels {
			text += l.Name + "=" + l.Value + " "
		}
		for _, p := range s.Points {
			text += fmt.Sprintf("%g:%g ", float64(p.Timestamp-f.base.UnixMilli())/1000, p.Value)
		}
		out = append(out, text[:max(len(text)-1, 0)])
	}
	return out
}

func (f *fixture) selectSeriesRequest(id, labels string, from, to, step float64, by ...string) *querierv1.SelectSeriesRequest {
	return &querierv1.SelectSeriesRequest{ProfileTypeID: id, LabelSelector: labels, Start: f.ms(from), End: f.ms(to), Step: step, GroupBy: by}
}

func TestSelectSeries(t *testing.T) {
	f := start(t, nil)
	const samples = "process_cpu:samples:count:cpu:nanoseconds"
	at := func(pod string, second float64, n int64) sent {
		return sent{labels: []string{"pod", pod, "k8s.node.name", "n-" + pod}, at: second, stacks: map[string][]int64{"main;a": {n}, "main;b": {1}}}
	}
	f.write(t, at("x", -5, 100), at("x", 0, 1), at("x", 0.001, 2), at("x", 10, 4), at("x", 10.001, 8), at("y", 29, 16), at("x", 29, 32), at("y", 30.5, 64))
	// Every profile has one more sample in main;b.
	assert.Equal(t, []string{"0:103 10:8 20:9 30:50"}, f.seriesOf(t, f.selectSeriesRequest(samples, "{}", 0, 30, 10)))
	assert.Equal(t, []string{"k8s_node_name=n-x pod=x 0:103 10:8 20:9 30:33", "k8s_node_name=n-y pod=y 30:17"},
		f.seriesOf(t, f.selectSeriesRequest(samples, "{}", 0, 30, 10, "pod", "k8s_node_name")))
	// Points are where the range begins, whatever the clock says; the last one is not
	// after its end.
	assert.Equal(t, []string{"3:106 13:14"}, f.seriesOf(t, f.selectSeriesRequest(samples, "{}", 3, 22, 10)))
	assert.Equal(t, []string{"0:2 0.001:3 10:5 10.001:9 29:50"}, f.seriesOf(t, f.selectSeriesRequest(samples, "{}", 0, 30, 0.001))[:1],
		"the first point has one step only")

	r := f.selectSeriesRequest(samples, "{}", 0, 30, 10)
	r.Aggregation = typesv1.TimeSeriesAggregationType_TIME_SERIES_AGGREGATION_TYPE_AVERAGE.Enum()
	assert.Equal(t, []string{"0:51.5 10:4 20:9 30:25"}, f.seriesOf(t, r))
	r = f.selectSeriesRequest(samples, "{}", 0, 30, 10, "pod")
	limit := int64(1)
	r.Limit = &limit
	assert.Equal(t, []string{"pod=x 0:103 10:8 20:9 30:33"}, f.seriesOf(t, r))
	r = f.selectSeriesRequest(samples, "{}", 0, 30, 10, "pod")
	r.StackTraceSelector = &typesv1.StackTraceSelector{CallSite: []*typesv1.Location{{Name: "main"}, {Name: "a"}}}
	assert.Equal(t, []string{"pod=x 0:101 10:6 20:8 30:32", "pod=y 30:16"}, f.seriesOf(t, r))
	assert.Equal(t, []string{"__profile_type__=" + samples + " service_name=app 0:103 10:8 20:9 30:50"},
		f.seriesOf(t, f.selectSeriesRequest(samples, "{}", 0, 30, 10, "service_name", "__profile_type__")))
	assert.Equal(t, []string{"0:1.03e+09 10:8e+07 20:9e+07 30:5e+08"}, f.seriesOf(t, f.selectSeriesRequest(cpuID, "{}", 0, 30, 10)))
	assert.Empty(t, f.seriesOf(t, f.selectSeriesRequest(samples, `{service_name="x"}`, 0, 30, 10)))

	for want, r := range map[string]*querierv1.SelectSeriesRequest{
		"step is 0 seconds":      f.selectSeriesRequest(samples, "{}", 0, 30, 0),
		"step is -1 seconds":     f.selectSeriesRequest(samples, "{}", 0, 30, -1),
		"would have more than":   f.selectSeriesRequest(samples, "{}", 0, 80_000, 0.001),
		"group_by has an empty":  f.selectSeriesRequest(samples, "{}", 0, 30, 10, ""),
		"failed to parse label":  f.selectSeriesRequest(samples, "", 0, 30, 10),
		"query start time is":    f.selectSeriesRequest(samples, "{}", 30, 0, 10),
		"group_by has 17 labels": f.selectSeriesRequest(samples, "{}", 0, 30, 10, "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q"),
		"group_by has 18 labels": {
			ProfileTypeID: samples, LabelSelector: "{}", Start: f.ms(0), End: f.ms(1), Step: 1, GroupBy: slices.Repeat([]string{"pod"}, 18),
			StackTraceSelector: &typesv1.StackTraceSelector{CallSite: []*typesv1.Location{{Name: "main"}}},
		},
		"aggregation is 7":   {ProfileTypeID: samples, LabelSelector: "{}", Start: f.ms(0), End: f.ms(1), Step: 1, Aggregation: typesv1.TimeSeriesAggregationType(7).Enum()},
		"exemplar_type is 9": {ProfileTypeID: samples, LabelSelector: "{}", Start: f.ms(0), End: f.ms(1), Step: 1, ExemplarType: 9},
		"found 1 parts":      {ProfileTypeID: "x"},
	} {
		_, err := f.rpc.SelectSeries(t.Context(), connect.NewRequest(r))
		assert.Equal(t, connect.CodeInvalidArgument, codeOf(t, err), want)
		assert.ErrorContains(t, err, want)
	}
}

func TestSelectHeatmap(t *testing.T) {
	f := start(t, nil)
	at := func(pod string, second float64, n int64) sent {
		return sent{labels: []string{"pod", pod}, at: second, stacks: map[string][]int64{"main": {n}}}
	}
	f.write(t, at("x", 1, 0), at("x", 2, 1), at("x", 3, 100), at("x", 12, 100), at("y", 13, 52))
	resp, err := f.rpc.SelectHeatmap(t.Context(), connect.NewRequest(&querierv1.SelectHeatmapRequest{
		ProfileTypeID: "process_cpu:samples:count:cpu:nanoseconds", LabelSelector: "{}", Start: f.ms(0), End: f.ms(20), Step: 10, GroupBy: []string{"pod"},
	}))
	require.NoError(t, err)
	_, err = f.rpc.SelectHeatmap(t.Context(), connect.NewRequest(&querierv1.SelectHeatmapRequest{
		ProfileTypeID: cpuID, LabelSelector: "{}", Start: f.ms(0), End: f.ms(20), Step: 10, GroupBy: slices.Repeat([]string{"pod"}, 17),
	}))
	require.ErrorContains(t, err, "group_by has 17 labels; the limit is 16")
	var got []string
	for _, s := range resp.Msg.Series {
		for _, slot := range s.Slots {
			got = append(got, fmt.Sprint(s.Labels[0].Value, " ", (slot.Timestamp-f.base.UnixMilli())/1000, slot.YMin, slot.Counts))
		}
	}
	assert.Equal(t, []string{"x 10 [0 95] [2 1]", "x 20 [95] [1]", "y 20 [50] [1]"}, got)
}

func TestGetProfileStats(t *testing.T) {
	f := start(t, nil)
	stats := func() *typesv1.GetProfileStatsResponse {
		resp, err := f.rpc.GetProfileStats(t.Context(), connect.NewRequest(&typesv1.GetProfileStatsRequest{}))
		require.NoError(t, err)
		return resp.Msg
	}
	assert.False(t, stats().DataIngested)
	f.writeMixed(t)
	got := stats()
	assert.True(t, got.DataIngested)
	assert.Equal(t, []int64{f.ms(0), f.ms(56)}, []int64{got.OldestProfileTime, got.NewestProfileTime})
	_, err := f.rpc.AnalyzeQuery(t.Context(), connect.NewRequest(&querierv1.AnalyzeQueryRequest{Query: cpuID}))
	require.NoError(t, err)
}
