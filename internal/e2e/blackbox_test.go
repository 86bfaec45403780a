package e2e

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"math"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/aperture-collector/aperture-collector/internal/aperturewire"
	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
)

// payloads are worked examples of the wire format, one push each.
func payloads(tb testing.TB) map[string][]byte {
	tb.Helper()
	text, err := os.ReadFile("../aperturewire/testdata/examples.txt")
	require.NoError(tb, err)
	all := make(map[string][]byte)
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 3 || strings.HasPrefix(line, "#") {
			continue
		}
		b, err := hex.DecodeString(strings.Join(f[2:], ""))
		require.NoError(tb, err, f[0])
		all[f[0]] = b
	}
	return all
}

const hexAgent = "hex-agent"

// The examples all say "app", process 1234, and have these times.
const (
	firstNS = 1_700_000_000_000_000_001
	lastNS  = 1_700_000_000_000_000_004
)

// pushExamples pushes every example and returns the number of events.
func pushExamples(t *testing.T, c *collector) uint64 {
	t.Helper()
	all := payloads(t)
	var sequence uint64
	for _, push := range []struct {
		name   string
		events uint64
	}{
		{"empty", 0},
		{"cpu", 1},
		{"cpu_symbols", 1},
		{"cpu_symbols", 1},
		{"lock", 1},
		{"lock_symbols", 1},
		{"syscall", 1},
		{"gpu", 1},
	} {
		require.Contains(t, all, push.name)
		sequence++
		resp, err := c.client().Push(t.Context(), &aggregatorv1.PushRequest{AgentId: hexAgent, Sequence: sequence, Payload: all[push.name]})
		require.NoError(t, err, push.name)
		require.True(t, resp.GetOk(), "%s: %s", push.name, resp.GetError())
	}
	return 7
}

// checkExamples asks for what pushExamples stored in every way there is.
func checkExamples(t *testing.T, c *collector, events uint64) {
	t.Helper()
	c.waitEvents("", hexAgent, events)

	a := c.aggregate("", map[string]any{"agent_id": hexAgent})
	require.NotNil(t, a.SkippedBatches)
	require.Zero(t, *a.SkippedBatches)
	require.NotNil(t, a.CPU)
	assert.EqualValues(t, 3, a.CPU.TotalSamples)
	assert.EqualValues(t, firstNS, a.CPU.StartTime)
	assert.EqualValues(t, firstNS, a.CPU.EndTime)
	require.Len(t, a.CPU.Stacks, 2, "with and without symbols are two stacks")
	named := a.CPU.Stacks[0]
	assert.EqualValues(t, 2, named.Count)
	require.Len(t, named.Stack.Frames, 3)
	requireFunction(t, named.Stack, 0, "leaf")
	require.NotNil(t, named.Stack.Frames[0].Module)
	assert.Equal(t, "app", *named.Stack.Frames[0].Module)
	assert.EqualValues(t, 0x401000, named.Stack.Frames[0].IP)
	assert.Nil(t, named.Stack.Frames[1].Function)
	assert.EqualValues(t, 0x402000, named.Stack.Frames[1].IP)
	requireFunction(t, named.Stack, 2, "do_idle")
	assert.EqualValues(t, uint64(0xffffffff81000010), named.Stack.Frames[2].IP)

	require.NotNil(t, a.Lock)
	assert.EqualValues(t, 2, a.Lock.TotalEvents)
	require.Len(t, a.Lock.Contentions, 2)
	for _, l := range a.Lock.Contentions {
		assert.EqualValues(t, 0x7f00deadbeef, l.LockAddr)
		assert.EqualValues(t, []uint64{1, 1500, 1500, 1500}, []uint64{l.Count, l.TotalWaitNS, l.MaxWaitNS, l.MinWaitNS})
	}

	require.NotNil(t, a.Syscall)
	assert.EqualValues(t, 1, a.Syscall.TotalEvents)
	require.Contains(t, a.Syscall.Syscalls, "202")
	futex := a.Syscall.Syscalls["202"]
	assert.Equal(t, "futex", futex.Name)
	assert.EqualValues(t, []uint64{1, 2048, 2048, 2048, 1}, []uint64{futex.Count, futex.TotalDurationNS, futex.MaxDurationNS, futex.MinDurationNS, futex.ErrorCount})
	require.Len(t, futex.LatencyHistogram, 30)
	assert.EqualValues(t, 1, futex.LatencyHistogram[11])

	checkRanges(t, c)
	checkBatches(t, c)
	checkRPCs(t, c, events)
	checkExports(t, c)
}

// checkRanges asks for parts of the time; the examples lie within one second.
func checkRanges(t *testing.T, c *collector) {
	t.Helper()
	const second = int64(time.Second)
	in := c.aggregate("", map[string]any{"agent_id": hexAgent, "event_type": "cpu", "time_start_ns": firstNS - second, "time_end_ns": lastNS + second})
	require.NotNil(t, in.CPU)
	assert.EqualValues(t, 3, in.CPU.TotalSamples)
	assert.Nil(t, in.Lock)
	assert.Nil(t, in.Syscall)
	before := c.aggregate("", map[string]any{"agent_id": hexAgent, "time_start_ns": firstNS - 10*second, "time_end_ns": firstNS - 2*second})
	assert.Nil(t, before.CPU)
	assert.Zero(t, before.TotalEvents)
	after := c.aggregate("", map[string]any{"agent_id": hexAgent, "time_start_ns": lastNS + second})
	assert.Zero(t, after.TotalEvents)
	millis := c.aggregate("", map[string]any{"agent_id": hexAgent, "time_start_ns": 1_699_999_999_000, "time_end_ns": 1_700_000_001_000})
	assert.EqualValues(t, 7, millis.TotalEvents)
}

func checkBatches(t *testing.T, c *collector) {
	t.Helper()
	l := c.batches("", "?agent_id="+hexAgent)
	require.Len(t, l.Batches, 8)
	for i, b := range l.Batches {
		assert.Equal(t, hexAgent, b.AgentID)
		assert.EqualValues(t, i+1, b.Sequence)
		assert.InDelta(t, time.Now().UnixNano(), b.ReceivedAtNS, float64(10*time.Minute))
	}
	assert.Zero(t, l.Batches[0].EventCount)
	assert.EqualValues(t, 1, l.Batches[1].EventCount)
	assert.Len(t, c.batches("", "?limit=3&agent_id="+hexAgent).Batches, 3)
}

func checkRPCs(t *testing.T, c *collector, events uint64) {
	t.Helper()
	agent := hexAgent
	stored, err := c.client().QueryStorage(t.Context(), &aggregatorv1.QueryStorageRequest{AgentId: &agent})
	require.NoError(t, err)
	require.Empty(t, stored.GetError())
	require.Len(t, stored.GetBatches(), 8)
	assert.EqualValues(t, 8, stored.GetBatches()[0].GetSequence(), "newest first")

	agg, err := c.client().Aggregate(t.Context(), &aggregatorv1.AggregateRequest{AgentId: &agent})
	require.NoError(t, err)
	require.Empty(t, agg.GetError())
	assert.Equal(t, events, agg.GetTotalEvents())
	var a aggregate
	require.NoError(t, json.Unmarshal([]byte(agg.GetResultJson()), &a))
	assert.EqualValues(t, 3, a.CPU.TotalSamples)
	assert.NotContains(t, agg.GetResultJson(), "skipped_batches")
}

func checkExports(t *testing.T, c *collector) {
	t.Helper()
	code, h, body := c.request(http.MethodGet, "/api/export/json?agent_id="+hexAgent, "", nil)
	require.Equal(t, http.StatusOK, code, "%s", body)
	assert.Equal(t, `attachment; filename="aperture-profile.json"`, h.Get("Content-Disposition"))
	var a aggregate
	require.NoError(t, json.Unmarshal(body, &a))
	assert.EqualValues(t, 3, a.CPU.TotalSamples)

	code, h, body = c.request(http.MethodGet, "/api/export/collapsed?agent_id="+hexAgent, "", nil)
	require.Equal(t, http.StatusOK, code, "%s", body)
	assert.Equal(t, `attachment; filename="aperture-collapsed.txt"`, h.Get("Content-Disposition"))
	lines := strings.Split(strings.TrimSpace(string(body)), "\n")
	assert.ElementsMatch(t, []string{
		"0x402000;leaf;do_idle 2",
		"0x402000;0x401000;0xffffffff81000010 1",
	}, lines)
}

func TestBlackBox(t *testing.T) {
	c := newCollector(t, "all-in-one.yaml")
	c.startReady()
	events := pushExamples(t, c)
	agent := hexAgent
	recent, err := c.client().Query(t.Context(), &aggregatorv1.QueryRequest{AgentId: &agent})
	require.NoError(t, err)
	require.Len(t, recent.GetBatches(), 8)
	checkExamples(t, c, events)

	c.stop()
	c.startReady()
	checkExamples(t, c, events)

	c.kill()
	c.startReady()
	checkExamples(t, c, events)
}

// A payload that cannot be decoded is refused, counted and not stored.
func TestBlackBoxRefusesGarbage(t *testing.T) {
	c := newCollector(t, "all-in-one.yaml", withoutEBPF)
	c.startReady()
	resp, err := c.client().Push(t.Context(), &aggregatorv1.PushRequest{AgentId: hexAgent, Sequence: 1, Payload: []byte(strings.Repeat("\xff", 20))})
	require.NoError(t, err)
	assert.False(t, resp.GetOk())
	assert.Contains(t, resp.GetError(), "offset")

	var e aperturewire.Encoder
	// A push over hundreds of weeks would be cut into as many parts by the store.
	many := e.AppendHeader(nil, 1, 500)
	for i := range uint64(500) {
		many = e.AppendSyscall(many, &aperturewire.Syscall{Timestamp: i * 7 * 24 * 3600 * 1e9, Number: 1})
	}
	resp, err = c.client().Push(t.Context(), &aggregatorv1.PushRequest{AgentId: hexAgent, Sequence: 1, Payload: many})
	require.NoError(t, err)
	assert.False(t, resp.GetOk())
	assert.Contains(t, resp.GetError(), "limits::max_weeks")
	assert.Empty(t, c.batches("", "").Batches)
	require.Eventually(t, func() bool {
		_, body := c.get("/metrics")
		return strings.Contains(string(body), `aperture_push_total{status="error"} 2`)
	}, 2*time.Minute, 100*time.Millisecond)

	// A time that cannot be true is corrected, so that it does not take others of
	// its window with it.
	late := e.AppendSyscall(e.AppendHeader(nil, 1, 1), &aperturewire.Syscall{Timestamp: math.MaxUint64, Number: 1})
	resp, err = c.client().Push(t.Context(), &aggregatorv1.PushRequest{AgentId: hexAgent, Sequence: 1, Payload: late})
	require.NoError(t, err)
	assert.True(t, resp.GetOk(), resp.GetError())
	require.Eventually(t, func() bool {
		_, body := c.get("/metrics")
		return strings.Contains(string(body), "receiver_aperture_push_corrected")
	}, 2*time.Minute, 100*time.Millisecond)

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err = c.client().Push(ctx, &aggregatorv1.PushRequest{AgentId: hexAgent, Sequence: 2, Payload: noise(33 << 20)})
	require.Equal(t, codes.OutOfRange, status.Code(err), "%v", err)
	assert.Contains(t, err.Error(), "message length too large")
}

// noise returns n bytes that do not compress.
func noise(n int) []byte {
	b := make([]byte, n)
	x := uint64(88172645463325252)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return b
}

// Two tenants use the same agent names and never see each other.
func TestBlackBoxTenants(t *testing.T) {
	c := newCollector(t, "all-in-one.yaml", withoutEBPF)
	c.startReady()
	all := payloads(t)
	agent := hexAgent
	for i, tenant := range []string{"red", "blue", "blue"} {
		_, err := c.client().Push(asTenant(t.Context(), tenant), &aggregatorv1.PushRequest{AgentId: hexAgent, Sequence: uint64(i), Payload: all["cpu"]})
		require.NoError(t, err)
	}
	for tenant, want := range map[string]uint64{"red": 1, "blue": 2, "": 0, "green": 0} {
		c.waitEvents(tenant, hexAgent, want)
		assert.Len(t, c.batches(tenant, "").Batches, int(want), tenant)
		ctx := t.Context()
		if tenant != "" {
			ctx = asTenant(ctx, tenant)
		}
		recent, err := c.client().Query(ctx, &aggregatorv1.QueryRequest{})
		require.NoError(t, err)
		assert.Len(t, recent.GetBatches(), int(want), tenant)
		stored, err := c.client().QueryStorage(ctx, &aggregatorv1.QueryStorageRequest{AgentId: &agent})
		require.NoError(t, err)
		assert.Len(t, stored.GetBatches(), int(want), tenant)
		code, _, _ := c.request(http.MethodGet, "/api/export/collapsed", tenant, nil)
		assert.Equal(t, map[bool]int{true: http.StatusOK, false: http.StatusNotFound}[want > 0], code, tenant)
	}
}
