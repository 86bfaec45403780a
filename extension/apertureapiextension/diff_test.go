package apertureapiextension

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
)

// diffOf expects 200 and returns what is in the string of the answer.
func (f *fixture) diffOf(t *testing.T, body string, headers ...string) string {
	t.Helper()
	resp, text := f.do(t, http.MethodPost, "/api/diff", body, headers...)
	require.Equal(t, http.StatusOK, resp.StatusCode, text)
	require.Equal(t, "application/json", resp.Header.Get("Content-Type"))
	var answer struct {
		ResultJSON *string `json:"result_json"`
		Error      *string `json:"error"`
	}
	require.NoError(t, json.Unmarshal([]byte(text), &answer), text)
	require.Empty(t, *answer.Error)
	require.True(t, json.Valid([]byte(*answer.ResultJSON)), *answer.ResultJSON)
	return *answer.ResultJSON
}

// checkDiff compares agent-1, which pushed the mixed example three times, with
// agent-2, which pushed one CPU sample: see pushFiltered.
func checkDiff(t *testing.T, f *fixture) {
	const sides = `"baseline_agent_id":"agent-2","baseline_start_ns":1699999999000000000,"baseline_end_ns":1700000000999999999,` +
		`"comparison_agent_id":"agent-1","comparison_start_ns":1699999998000,"comparison_end_ns":1700000001999`
	frames := `{"stack":{"frames":[{"ip":4198400,"function":"leaf","file":null,"line":null,"module":"app"},`
	cpu := f.diffOf(t, `{`+sides+`,"limit":100}`)
	var d struct {
		BaselineTotal   int `json:"baseline_total"`
		ComparisonTotal int `json:"comparison_total"`
		Stacks          []struct {
			Baseline   int     `json:"baseline_count"`
			Comparison int     `json:"comparison_count"`
			Delta      int     `json:"delta"`
			Percent    float64 `json:"delta_pct"`
			Share      float64 `json:"comparison_share"`
			PValue     float64 `json:"p_value"`
			Status     string  `json:"status"`
		} `json:"stacks"`
		BaselineNS   int64  `json:"baseline_duration_ns"`
		ComparisonNS int64  `json:"comparison_duration_ns"`
		Normalize    string `json:"normalize"`
		Truncated    bool   `json:"truncated"`
	}
	require.NoError(t, json.Unmarshal([]byte(cpu), &d))
	assert.True(t, strings.HasPrefix(cpu, `{"baseline_total":1,"comparison_total":3,"stacks":[`+frames), cpu)
	assert.Contains(t, cpu, `"baseline_count":0,"comparison_count":3,"delta":3,"delta_pct":0.0,"baseline_share":0.0,"comparison_share":1.0,`)
	require.Len(t, d.Stacks, 2)
	assert.Equal(t, [...]string{"new", "gone"}, [...]string{d.Stacks[0].Status, d.Stacks[1].Status})
	assert.Equal(t, [...]int{1, 0, -1}, [...]int{d.Stacks[1].Baseline, d.Stacks[1].Comparison, d.Stacks[1].Delta})
	assert.InDelta(t, -100, d.Stacks[1].Percent, 1e-9)
	// All three in the window that is twice as long: 8 of 27, and two (6) or three
	// (1) of them in the other window are less likely; one (12) is not.
	assert.InDelta(t, 15.0/27, d.Stacks[0].PValue, 1e-9)
	assert.EqualValues(t, 2_000_000_000, d.BaselineNS)
	assert.EqualValues(t, 4_000_000_000, d.ComparisonNS)
	assert.Equal(t, "none", d.Normalize)
	assert.False(t, d.Truncated)

	assert.Contains(t, f.diffOf(t, `{`+sides+`,"event_type":"lock"}`), `"baseline_total":0,"comparison_total":3,"contentions":[{"lock_addr":139641712656111,`)
	assert.Contains(t, f.diffOf(t, `{`+sides+`,"event_type":"syscall","normalize":"rate"}`),
		`{"baseline_total":0,"comparison_total":3,"syscalls":[{"syscall_id":202,"name":"futex","baseline_count":0,"comparison_count":3,"delta_count":3,`+
			`"baseline_avg_ns":0.0,"comparison_avg_ns":2048.0,"delta_avg_ns":2048.0,"delta_pct":0.0,"baseline_share":0.0,"comparison_share":1.0,"delta_per_second":0.75,`)
	assert.Contains(t, f.diffOf(t, `{`+sides+`,"event_type":"gpu_kernel","normalize":"share"}`), `"comparison_values":[15000,3]`)
	assert.Contains(t, f.diffOf(t, `{`+sides+`,"event_type":"off_cpu"}`), `{"baseline_total":0,"comparison_total":0,"stacks":[],`)
	same := f.diffOf(t, `{"baseline_agent_id":null,"event_type":null,"normalize":"share","unknown":1}`)
	assert.NotContains(t, same, `"status":"changed"`)
	assert.Equal(t, 2, strings.Count(same, `"delta":0,"delta_pct":0.0,`), same)
	assert.Contains(t, f.diffOf(t, `{"service":"agent-2"}`), `{"baseline_total":1,"comparison_total":1,`)
	assert.Contains(t, f.diffOf(t, `{"labels":{"service.name":"agent-2"}}`), `{"baseline_total":1,"comparison_total":1,`)
	assert.Contains(t, f.diffOf(t, `{"comparison_start_ns":1700000001000000000}`), `{"baseline_total":4,"comparison_total":0,`)

	resp, err := f.rpc.Diff(t.Context(), &aggregatorv1.DiffRequest{
		BaselineAgentId: ptr("agent-2"), BaselineStartNs: ptr(int64(1699999999000000000)), BaselineEndNs: ptr(int64(1700000000999999999)),
		ComparisonAgentId: ptr("agent-1"), ComparisonStartNs: ptr(int64(1699999998000)), ComparisonEndNs: ptr(int64(1700000001999)),
		EventType: "cpu",
	})
	require.NoError(t, err)
	assert.Empty(t, resp.GetError())
	assert.Equal(t, cpu, resp.GetResultJson())
}

func TestDiff(t *testing.T) {
	f := start(t, options{store: newMemoryStore()})
	pushFiltered(t, f)
	checkDiff(t, f)
	f.push(t, "red", "agent-1", "cpu")
	assert.Contains(t, f.diffOf(t, `{}`, "X-Scope-OrgID", "red"), `{"baseline_total":1,`, "of one tenant")
	leafFirst := f.diffOf(t, `{"baseline_agent_id":"agent-2","frame_order":"leaf_first"}`)
	assert.Less(t, strings.Index(leafFirst, "do_idle"), strings.Index(leafFirst, `"leaf"`))
}

func TestDiffWithoutStore(t *testing.T) {
	const text = "storage not configured (enable ClickHouse)"
	f := start(t, options{})
	resp, body := f.do(t, http.MethodPost, "/api/diff", `not JSON`)
	assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	assert.Equal(t, text, errorOf(t, body))
	assert.Contains(t, body, `"result_json":"{}"`)
	diff, err := f.rpc.Diff(t.Context(), &aggregatorv1.DiffRequest{})
	require.NoError(t, err)
	assert.Equal(t, text, diff.GetError())
	assert.Empty(t, diff.GetResultJson())

	f = start(t, options{keep: true})
	pushFiltered(t, f)
	checkDiff(t, f)
}

func TestDiffLimit(t *testing.T) {
	f := start(t, options{store: newMemoryStore(), config: func(c *Config) { c.MaxStacks, c.StacksCap = 1, 3 }})
	f.push(t, "", "a", "cpu", "cpu_symbols")
	for body, want := range map[string]int{`{}`: 1, `{"limit":0}`: 0, `{"limit":2}`: 2, `{"limit":9223372036854775807}`: 2} {
		resp, text := f.do(t, http.MethodPost, "/api/diff", body)
		assert.Equal(t, want, strings.Count(text, `baseline_count`), body)
		assert.Equal(t, want < 2, resp.Header.Get(truncatedHeader) == "true", body)
		assert.Equal(t, want < 2, strings.Contains(text, `\"truncated\":true`), body)
		assert.Contains(t, text, `{\"baseline_total\":2,`, body)
	}
	resp, err := f.rpc.Diff(t.Context(), &aggregatorv1.DiffRequest{EventType: "cpu", Limit: 1})
	require.NoError(t, err)
	assert.Equal(t, 1, strings.Count(resp.GetResultJson(), "baseline_count"))
}

func TestBadDiffRequests(t *testing.T) {
	f := start(t, options{store: newMemoryStore()})
	for _, c := range []struct{ body, want string }{
		{``, "invalid `body`: it is no JSON: it ends too early"},
		{`[1]`, "invalid `body`: it must be a JSON object"},
		{strings.Repeat(`[`, 20_000), "invalid `body`"},
		{`{"x":` + strings.Repeat(`[`, 20_000), "invalid `body`"},
		{`{"baseline_agent_id":5}`, "invalid `baseline_agent_id`: it is 5; it must be a string"},
		{`{"comparison_agent_id":"` + strings.Repeat("a", 1025) + `"}`, "invalid `comparison_agent_id`: it is 1025 bytes long"},
		{`{"baseline_start_ns":-1}`, "invalid `baseline_start_ns`: it is -1"},
		{`{"baseline_end_ns":9223372036854775808}`, "invalid `baseline_end_ns`: it is 9223372036854775808"},
		{`{"comparison_start_ns":"now"}`, "invalid `comparison_start_ns`: it is \"now\""},
		{`{"comparison_end_ns":-5}`, "invalid `comparison_end_ns`: it is -5"},
		{
			`{"comparison_start_ns":1700000000000000001,"comparison_end_ns":1700000000000000000}`,
			"invalid `comparison_end_ns`: it is 1700000000000000000, before `comparison_start_ns`, which is 1700000000000000001",
		},
		{`{"baseline_end_ns":1,"baseline_end_ns":2}`, "invalid `baseline_end_ns`: it is there twice"},
		{`{"limit":-1}`, "invalid `limit`: it is -1"},
		{`{"limit":1.5}`, "invalid `limit`: it is 1.5"},
		{`{"normalize":"shares"}`, "invalid `normalize`: it is \"shares\"; it must be none, share or rate"},
		{`{"normalize":""}`, "invalid `normalize`: it is \"\""},
		{`{"normalize":1}`, "invalid `normalize`: it is 1; it must be a string"},
		{`{"labels":{"a":1}}`, "invalid `labels.a`"},
		{`{"service":[]}`, "invalid `service`"},
		{`{"frame_order":"x"}`, "invalid `frame_order`"},
		{`{"event_type":1}`, "invalid `event_type`: it is 1; it must be a string"},
		{`{"event_type":""}`, "event_type must be cpu, lock, or syscall, got  ("},
		{`{"event_type":"memory"}`, "event_type must be cpu, lock, or syscall, got memory ("},
		{`{"event_type":"<a>\u0000"}`, "event_type must be cpu, lock, or syscall, got <a>\u0000 ("},
		{`{"event_type":"` + strings.Repeat("é", 1000) + `"}`, "event_type must be cpu, lock, or syscall, got " + strings.Repeat("é", 128) + " ("},
	} {
		t.Run(c.body[:min(len(c.body), 40)], func(t *testing.T) {
			resp, body := f.do(t, http.MethodPost, "/api/diff", c.body)
			assert.Equal(t, http.StatusBadRequest, resp.StatusCode, body)
			assert.Contains(t, errorOf(t, body), c.want)
			assert.Contains(t, body, `"result_json":""`)
		})
	}
	resp, body := f.do(t, http.MethodPost, "/api/diff", `{"x":"`+strings.Repeat("x", maxBody)+`"}`)
	assert.Equal(t, http.StatusRequestEntityTooLarge, resp.StatusCode)
	assert.Contains(t, errorOf(t, body), "the limit is 1048576 bytes")

	for want, req := range map[string]*aggregatorv1.DiffRequest{
		"`baseline_start_ns`":   {EventType: "cpu", BaselineStartNs: ptr(int64(-1))},
		"`baseline_end_ns`":     {EventType: "lock", BaselineStartNs: ptr(int64(2000)), BaselineEndNs: ptr(int64(1000))},
		"`comparison_agent_id`": {EventType: "cpu", ComparisonAgentId: ptr(strings.Repeat("a", 2000))},
	} {
		_, err := f.rpc.Diff(t.Context(), req)
		assert.Equal(t, codes.InvalidArgument, status.Code(err), want)
		assert.ErrorContains(t, err, want)
	}
	for _, kind := range []string{"", "memory"} {
		resp, err := f.rpc.Diff(t.Context(), &aggregatorv1.DiffRequest{EventType: kind})
		require.NoError(t, err)
		assert.True(t, strings.HasPrefix(resp.GetError(), fmt.Sprintf("event_type must be 'cpu', 'lock', or 'syscall', got '%s'", kind)), resp.GetError())
	}
	_, err := f.rpc.Diff(asTenant(t, "a/b"), &aggregatorv1.DiffRequest{EventType: "cpu"})
	assert.Equal(t, codes.InvalidArgument, status.Code(err))
}

func TestBoundedKeepsTheLimit(t *testing.T) {
	text, _ := bounded(1000, 100, func(out io.Writer, rows int) error {
		_, err := io.WriteString(out, strings.Repeat("x", rows))
		return err
	})
	assert.LessOrEqual(t, len(text), 100)
	assert.NotEmpty(t, text)
}

const fullDiff = `{"baseline_agent_id":"a","baseline_start_ns":1700000000000,"baseline_end_ns":1700000000001,"comparison_agent_id":"b",` +
	`"comparison_start_ns":1,"comparison_end_ns":2,"limit":5,"event_type":"cpu","service":"s","labels":{"x":"1"},"frame_order":"leaf_first","normalize":"rate"}`

func TestEveryTruncationOfADiffIsRefused(t *testing.T) {
	require.NoError(t, new(diffQuery).parseBody([]byte(fullDiff)))
	for n := range len(fullDiff) {
		require.Error(t, new(diffQuery).parseBody([]byte(fullDiff[:n])), fullDiff[:n])
	}
}

func FuzzParseDiff(f *testing.F) {
	f.Add([]byte(fullDiff))
	f.Add([]byte(`{"event_type":"\ud800"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var q diffQuery
		err := q.parseBody(text)
		if err != nil && outcomeOf(err).status != http.StatusBadRequest {
			t.Fatalf("no fault of the request: %v", err)
		}
		if err == nil {
			checkQuery(t, &q.baseline, nil)
			checkQuery(t, &q.comparison, nil)
		}
	})
}
