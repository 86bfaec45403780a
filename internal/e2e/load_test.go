package e2e

import (
	"context"
	"fmt"
	"sync"
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

	mu sync.Mutex
	// acknowledged are the pushes that were answered with ok; unknown are those
	// whose answer was lost with the connection: they may be stored or not.
	acknowledged, unknown map[uint64]bool
	// refused counts those that are to be repeated; rejected is an answer that no
	// push of the load should get.
	refused  int
	rejected string
}

const loadEvents = 20

// startLoad pushes from n agents at about perSecond batches a second each.
func startLoad(c *collector, n, perSecond int) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{cancel: cancel}
	client := c.client()
	for i := range n {
		a := &loadAgent{id: fmt.Sprintf("load-%d", i), acknowledged: make(map[uint64]bool), unknown: make(map[uint64]bool)}
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
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case err != nil && refused(err):
		a.refused++
	case err != nil:
		a.unknown[sequence] = true
	case resp.GetOk():
		a.acknowledged[sequence] = true
	default:
		a.rejected = resp.GetError()
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

// checkStored waits until every acknowledged batch of every agent is stored, and
// checks that it is once, that nothing else is but what may be, and that there
// are as many events as the batches say.
func (l *load) checkStored(tb testing.TB, c *collector) {
	tb.Helper()
	for _, a := range l.agents {
		if a.rejected != "" {
			tb.Errorf("%s: a push was refused for good: %s", a.id, a.rejected)
		}
		var batches map[uint64]int
		var events uint64
		deadline := time.Now().Add(2 * time.Minute)
		for {
			batches = c.storedBatches(a.id)
			events = c.events("", a.id)
			if a.missing(batches) == 0 && events == uint64(len(batches))*loadEvents || time.Now().After(deadline) {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n := a.missing(batches); n > 0 {
			tb.Errorf("%s: %d acknowledged batches are not stored", a.id, n)
		}
		for sequence, times := range batches {
			if times != 1 {
				tb.Errorf("%s: batch %d is stored %d times", a.id, sequence, times)
			}
			if !a.acknowledged[sequence] && !a.unknown[sequence] {
				tb.Errorf("%s: batch %d is stored but was refused", a.id, sequence)
			}
		}
		if want := uint64(len(batches)) * loadEvents; events != want {
			tb.Errorf("%s: unexpected number of stored events; got %d; want %d", a.id, events, want)
		}
		tb.Logf("%s: %d acknowledged, %d unanswered, %d refused; %d stored", a.id, len(a.acknowledged), len(a.unknown), a.refused, len(batches))
	}
}

// missing counts the acknowledged batches that are not among the stored ones.
func (a *loadAgent) missing(stored map[uint64]int) int {
	n := 0
	for sequence := range a.acknowledged {
		if stored[sequence] == 0 {
			n++
		}
	}
	return n
}
