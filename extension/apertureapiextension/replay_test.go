package apertureapiextension

import (
	"encoding/json"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"

	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
)

// recorded is what the API answers after a push of an agent: the documents that
// clients of the Aperture API read, one below the other.
type recorded struct {
	f      *fixture
	tenant string
	text   strings.Builder
}

func (r *recorded) add(title, body string) {
	r.text.WriteString("== " + title + "\n" + strings.TrimSuffix(body, "\n") + "\n")
}

func (r *recorded) http(t *testing.T, method, path, body string) string {
	t.Helper()
	resp, answer := r.f.do(t, method, path, body, "X-Scope-OrgID", r.tenant)
	if resp.StatusCode != http.StatusOK {
		answer = resp.Status + " " + answer
	}
	r.add(method+" "+path+" "+body, answer)
	return answer
}

// TestReplay pushes the bytes of real agents over gRPC, compressed as agents do,
// and holds what both APIs answer against the recorded documents. Each example is
// pushed by agent a once and by agent b twice.
func TestReplay(t *testing.T) {
	f := start(t, options{store: newMemoryStore()})
	all := payloads(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			r := &recorded{f: f, tenant: name}
			ctx := metadata.AppendToOutgoingContext(t.Context(), "x-scope-orgid", name)
			for i, agent := range []string{"a", "b", "b"} {
				resp, err := f.rpc.Push(ctx, &aggregatorv1.PushRequest{AgentId: agent, Sequence: uint64(i), Payload: all[name]}, grpc.UseCompressor(gzip.Name))
				require.NoError(t, err)
				require.True(t, resp.GetOk(), resp.GetError())
				assert.Empty(t, resp.GetError())
				assert.False(t, resp.GetBackpressure())
			}

			overHTTP := r.http(t, http.MethodPost, "/api/aggregate", `{}`)
			rpc, err := f.rpc.Aggregate(ctx, &aggregatorv1.AggregateRequest{}, grpc.UseCompressor(gzip.Name))
			require.NoError(t, err)
			assert.Empty(t, rpc.GetError())
			sameProfiles(t, overHTTP, rpc.GetResultJson())
			for _, kind := range []string{"cpu", "lock", "syscall"} {
				body := `{"baseline_agent_id":"a","comparison_agent_id":"b","event_type":"` + kind + `"}`
				var diff struct {
					Result string `json:"result_json"`
					Error  string `json:"error"`
				}
				require.NoError(t, json.Unmarshal([]byte(r.http(t, http.MethodPost, "/api/diff", body)), &diff))
				assert.Empty(t, diff.Error)
				a, b := "a", "b"
				rpc, err := f.rpc.Diff(ctx, &aggregatorv1.DiffRequest{BaselineAgentId: &a, ComparisonAgentId: &b, EventType: kind})
				require.NoError(t, err)
				assert.Empty(t, rpc.GetError())
				assert.JSONEq(t, diff.Result, rpc.GetResultJson())
			}
			r.http(t, http.MethodGet, "/api/export/json", "")
			for _, kind := range []string{"cpu", "lock", "syscall"} {
				r.http(t, http.MethodGet, "/api/export/collapsed?event_type="+kind, "")
			}
			batches, err := f.rpc.Query(ctx, &aggregatorv1.QueryRequest{})
			require.NoError(t, err)
			stored, err := f.rpc.QueryStorage(ctx, &aggregatorv1.QueryStorageRequest{})
			require.NoError(t, err)
			assert.Equal(t, []uint64{0, 1, 2}, sequences(batches.GetBatches()))
			assert.Equal(t, []uint64{2, 1, 0}, sequences(stored.GetBatches()))
			golden(t, filepath.Join("replay", name+".txt"), r.text.String())
		})
	}
}

// sameProfiles expects that both answers are the same but for what HTTP adds.
func sameProfiles(t *testing.T, overHTTP, overRPC string) {
	t.Helper()
	var a, b map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(overHTTP), &a))
	require.NoError(t, json.Unmarshal([]byte(overRPC), &b))
	assert.Equal(t, "0", string(a["skipped_batches"]))
	delete(a, "skipped_batches")
	assert.Equal(t, a, b)
}

// TestReplayShapes reads the answers as clients of upstream do: every key that
// they know is there, and nothing is of another type.
func TestReplayShapes(t *testing.T) {
	f := start(t, options{store: newMemoryStore()})
	f.push(t, "", "agent-1", "mixed")
	type frame struct {
		IP       *uint64 `json:"ip"`
		Function *string `json:"function"`
	}
	type stack struct {
		Frames []frame `json:"frames"`
	}
	var got struct {
		CPU struct {
			StartTime *uint64 `json:"start_time"`
			EndTime   *uint64 `json:"end_time"`
			Total     *uint64 `json:"total_samples"`
			Period    *uint64 `json:"sample_period_ns"`
			Stacks    []struct {
				Stack stack   `json:"stack"`
				Count *uint64 `json:"count"`
			} `json:"stacks"`
		} `json:"cpu"`
		Lock struct {
			Total       *uint64 `json:"total_events"`
			Contentions []struct {
				Lock  *uint64 `json:"lock_addr"`
				Stack stack   `json:"stack"`
				Count *uint64 `json:"count"`
				Wait  *uint64 `json:"total_wait_ns"`
				Max   *uint64 `json:"max_wait_ns"`
				Min   *uint64 `json:"min_wait_ns"`
			} `json:"contentions"`
		} `json:"lock"`
		Syscall struct {
			Total    *uint64 `json:"total_events"`
			Syscalls map[string]struct {
				ID        *uint32  `json:"syscall_id"`
				Name      *string  `json:"name"`
				Count     *uint64  `json:"count"`
				Duration  *uint64  `json:"total_duration_ns"`
				Max       *uint64  `json:"max_duration_ns"`
				Min       *uint64  `json:"min_duration_ns"`
				Errors    *uint64  `json:"error_count"`
				Histogram []uint64 `json:"latency_histogram"`
			} `json:"syscalls"`
		} `json:"syscall"`
		Total   *uint64 `json:"total_events"`
		Skipped *uint32 `json:"skipped_batches"`
	}
	require.NoError(t, json.Unmarshal([]byte(f.aggregateOf(t, `{}`)), &got))
	require.Len(t, got.CPU.Stacks, 1)
	require.Len(t, got.CPU.Stacks[0].Stack.Frames, 3)
	assert.Equal(t, uint64(0x401000), *got.CPU.Stacks[0].Stack.Frames[0].IP)
	assert.Nil(t, got.CPU.Stacks[0].Stack.Frames[1].Function)
	assert.Equal(t, uint64(0xffffffff81000010), *got.CPU.Stacks[0].Stack.Frames[2].IP, "a whole 64-bit number")
	require.Len(t, got.Lock.Contentions, 1)
	assert.Equal(t, uint64(0x7f00deadbeef), *got.Lock.Contentions[0].Lock)
	assert.Equal(t, uint64(1500), *got.Lock.Contentions[0].Min)
	call := got.Syscall.Syscalls["202"]
	assert.Equal(t, uint32(202), *call.ID)
	assert.Equal(t, "futex", *call.Name)
	assert.Equal(t, uint64(1), *call.Errors)
	require.Len(t, call.Histogram, 30)
	assert.Equal(t, uint64(1), call.Histogram[11])
	assert.Equal(t, uint64(4), *got.Total)
	assert.Zero(t, *got.Skipped)
}
