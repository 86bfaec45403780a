package pyroscopeapiextension

import (
	"fmt"
	"testing"

	"connectrpc.com/connect"
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// writeSpans stores profiles of which parts belong to spans.
func (f *fixture) writeSpans(t testing.TB) {
	t.Helper()
	both := types("samples/count", "cpu/nanoseconds")
	f.write(t,
		sent{labels: []string{"pod", "x"}, at: 1, types: both, stacks: map[string][]int64{"main;a": {10, 100_000_000}, "main;b": {5, 50_000_000}}, spans: []span{
			{"main;a", 4, 1, 1, 7}, {"main;a", 3, 2, 1, 7}, {"main;b", 2, 1, 1, 7},
		}},
		sent{labels: []string{"pod", "y"}, at: 12, period: 5_000_000, stacks: map[string][]int64{"main;a": {8}}, spans: []span{{"main;a", 6, 3, 2, 8}}},
		sent{kind: "mutex", types: types("contentions/count", "delay/nanoseconds"), at: 13, stacks: map[string][]int64{"lock": {2, 99}}, spans: []span{{"lock", 1, 1, 1, 9}}},
	)
}

func TestSpans(t *testing.T) {
	f := start(t, nil)
	f.writeSpans(t)
	const samples = "process_cpu:samples:count:cpu:nanoseconds"
	total := func(change func(*querierv1.SelectMergeStacktracesRequest)) int64 {
		t.Helper()
		r := f.stacktraces(samples, "{}")
		change(r)
		resp, err := f.rpc.SelectMergeStacktraces(t.Context(), connect.NewRequest(r))
		require.NoError(t, err)
		return resp.Msg.Flamegraph.Total
	}
	const span1, span3 = "0000000000000001", "0000000000000003"
	assert.EqualValues(t, 23, total(func(*querierv1.SelectMergeStacktracesRequest) {}))
	assert.EqualValues(t, 6, total(func(r *querierv1.SelectMergeStacktracesRequest) { r.SpanSelector = []string{span1} }))
	assert.EqualValues(t, 12, total(func(r *querierv1.SelectMergeStacktracesRequest) { r.SpanSelector = []string{span1, span3} }))
	assert.EqualValues(t, 9, total(func(r *querierv1.SelectMergeStacktracesRequest) {
		r.TraceIdSelector = []string{"00000000000000000000000000000001"}
	}))
	assert.EqualValues(t, 6, total(func(r *querierv1.SelectMergeStacktracesRequest) {
		r.ProfileIdSelector = []string{"00000000-0000-0000-0000-000000000008"}
	}))
	assert.EqualValues(t, 4, total(func(r *querierv1.SelectMergeStacktracesRequest) {
		r.SpanSelector = []string{span1}
		r.StackTraceSelector = &typesv1.StackTraceSelector{CallSite: []*typesv1.Location{{Name: "main"}, {Name: "a"}}}
	}))
	assert.EqualValues(t, 60_000_000+30_000_000, total(func(r *querierv1.SelectMergeStacktracesRequest) {
		r.ProfileTypeID, r.SpanSelector = cpuID, []string{span1, span3}
	}), "of samples and periods")
	assert.EqualValues(t, 1, total(func(r *querierv1.SelectMergeStacktracesRequest) {
		r.ProfileTypeID, r.SpanSelector = "mutex:contentions:count:cpu:nanoseconds", []string{span1}
	}))
	assert.Zero(t, total(func(r *querierv1.SelectMergeStacktracesRequest) { r.SpanSelector = []string{"00000000000000ff"} }))

	//lint:ignore SA1019 Grafana calls it
	resp, err := f.rpc.SelectMergeSpanProfile(t.Context(), connect.NewRequest(&querierv1.SelectMergeSpanProfileRequest{
		ProfileTypeID: samples, LabelSelector: "{}", Start: f.ms(0), End: f.ms(60), SpanSelector: []string{span1},
	}))
	require.NoError(t, err)
	assert.Equal(t, [][]int64{{0, 6, 0, 0}, {0, 6, 0, 1}, {0, 4, 4, 3, 0, 2, 2, 2}}, levelsOf(resp.Msg.Flamegraph.Levels))
	assert.Equal(t, []string{"total", "main", "b", "a"}, resp.Msg.Flamegraph.Names)

	r := f.stacktraces("mutex:delay:nanoseconds:cpu:nanoseconds", "{}")
	r.SpanSelector = []string{span1}
	_, err = f.rpc.SelectMergeStacktraces(t.Context(), connect.NewRequest(r))
	assert.Equal(t, connect.CodeUnimplemented, codeOf(t, err))
	assert.ErrorContains(t, err, "contentions is kept of them")
	for _, bad := range [][]string{{"1"}, {"zz00000000000001"}, {span1 + span1}, make([]string, maxIDs+1)} {
		r := f.stacktraces(samples, "{}")
		r.SpanSelector = bad
		_, err = f.rpc.SelectMergeStacktraces(t.Context(), connect.NewRequest(r))
		assert.Equal(t, connect.CodeInvalidArgument, codeOf(t, err))
	}
}

func TestExemplars(t *testing.T) {
	f := start(t, nil)
	f.writeSpans(t)
	ask := func(kind typesv1.ExemplarType) (out []string) {
		t.Helper()
		r := f.selectSeriesRequest("process_cpu:samples:count:cpu:nanoseconds", "{}", 0, 20, 10, "service_name")
		r.ExemplarType = kind
		resp, err := f.rpc.SelectSeries(t.Context(), connect.NewRequest(r))
		require.NoError(t, err)
		require.Len(t, resp.Msg.Series, 1)
		for _, p := range resp.Msg.Series[0].Points {
			for _, x := range p.Exemplars {
				out = append(out, fmt.Sprint(p.Timestamp-f.ms(0), " ", x.Timestamp-f.ms(0), " ", x.Value, " ", x.SpanId, x.ProfileId, " ", x.TraceId[31:], " ", x.Labels[0].Name, "=", x.Labels[0].Value))
			}
		}
		return out
	}
	assert.Empty(t, ask(typesv1.ExemplarType_EXEMPLAR_TYPE_NONE))
	assert.Equal(t, []string{"10000 1000 6 0000000000000001 1 pod=x", "10000 1000 3 0000000000000002 1 pod=x", "20000 12000 6 0000000000000003 2 pod=y"},
		ask(typesv1.ExemplarType_EXEMPLAR_TYPE_SPAN))
	assert.Equal(t, []string{"10000 1000 9 00000000-0000-0000-0000-000000000007 1 pod=x", "20000 12000 6 00000000-0000-0000-0000-000000000008 2 pod=y"},
		ask(typesv1.ExemplarType_EXEMPLAR_TYPE_INDIVIDUAL))

	resp, err := f.rpc.SelectHeatmap(t.Context(), connect.NewRequest(&querierv1.SelectHeatmapRequest{
		ProfileTypeID: cpuID, LabelSelector: `{}`, Start: f.ms(0), End: f.ms(20), Step: 20,
		QueryType: querierv1.HeatmapQueryType_HEATMAP_QUERY_TYPE_SPAN, ExemplarType: typesv1.ExemplarType_EXEMPLAR_TYPE_SPAN,
	}))
	require.NoError(t, err)
	slot := resp.Msg.Series[0].Slots[0]
	assert.Equal(t, []float64{3e7, 5.85e7}, slot.YMin)
	assert.Equal(t, []int32{2, 1}, slot.Counts)
	assert.Equal(t, "0000000000000001", slot.Exemplars[1].SpanId)
	assert.EqualValues(t, 60_000_000, slot.Exemplars[1].Value)
}
