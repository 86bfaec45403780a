package e2e

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// aggregate is the answer of POST /api/aggregate, as the document has it.
type aggregate struct {
	CPU *struct {
		StartTime      uint64 `json:"start_time"`
		EndTime        uint64 `json:"end_time"`
		TotalSamples   uint64 `json:"total_samples"`
		SamplePeriodNS uint64 `json:"sample_period_ns"`
		Stacks         []struct {
			Stack stack  `json:"stack"`
			Count uint64 `json:"count"`
		} `json:"stacks"`
	} `json:"cpu"`
	Lock *struct {
		StartTime   uint64 `json:"start_time"`
		EndTime     uint64 `json:"end_time"`
		TotalEvents uint64 `json:"total_events"`
		Contentions []struct {
			LockAddr    uint64 `json:"lock_addr"`
			Stack       stack  `json:"stack"`
			Count       uint64 `json:"count"`
			TotalWaitNS uint64 `json:"total_wait_ns"`
			MaxWaitNS   uint64 `json:"max_wait_ns"`
			MinWaitNS   uint64 `json:"min_wait_ns"`
		} `json:"contentions"`
	} `json:"lock"`
	Syscall *struct {
		StartTime   uint64                 `json:"start_time"`
		EndTime     uint64                 `json:"end_time"`
		Syscalls    map[string]syscallStat `json:"syscalls"`
		TotalEvents uint64                 `json:"total_events"`
	} `json:"syscall"`
	TotalEvents    uint64  `json:"total_events"`
	SkippedBatches *uint64 `json:"skipped_batches"`
}

type syscallStat struct {
	SyscallID        uint32   `json:"syscall_id"`
	Name             string   `json:"name"`
	Count            uint64   `json:"count"`
	TotalDurationNS  uint64   `json:"total_duration_ns"`
	MaxDurationNS    uint64   `json:"max_duration_ns"`
	MinDurationNS    uint64   `json:"min_duration_ns"`
	ErrorCount       uint64   `json:"error_count"`
	LatencyHistogram []uint64 `json:"latency_histogram"`
}

type stack struct {
	Frames []struct {
		IP       uint64  `json:"ip"`
		Function *string `json:"function"`
		File     *string `json:"file"`
		Line     *uint64 `json:"line"`
		Module   *string `json:"module"`
	} `json:"frames"`
}

type batchList struct {
	Batches []struct {
		AgentID      string `json:"agent_id"`
		Sequence     uint64 `json:"sequence"`
		EventCount   uint64 `json:"event_count"`
		ReceivedAtNS int64  `json:"received_at_ns"`
	} `json:"batches"`
	Error string `json:"error"`
}

// aggregate asks POST /api/aggregate.
func (c *collector) aggregate(tenant string, body map[string]any) aggregate {
	c.tb.Helper()
	code, _, b := c.request(http.MethodPost, "/api/aggregate", tenant, body)
	require.Equal(c.tb, http.StatusOK, code, "%s", b)
	var a aggregate
	require.NoError(c.tb, json.Unmarshal(b, &a), "%s", b)
	return a
}

// events is the number of stored observations of an agent; it answers 0 while
// the store is away.
func (c *collector) events(tenant, agent string) uint64 {
	c.tb.Helper()
	code, _, b := c.request(http.MethodPost, "/api/aggregate", tenant, map[string]any{"agent_id": agent, "limit": 1})
	if code != http.StatusOK {
		return 0
	}
	var a aggregate
	require.NoError(c.tb, json.Unmarshal(b, &a), "%s", b)
	return a.TotalEvents
}

// waitEvents waits until an agent has exactly n stored observations.
func (c *collector) waitEvents(tenant, agent string, n uint64) {
	c.tb.Helper()
	var got uint64
	deadline := time.Now().Add(2 * time.Minute)
	for got = c.events(tenant, agent); got != n; got = c.events(tenant, agent) {
		if time.Now().After(deadline) || got > n {
			c.tb.Fatalf("unexpected number of stored events; got %d; want %d", got, n)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (c *collector) batches(tenant, query string) batchList {
	c.tb.Helper()
	code, _, b := c.request(http.MethodGet, "/api/batches"+query, tenant, nil)
	require.Equal(c.tb, http.StatusOK, code, "%s", b)
	var l batchList
	require.NoError(c.tb, json.Unmarshal(b, &l), "%s", b)
	return l
}

func requireFunction(tb testing.TB, s stack, i int, want string) {
	tb.Helper()
	require.NotNil(tb, s.Frames[i].Function)
	require.Equal(tb, want, *s.Frames[i].Function)
}
