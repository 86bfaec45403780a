package pyroscopeapiextension

import (
	"fmt"
	"strings"
	"testing"

	"connectrpc.com/connect"
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/pyroscope/selector"
)

const cpuID = "process_cpu:cpu:nanoseconds:cpu:nanoseconds"

var memoryTypes = types("alloc_objects/count", "alloc_space/bytes", "inuse_objects/count", "inuse_space/bytes")

// writeMixed stores profiles of several kinds, services and periods.
func (f *fixture) writeMixed(t testing.TB) {
	t.Helper()
	both := types("samples/count", "cpu/nanoseconds")
	f.write(t,
		sent{labels: []string{"k8s.pod.name", "pod-1", "region", "eu"}, at: 0, stacks: map[string][]int64{"main;work;hash": {3}, "main;idle": {1}}},
		sent{labels: []string{"k8s.pod.name", "pod-2"}, at: 20, period: 5_000_000, stacks: map[string][]int64{"main;work;hash": {4}}},
		sent{labels: []string{"k8s_pod_name", "pod-3", "region", "us"}, at: 40, types: both, stacks: map[string][]int64{"main;work": {2, 20_000_123}}},
		sent{service: "db", at: 50, stacks: map[string][]int64{"serve": {7}, "": {1}}},
		sent{service: "db", kind: "memory", types: memoryTypes, nonePeriod: true, at: 50, stacks: map[string][]int64{"serve;alloc": {1, 100, 1, 50}, "serve": {2, 10, 0, 0}}},
		sent{kind: "off_cpu", types: types("off_cpu/nanoseconds", "events/count"), at: 55, stacks: map[string][]int64{"main;wait": {900, 3}}},
		sent{tenant: "other", service: "secret", labels: []string{"password", "x"}, kind: "hidden", types: types("a/b"), stacks: map[string][]int64{"x": {1}}},
	)
}

func TestProfileTypes(t *testing.T) {
	f := start(t, nil)
	empty, err := f.rpc.ProfileTypes(t.Context(), connect.NewRequest(&querierv1.ProfileTypesRequest{}))
	require.NoError(t, err)
	assert.Empty(t, empty.Msg.ProfileTypes)
	f.writeMixed(t)
	for _, r := range []*querierv1.ProfileTypesRequest{{}, {Start: f.ms(0), End: f.ms(60)}} {
		resp, err := f.rpc.ProfileTypes(t.Context(), connect.NewRequest(r))
		require.NoError(t, err)
		var ids []string
		for _, p := range resp.Msg.ProfileTypes {
			ids = append(ids, p.ID)
			assert.Equal(t, p.ID, strings.Join([]string{p.Name, p.SampleType, p.SampleUnit, p.PeriodType, p.PeriodUnit}, ":"))
		}
		assert.Equal(t, []string{
			"memory:alloc_objects:count::", "memory:alloc_space:bytes::", "memory:inuse_objects:count::", "memory:inuse_space:bytes::",
			"off_cpu:events:count:cpu:nanoseconds", "off_cpu:off_cpu:nanoseconds:cpu:nanoseconds",
			cpuID, "process_cpu:samples:count:cpu:nanoseconds",
		}, ids)
	}
	resp, err := f.rpc.ProfileTypes(t.Context(), connect.NewRequest(&querierv1.ProfileTypesRequest{Start: f.ms(-86400), End: f.ms(-80000)}))
	require.NoError(t, err)
	assert.Empty(t, resp.Msg.ProfileTypes)
}

func TestLabels(t *testing.T) {
	f := start(t, nil)
	private := []string{"__name__", "__period_type__", "__period_unit__", "__profile_type__", "__service_name__", "__type__", "__unit__"}
	names := func(matchers ...string) []string {
		t.Helper()
		resp, err := f.rpc.LabelNames(t.Context(), connect.NewRequest(&typesv1.LabelNamesRequest{Matchers: matchers}))
		require.NoError(t, err)
		return resp.Msg.Names
	}
	values := func(name string, matchers ...string) []string {
		t.Helper()
		resp, err := f.rpc.LabelValues(t.Context(), connect.NewRequest(&typesv1.LabelValuesRequest{Name: name, Matchers: matchers}))
		require.NoError(t, err)
		return resp.Msg.Names
	}
	assert.Empty(t, names())
	f.writeMixed(t)
	assert.Equal(t, append(private, "k8s_pod_name", "region", "service_name"), names())
	assert.Equal(t, append(private, "service_name"), names(`{service_name="db"}`))
	assert.Equal(t, append(private, "service_name"), names(`{__profile_type__="memory:inuse_space:bytes::"}`))
	assert.Equal(t, append(private, "k8s_pod_name", "region", "service_name"), names(`{__profile_type__="`+cpuID+`",service_name="app"}`))
	assert.Empty(t, names(`{service_name="secret"}`))

	assert.Equal(t, []string{"app", "db"}, values("service_name"))
	assert.Equal(t, []string{"app", "db"}, values("__service_name__", `{}`))
	assert.Equal(t, []string{"pod-1", "pod-2", "pod-3"}, values("k8s_pod_name"))
	assert.Equal(t, []string{"pod-1", "pod-2", "pod-3"}, values("k8s.pod.name"))
	assert.Equal(t, []string{"pod-1", "pod-3"}, values("k8s_pod_name", `{region!=""}`))
	assert.Equal(t, []string{"pod-3"}, values("k8s.pod.name", `{k8s_pod_name=~"pod-(3|4)"}`))
	assert.Equal(t, []string{"pod-2"}, values("k8s_pod_name", `{"k8s.pod.name"="pod-2"}`))
	assert.Equal(t, []string{"eu", "us"}, values("region", `{k8s_pod_name!="pod-2"}`, `{service_name=~".+pp"}`))
	assert.Empty(t, values("region", `{service_name="db"}`))
	assert.Empty(t, values("region", `{service_name="db"}`, `{service_name="app"}`))
	assert.Equal(t, []string{"db"}, values("service_name", `{__name__="memory"}`))
	assert.Equal(t, []string{"memory", "off_cpu", "process_cpu"}, values("__name__"))
	assert.Equal(t, []string{"memory:inuse_objects:count::", "memory:inuse_space:bytes::"}, values("__profile_type__", `{__type__=~"inuse.*"}`))
	assert.Equal(t, []string{"cpu"}, values("__period_type__"))
	assert.Empty(t, values("password"))
	assert.Empty(t, values("no_such_label"))
	assert.Empty(t, values("region", `{__name__="mutex"}`))
}

func TestSeriesOfLabels(t *testing.T) {
	f := start(t, nil)
	f.writeMixed(t)
	series := func(names []string, matchers ...string) (out []string) {
		t.Helper()
		resp, err := f.rpc.Series(t.Context(), connect.NewRequest(&querierv1.SeriesRequest{Matchers: matchers, LabelNames: names, Start: f.ms(0), End: f.ms(60)}))
		require.NoError(t, err)
		for _, s := range resp.Msg.LabelsSet {
			var text []string
			for _, l := range s.Labels {
				text = append(text, l.Name+"="+l.Value)
			}
			out = append(out, strings.Join(text, " "))
		}
		return out
	}
	assert.Equal(t, []string{
		"__profile_type__=memory:alloc_objects:count:: service_name=db",
		"__profile_type__=memory:alloc_space:bytes:: service_name=db",
		"__profile_type__=memory:inuse_objects:count:: service_name=db",
		"__profile_type__=memory:inuse_space:bytes:: service_name=db",
		"__profile_type__=off_cpu:events:count:cpu:nanoseconds service_name=app",
		"__profile_type__=off_cpu:off_cpu:nanoseconds:cpu:nanoseconds service_name=app",
		"__profile_type__=process_cpu:cpu:nanoseconds:cpu:nanoseconds service_name=app",
		"__profile_type__=process_cpu:cpu:nanoseconds:cpu:nanoseconds service_name=db",
		"__profile_type__=process_cpu:samples:count:cpu:nanoseconds service_name=app",
		"__profile_type__=process_cpu:samples:count:cpu:nanoseconds service_name=db",
	}, series([]string{"service_name", "__profile_type__"}))
	assert.Equal(t, []string{
		"k8s_pod_name=pod-1 region=eu", "k8s_pod_name=pod-2", "k8s_pod_name=pod-3 region=us",
	}, series([]string{"region", "k8s.pod.name"}))
	assert.Equal(t, []string{
		"__name__=process_cpu k8s_pod_name=pod-1 service_name=app", "__name__=process_cpu k8s_pod_name=pod-2 service_name=app",
		"__name__=process_cpu k8s_pod_name=pod-3 service_name=app",
	}, series([]string{"service_name", "k8s_pod_name", "__name__"}, `{k8s_pod_name!=""}`))
	all := series(nil, `{service_name="db",__name__="memory",__type__="inuse_space"}`)
	assert.Equal(t, []string{"__name__=memory __profile_type__=memory:inuse_space:bytes:: __service_name__=db __type__=inuse_space __unit__=bytes service_name=db"}, all)
	assert.Empty(t, series(nil, `{service_name="none"}`))

	// Services have those sample types that they sent, and series those of their profiles.
	f.write(t, sent{service: "java", labels: []string{"jvm", "21"}, kind: "memory", types: types("live/bytes"), nonePeriod: true, at: 50, stacks: map[string][]int64{"a": {1}}})
	assert.Equal(t, []string{
		"__type__=alloc_objects service_name=db", "__type__=alloc_space service_name=db", "__type__=inuse_objects service_name=db",
		"__type__=inuse_space service_name=db", "__type__=live jvm=21 service_name=java",
	}, series([]string{"service_name", "__type__", "jvm"}, `{__name__="memory"}`))
	values, err := f.rpc.LabelValues(t.Context(), connect.NewRequest(&typesv1.LabelValuesRequest{
		Name: "service_name", Matchers: []string{`{__profile_type__="memory:inuse_space:bytes::"}`},
	}))
	require.NoError(t, err)
	assert.Equal(t, []string{"db"}, values.Msg.Names)
}

// Requests have bounds, and lists are whole or refused.
func TestLabelBounds(t *testing.T) {
	f := start(t, nil)
	many := `{` + strings.Repeat(`a="b",`, selector.MaxMatchers/2) + `c="d"}`
	_, err := f.rpc.LabelNames(t.Context(), connect.NewRequest(&typesv1.LabelNamesRequest{Matchers: []string{many, many}}))
	assert.Equal(t, connect.CodeInvalidArgument, codeOf(t, err))
	require.ErrorContains(t, err, "matchers have more than 64 label matchers together")

	s := sent{stacks: map[string][]int64{"main": {1}}}
	for i := range maxLabelNames {
		s.labels = append(s.labels, fmt.Sprintf("l%05d", i), "x")
	}
	f.write(t, s) // service.name is one more
	_, err = f.rpc.LabelNames(t.Context(), connect.NewRequest(&typesv1.LabelNamesRequest{}))
	assert.Equal(t, connect.CodeResourceExhausted, codeOf(t, err))
	require.ErrorContains(t, err, "there are more than 10000 names of labels")
}

func (f *fixture) stacktraces(id, selector string) *querierv1.SelectMergeStacktracesRequest {
	return &querierv1.SelectMergeStacktracesRequest{ProfileTypeID: id, LabelSelector: selector, Start: f.ms(0), End: f.ms(60)}
}

func TestSelectMergeStacktraces(t *testing.T) {
	f := start(t, nil)
	f.writeMixed(t)
	graph := func(r *querierv1.SelectMergeStacktracesRequest) *querierv1.FlameGraph {
		t.Helper()
		resp, err := f.rpc.SelectMergeStacktraces(t.Context(), connect.NewRequest(r))
		require.NoError(t, err)
		return resp.Msg.Flamegraph
	}
	// 3 and 1 samples of 10 ms, 4 of 5 ms, 20.000123 ms, 8 of 10 ms of which one has no stack.
	got := graph(f.stacktraces(cpuID, `{}`))
	const hash, idle, work, serve, none = 50_000_000, 10_000_000, 20_000_123, 70_000_000, 10_000_000
	assert.Equal(t, []string{"total", "serve", "main", "work", "hash", "idle"}, got.Names)
	assert.Equal(t, [][]int64{
		{0, hash + idle + work + serve + none, none, 0},
		{none, hash + idle + work, 0, 2, 0, serve, serve, 1},
		{none, idle, idle, 5, 0, hash + work, work, 3},
		{none + idle + work, hash, hash, 4},
	}, levelsOf(got.Levels))
	assert.EqualValues(t, hash+idle+work+serve+none, got.Total)
	assert.EqualValues(t, serve, got.MaxSelf)

	got = graph(f.stacktraces("process_cpu:samples:count:cpu:nanoseconds", `{service_name="app"}`))
	assert.EqualValues(t, 10, got.Total)
	got = graph(f.stacktraces(cpuID, `{k8s_pod_name="pod-2"}`))
	assert.EqualValues(t, 20_000_000, got.Total)
	got = graph(f.stacktraces(cpuID, `{region=~"us|eu",service_name="app"}`))
	assert.EqualValues(t, 40_000_000+work, got.Total)
	got = graph(f.stacktraces("memory:inuse_space:bytes::", `{__profile_type__="memory:inuse_space:bytes::"}`))
	assert.Equal(t, [][]int64{{0, 50, 0, 0}, {0, 50, 0, 1}, {0, 50, 50, 2}}, levelsOf(got.Levels), "no bar of 0")
	got = graph(f.stacktraces("off_cpu:off_cpu:nanoseconds:cpu:nanoseconds", `{}`))
	assert.EqualValues(t, 900, got.Total)
	for _, nothing := range []*querierv1.SelectMergeStacktracesRequest{
		f.stacktraces("memory:inuse_space:bytes:space:bytes", `{}`), f.stacktraces("memory:inuse:bytes::", `{}`),
		f.stacktraces(cpuID, `{service_name="secret"}`), f.stacktraces("hidden:a:b:cpu:nanoseconds", `{}`),
		f.stacktraces(cpuID, `{__name__="memory"}`), f.stacktraces(cpuID, `{service_name="app",__service_name__="db"}`),
	} {
		got = graph(nothing)
		assert.Equal(t, []string{"total"}, got.Names)
		assert.Equal(t, [][]int64{{0, 0, 0, 0}}, levelsOf(got.Levels))
	}

	// What maxNodes hides is in "other".
	r := f.stacktraces(cpuID, `{service_name="app"}`)
	r.MaxNodes = new(int64)
	*r.MaxNodes = 2
	got = graph(r)
	assert.Equal(t, []string{"total", "main", "other", "work"}, got.Names)
	assert.Equal(t, [][]int64{
		{0, hash + idle + work, 0, 0}, {0, hash + idle + work, 0, 1}, {0, hash + work, work, 3, 0, idle, idle, 2}, {work, hash, hash, 2},
	}, levelsOf(got.Levels))
	assert.EqualValues(t, hash+idle+work, got.Total)
}

func levelsOf(list []*querierv1.Level) (out [][]int64) {
	for _, l := range list {
		out = append(out, l.Values)
	}
	return out
}

// System calls without stacks are bars with the names of the calls.
func TestSyscalls(t *testing.T) {
	f := start(t, nil)
	f.write(t,
		sent{kind: "syscall", types: types("duration/nanoseconds", "calls/count"), nonePeriod: true, call: 202, callName: "futex", stacks: map[string][]int64{"": {900, 3}}},
		sent{kind: "syscall", types: types("duration/nanoseconds", "calls/count"), nonePeriod: true, at: 1, call: 1, callName: "write", stacks: map[string][]int64{"": {100, 7}}},
	)
	for id, want := range map[string][][]int64{
		"syscall:duration:nanoseconds::": {{0, 1000, 0, 0}, {0, 900, 900, 2, 0, 100, 100, 1}},
		"syscall:calls:count::":          {{0, 10, 0, 0}, {0, 3, 3, 2, 0, 7, 7, 1}},
	} {
		resp, err := f.rpc.SelectMergeStacktraces(t.Context(), connect.NewRequest(f.stacktraces(id, "{}")))
		require.NoError(t, err)
		assert.Equal(t, []string{"total", "write", "futex"}, resp.Msg.Flamegraph.Names, id)
		assert.Equal(t, want, levelsOf(resp.Msg.Flamegraph.Levels), id)
	}
	r := f.selectSeriesRequest("syscall:calls:count::", "{}", 0, 60, 10)
	r.StackTraceSelector = &typesv1.StackTraceSelector{CallSite: []*typesv1.Location{{Name: "futex"}}}
	_, err := f.rpc.SelectSeries(t.Context(), connect.NewRequest(r))
	assert.Equal(t, connect.CodeUnimplemented, codeOf(t, err))
}
