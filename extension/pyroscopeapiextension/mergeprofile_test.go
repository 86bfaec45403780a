package pyroscopeapiextension

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	pprofile "github.com/google/pprof/profile"
	googlev1 "github.com/grafana/pyroscope/api/gen/proto/go/google/v1"
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// parsed checks a profile by the rules of pprof.
func parsed(t testing.TB, p *googlev1.Profile) *pprofile.Profile {
	t.Helper()
	b, err := p.MarshalVT()
	require.NoError(t, err)
	out, err := pprofile.ParseData(b)
	require.NoError(t, err)
	require.NoError(t, out.CheckValid())
	return out
}

// stacksOf returns samples as text: frames from the root on with lines, and the value.
func stacksOf(p *pprofile.Profile) (out []string) {
	for _, s := range p.Sample {
		var frames []string
		for _, l := range slices.Backward(s.Location) {
			for _, line := range slices.Backward(l.Line) {
				frames = append(frames, fmt.Sprintf("%s@%d", line.Function.Name, line.Line))
			}
		}
		out = append(out, fmt.Sprint(strings.Join(frames, ";"), " ", s.Value[0]))
	}
	slices.Sort(out)
	return out
}

func TestSelectMergeProfile(t *testing.T) {
	f := start(t, nil)
	both := types("samples/count", "cpu/nanoseconds")
	f.write(t,
		sent{at: 1, types: both, stacks: map[string][]int64{"main@1;work@7": {2, 20_000_123}, "main@1;work@8": {1, 10_000_000}, "main@2": {0, 0}, "init@1;load@1": {1, 5}}},
		sent{at: 2, period: 5_000_000, stacks: map[string][]int64{"main@1;work@7": {3}, "": {2}}},
	)
	ask := func(r *querierv1.SelectMergeProfileRequest) *pprofile.Profile {
		t.Helper()
		r.ProfileTypeID, r.LabelSelector, r.Start, r.End = cpuID, "{}", f.ms(0), f.ms(60)
		//lint:ignore SA1019 older clients call it
		resp, err := f.rpc.SelectMergeProfile(t.Context(), connect.NewRequest(r))
		require.NoError(t, err)
		return parsed(t, resp.Msg)
	}
	p := ask(&querierv1.SelectMergeProfileRequest{})
	assert.Equal(t, []string{" 10000000", "init@1;load@1 5", "main@1;work@7 35000123", "main@1;work@8 10000000"}, stacksOf(p), "each stack once")
	assert.Equal(t, []*pprofile.ValueType{{Type: "cpu", Unit: "nanoseconds"}}, p.SampleType)
	assert.Equal(t, &pprofile.ValueType{Type: "cpu", Unit: "nanoseconds"}, p.PeriodType)
	assert.Equal(t, f.ms(60)*int64(time.Millisecond), p.TimeNanos)
	assert.Equal(t, int64(time.Minute), p.DurationNanos)
	fn := p.Function[0]
	assert.Equal(t, fn.Name+".go", fn.Filename)
	assert.EqualValues(t, 3, fn.StartLine)
	assert.Equal(t, []string{"/usr/bin/app", "cafe"}, []string{p.Mapping[0].File, p.Mapping[0].BuildID})

	p = ask(&querierv1.SelectMergeProfileRequest{StackTraceSelector: &typesv1.StackTraceSelector{CallSite: []*typesv1.Location{{Name: "main"}}}})
	assert.Equal(t, []string{"main@1;work@7 35000123", "main@1;work@8 10000000"}, stacksOf(p.Compact()))
	p = ask(&querierv1.SelectMergeProfileRequest{StackTraceSelector: &typesv1.StackTraceSelector{GoPgo: &typesv1.GoPGO{KeepLocations: 1, AggregateCallees: true}}})
	assert.Equal(t, []string{" 10000000", "load@0 5", "work@0 45000123"}, stacksOf(p))
	nodes := int64(2)
	p = ask(&querierv1.SelectMergeProfileRequest{MaxNodes: &nodes})
	assert.Equal(t, []string{" 10000000", "main@1;work@7 35000123", "main@1;work@8 10000000", "other@0 5"}, stacksOf(p.Compact()))

	resp, err := f.rpc.SelectMergeStacktraces(t.Context(), connect.NewRequest(&querierv1.SelectMergeStacktracesRequest{
		ProfileTypeID: "process_cpu:samples:count:cpu:nanoseconds", LabelSelector: "{}", Start: f.ms(0), End: f.ms(60), Format: querierv1.ProfileFormat_PROFILE_FORMAT_PPROF,
	}))
	require.NoError(t, err)
	assert.Equal(t, []string{" 2", "init@1;load@1 1", "main@1;work@7 5", "main@1;work@8 1"}, stacksOf(parsed(t, resp.Msg.Pprof.Profile).Compact()))
	// What is left out below a caller is one sample.
	f.write(t, sent{service: "wide", at: 3, types: both, stacks: map[string][]int64{"main@1;a@1": {1, 1}, "main@1;b@1": {1, 2}, "main@1;c@1": {1, 9}}})
	p = func() *pprofile.Profile {
		//lint:ignore SA1019 older clients call it
		resp, err := f.rpc.SelectMergeProfile(t.Context(), connect.NewRequest(&querierv1.SelectMergeProfileRequest{
			ProfileTypeID: cpuID, LabelSelector: `{service_name="wide"}`, Start: f.ms(0), End: f.ms(60), MaxNodes: &nodes,
		}))
		require.NoError(t, err)
		return parsed(t, resp.Msg)
	}()
	assert.Equal(t, []string{"main@1;c@1 9", "main@1;other@0 3"}, stacksOf(p))
	//lint:ignore SA1019 older clients call it
	empty, err := f.rpc.SelectMergeProfile(t.Context(), connect.NewRequest(&querierv1.SelectMergeProfileRequest{ProfileTypeID: "a:b:c:d:e", LabelSelector: "{}", Start: f.ms(0), End: f.ms(60)}))
	require.NoError(t, err)
	assert.Empty(t, parsed(t, empty.Msg).Sample)
}

func TestFormats(t *testing.T) {
	f := start(t, nil)
	f.write(t, sent{at: 1, stacks: map[string][]int64{"main;a": {2}, "main": {1}}})
	const samples = "process_cpu:samples:count:cpu:nanoseconds"
	ask := func(format querierv1.ProfileFormat) (*querierv1.SelectMergeStacktracesResponse, error) {
		r := f.stacktraces(samples, "{}")
		r.Format = format
		resp, err := f.rpc.SelectMergeStacktraces(t.Context(), connect.NewRequest(r))
		if err != nil {
			return nil, err
		}
		return resp.Msg, nil
	}
	got, err := ask(querierv1.ProfileFormat_PROFILE_FORMAT_TREE)
	require.NoError(t, err)
	assert.Equal(t, "\x00\x00\x01\x04main\x01\x01\x01a\x02\x00", string(got.Tree))
	got, err = ask(querierv1.ProfileFormat_PROFILE_FORMAT_DOT)
	require.NoError(t, err)
	assert.Contains(t, got.Dot, "digraph")
	_, err = ask(17)
	assert.Equal(t, connect.CodeInvalidArgument, codeOf(t, err))

	diff, err := f.rpc.Diff(t.Context(), connect.NewRequest(&querierv1.DiffRequest{Left: f.stacktraces(samples, "{}"), Right: f.stacktraces(samples, `{a="b"}`)}))
	require.NoError(t, err)
	assert.Equal(t, [][]int64{{0, 3, 0, 0, 0, 0, 0}, {0, 3, 1, 0, 0, 0, 1}, {1, 2, 2, 0, 0, 0, 2}}, levelsOf(diff.Msg.Flamegraph.Levels))
	assert.Equal(t, []int64{3, 3, 0}, []int64{diff.Msg.Flamegraph.Total, diff.Msg.Flamegraph.LeftTicks, diff.Msg.Flamegraph.RightTicks})
	_, err = f.rpc.Diff(t.Context(), connect.NewRequest(&querierv1.DiffRequest{Left: f.stacktraces(samples, "{}")}))
	assert.Equal(t, connect.CodeInvalidArgument, codeOf(t, err))
	_, err = f.rpc.Diff(t.Context(), connect.NewRequest(&querierv1.DiffRequest{Left: f.stacktraces(samples, "{}"), Right: f.stacktraces(cpuID, "{}")}))
	assert.Equal(t, connect.CodeInvalidArgument, codeOf(t, err))
}

// Inlined functions are no locations of their own.
func TestKeepLocations(t *testing.T) {
	frames := []*profile.Frame{{Inlined: true}, {Inlined: true}, {}, {Inlined: true}, {}, {}}
	for keep, want := range map[int]int{0: 6, 1: 3, 2: 5, 3: 6, 4: 6} {
		assert.Len(t, (&goPGO{keep: keep}).cut(frames), want, keep)
	}
}
