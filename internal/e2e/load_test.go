package e2e

import (
	"context"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/aperturewire"
	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
)

const loadEvents = 20

// loadPayload makes a batch of loadEvents events of all kinds with recurring
// stacks.
func loadPayload(sequence uint64) []byte {
	now := uint64(time.Now().UnixNano())
	var e aperturewire.Encoder
	b := e.AppendHeader(nil, sequence, loadEvents)
	for i := range uint64(loadEvents) {
		switch i % 4 {
		case 0, 1:
			b = e.AppendCPU(b, &aperturewire.CPUSample{
				Timestamp: now + i, PID: 7, TID: 7, Comm: "load",
				User: []uint64{0x1000 + i%5, 0x2000}, Kernel: []uint64{0xffffffff81000000},
				UserSymbols: []aperturewire.Symbol{aperturewire.Some("work [load]"), aperturewire.Some("main [load]")},
			})
		case 2:
			b = e.AppendLock(b, &aperturewire.LockWait{
				Timestamp: now + i, PID: 7, TID: 8, Comm: "load", LockAddress: 0x77, WaitTime: 1000, Stack: []uint64{0x3000},
			})
		case 3:
			b = e.AppendSyscall(b, &aperturewire.Syscall{Timestamp: now + i, PID: 7, TID: 9, Comm: "load", Number: 202, Duration: 2048})
		}
	}
	return b
}

// storedBatches returns how often each batch of an agent is in the store.
func (c *collector) storedBatches(agent string) map[uint64]int {
	c.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	resp, err := c.client().QueryStorage(ctx, &aggregatorv1.QueryStorageRequest{AgentId: &agent, Limit: 10_000})
	if err != nil {
		return nil
	}
	out := make(map[uint64]int)
	for _, b := range resp.GetBatches() {
		out[b.GetSequence()]++
	}
	return out
}
