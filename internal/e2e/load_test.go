package e2e

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/aperturewire"
	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
)

// load pushes batches of known size from several agents until it is stopped and
// knows what was acknowledged.
type load struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
	agents []*loadAgent
}

// loadAgent pushes batches of known size under its own name, so that a batch
// that was lost or stored twice shows.
type loadAgent struct {
	id string
	// acknowledged counts pushes that were answered with ok; unknown counts those
	// whose answer was lost with the connection: they may be stored or not.
	acknowledged, unknown atomic.Uint64
	refused               atomic.Uint64
}

const loadEvents = 20

// startLoad pushes from n agents at about perSecond batches a second each.
func startLoad(c *collector, n, perSecond int) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{cancel: cancel}
	client := c.client()
	for i := range n {
		a := &loadAgent{id: fmt.Sprintf("load-%d", i)}
		l.agents = append(l.agents, a)
		l.done.Go(func() { a.run(ctx, client, perSecond) })
	}
	return l
}

// stop ends the load; what is under way is waited for.
func (l *load) stop() {
	l.cancel()
	l.done.Wait()
}

func (a *loadAgent) run(ctx context.Context, client aggregatorv1.AggregatorClient, perSecond int) {
	ticker := time.NewTicker(time.Second / time.Duration(perSecond))
	defer ticker.Stop()
	var pushes sync.WaitGroup
	defer pushes.Wait()
	for sequence := uint64(1); ; sequence++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		// A push waits for its window, so many are under way at a time. The answer
		// is waited for even after stop, so that it is known.
		pushes.Go(func() { a.push(context.WithoutCancel(ctx), client, sequence) })
	}
}

func (a *loadAgent) push(ctx context.Context, client aggregatorv1.AggregatorClient, sequence uint64) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	resp, err := client.Push(ctx, &aggregatorv1.PushRequest{AgentId: a.id, Sequence: sequence, Payload: loadPayload(sequence)})
	switch {
	case err != nil && refused(err):
		a.refused.Add(1)
	case err != nil:
		a.unknown.Add(1)
	case resp.GetOk():
		a.acknowledged.Add(1)
	default:
		a.refused.Add(1)
	}
}

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

// checkStored waits until the number of stored batches of every agent lies
// between what was acknowledged and that plus what may have been stored, with
// every batch listed once and as many events as batches say.
func (l *load) checkStored(tb testing.TB, c *collector) {
	tb.Helper()
	for _, a := range l.agents {
		lo := a.acknowledged.Load()
		hi := lo + a.unknown.Load()
		var batches map[uint64]int
		var events uint64
		deadline := time.Now().Add(2 * time.Minute)
		for {
			batches = c.storedBatches(a.id)
			events = c.events("", a.id)
			n := uint64(len(batches))
			if n >= lo && events == n*loadEvents || time.Now().After(deadline) {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		n := uint64(len(batches))
		if n < lo || n > hi {
			tb.Errorf("%s: unexpected number of stored batches; got %d; want %d to %d", a.id, n, lo, hi)
		}
		for sequence, times := range batches {
			if times != 1 {
				tb.Errorf("%s: batch %d is listed %d times", a.id, sequence, times)
			}
		}
		if events != n*loadEvents {
			tb.Errorf("%s: unexpected number of stored events; got %d; want %d", a.id, events, n*loadEvents)
		}
		tb.Logf("%s: %d acknowledged, %d unanswered, %d refused; %d stored", a.id, lo, hi-lo, a.refused.Load(), n)
	}
}
